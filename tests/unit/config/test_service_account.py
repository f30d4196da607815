"""The JSON key of a service account, and what is said of one that isn't right."""

import json
from pathlib import Path

import pytest
import trustme

from relay.config.problems import ConfigError
from relay.config.service_account import service_account_in
from relay.config.whole import check
from tests.unit.config.written import GOOD


@pytest.fixture(scope="module")
def good() -> dict[str, object]:
    return {
        "type": "service_account",
        "client_email": "relay@clinic.iam.gserviceaccount.com",
        "private_key": trustme.CA(key_type=trustme.KeyType.RSA).private_key_pem.bytes().decode(),
        "private_key_id": "0123",
        "token_uri": "https://oauth2.googleapis.com/token",
    }


def test_a_key(good: dict[str, object]) -> None:
    account = service_account_in(json.dumps(good))
    assert (account.client_email, account.token_uri) == (good["client_email"], good["token_uri"])
    assert (account.private_key, account.key_id) == (good["private_key"], "0123")
    assert "PRIVATE" not in repr(account)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"type": "authorized_user"}, 'is of the type "authorized_user", and is no service account'),
        ({"type": None}, "names no type"),
        ({"client_email": ""}, 'lacks "client_email"'),
        ({"private_key": 1}, 'lacks "private_key"'),
        ({"private_key": "secret"}, 'its "private_key" can\'t be read'),
        ({"private_key": trustme.CA().private_key_pem.bytes().decode()}, 'its "private_key" is no RSA key'),
        ({"token_uri": "http://oauth2.test/token"}, 'its "token_uri" is no https URL'),
    ],
)
def test_what_is_no_key(good: dict[str, object], changes: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        service_account_in(json.dumps(good | changes))
    assert str(refused.value).startswith(text)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "secret", "[]", "1", "[" * 100_000])
def test_what_is_no_json_object(text: str) -> None:
    with pytest.raises(ConfigError, match=r"holds no JSON|names no type"):
        service_account_in(text)


def test_what_check_says(tmp_path: Path) -> None:
    (tmp_path / "google.json").write_text("{}")
    keys = '[upstream."g"]\ntype = "gmail"\nmailbox = "a@b.test"\nservice_account = { file = "google.json" }\n'
    (tmp_path / "relay.toml").write_text(f"state_dir = 'state'\n{GOOD}{keys}")
    [problem] = check(tmp_path / "relay.toml", {"APP_PASSWORD": "x"}).problems
    assert (problem.line, problem.key) == (14, "upstream.g.service_account")
    assert "names no type, and is no service account's key; name the JSON file" in problem.text
