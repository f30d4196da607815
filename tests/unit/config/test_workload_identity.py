"""What the platform's variables say fills what a federated credential leaves out, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay.config.load import Loaded, load
from relay.config.microsoft365_settings import Microsoft365Settings

TENANT, CLIENT = "11111111-2222-3333-4444-555555555555", "66666666-7777-8888-9999-000000000000"
AZURE = {"AZURE_FEDERATED_TOKEN_FILE": "/var/run/azure", "AZURE_CLIENT_ID": CLIENT, "AZURE_TENANT_ID": TENANT}
AWS = {"AWS_WEB_IDENTITY_TOKEN_FILE": "/var/run/eks", "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/relay"}
OWN = f'client_id = "{CLIENT[::-1]}"\ntenant = "clinic.test"\nassertion = {{ file = "/own" }}\n'.replace(
    CLIENT[::-1], "00000000-7777-8888-9999-000000000000"
)


def loaded(tmp_path: Path, keys: str, environ: dict[str, str]) -> Loaded:
    path = tmp_path / "relay.toml"
    table = '[upstream."m"]\ntype = "microsoft365"\nmailbox = "no-reply@clinic.test"\n'
    path.write_text(f'state_dir = "{tmp_path}"\n{table}{keys}')
    return load(path, environ)


FEDERATED = 'credential = "federated"\n'


@pytest.mark.parametrize(
    ("keys", "environ", "file", "client_id", "tenant"),
    [
        (FEDERATED, AZURE, "/var/run/azure", CLIENT, TENANT),
        (FEDERATED, AZURE | AWS, "/var/run/azure", CLIENT, TENANT),
        (FEDERATED + f'client_id = "{CLIENT}"\ntenant = "{TENANT}"\n', AWS, "/var/run/eks", CLIENT, TENANT),
        (FEDERATED + OWN, AZURE, "/own", "00000000-7777-8888-9999-000000000000", "clinic.test"),
        (FEDERATED + 'authority = "https://login.test/x"\n', AZURE, "/var/run/azure", CLIENT, ""),
    ],
)
def test_what_is_left_out(
    tmp_path: Path, keys: str, environ: dict[str, str], file: str, client_id: str, tenant: str
) -> None:
    found = loaded(tmp_path, keys, environ)
    assert found.problems == ()
    assert found.settings is not None
    upstream = found.settings.upstream["m"]
    assert isinstance(upstream, Microsoft365Settings)
    assert upstream.assertion is not None
    assert (str(upstream.assertion.file), upstream.client_id, upstream.tenant) == (file, client_id, tenant)


def test_another_credential_is_left_alone(tmp_path: Path) -> None:
    found = loaded(tmp_path, 'credential = "client_secret"\n', AZURE)
    assert {problem.key for problem in found.problems} == {
        "upstream.m.tenant",
        "upstream.m.client_id",
        "upstream.m.client_secret",
    }


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    [problem] = loaded(tmp_path, FEDERATED, AZURE | {"AZURE_CLIENT_ID": "mine"}).problems
    assert str(problem).startswith("environment: AZURE_CLIENT_ID: ")


@pytest.mark.parametrize("two", ['file = "/a", aws = "x"', 'command = ["a"], aws = "x"', ""])
def test_an_assertion_has_one_form(tmp_path: Path, two: str) -> None:
    keys = f'{FEDERATED}client_id = "{CLIENT}"\ntenant = "{TENANT}"\nassertion = {{ {two} }}\n'
    [problem] = loaded(tmp_path, keys, {}).problems
    assert "needs a file, a command or aws" in problem.text
