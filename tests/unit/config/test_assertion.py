"""The assertion of a federated credential, and what is said of one that isn't right."""

import base64
import datetime
import json
import time
from pathlib import Path

import pytest

from relay.config import assertion
from relay.config.assertion import assertion_of, end_of, ended
from relay.config.microsoft365_settings import Assertion
from relay.config.problems import ConfigError
from relay.config.whole import check
from tests.unit.config.written import GOOD

NOW = datetime.datetime(2026, 3, 2, 9, 30, tzinfo=datetime.UTC)


def jwt(**claims: object) -> str:
    """A JWT, of which nobody here looks at more than the claims."""
    part = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{part}.c2ln"


def lasting(seconds: float) -> str:
    return jwt(exp=int(time.time() + seconds))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "word",
        "a.b",
        "a.b.c",
        "a..c",
        '{"token": "a.b.c"}',
        "e30.bnVsbA.c2ln",
        "e30.W10.c2ln",
        jwt(),
        jwt(exp="tomorrow"),
        jwt(exp=True),
        jwt(exp=1e30),
    ],
)
def test_what_is_no_assertion(text: str) -> None:
    with pytest.raises(ConfigError, match=r"the place: .*; "):
        end_of(text, "the place")


def test_the_end_of_an_assertion() -> None:
    assert end_of(jwt(exp=int(NOW.timestamp())), "x") == NOW
    assert ended(NOW + datetime.timedelta(seconds=1), NOW) is None
    assert ended(NOW, NOW) == (
        "the JWT ended at 2026-03-02T09:30:00Z; look at what should renew it, and at this machine's clock"
    )


def test_a_file_is_read_anew(tmp_path: Path) -> None:
    file = tmp_path / "token"
    for token in (lasting(86400), lasting(90000)):
        file.write_text(f"{token}\n")
        assert assertion_of(Assertion(file=file)) == token
    file.write_text(lasting(-60))
    with pytest.raises(ConfigError, match=r"token: the JWT ended at "):
        assertion_of(Assertion(file=file))


def test_what_a_command_prints() -> None:
    token = lasting(86400)
    assert assertion_of(Assertion(command=("echo", token))) == token
    # No shell looks at it.
    with pytest.raises(ConfigError, match="the command echo: holds no JWT"):
        assertion_of(Assertion(command=("echo", f"$(echo {token})")))


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (("false",), "the command false ended with status 1; run it by hand"),
        (("sh", "-c", "echo secret; echo secret >&2; kill -9 $$"), "the command sh ended with status -9"),
        (("no-such-command",), "the command no-such-command can't be run: No such file"),
        (("head", "-c", "70000", "/dev/zero"), "the command head printed more than a token"),
        (("cat",), "the command cat: holds no JWT"),
        (("sleep", "60"), "the command sleep took longer than"),
    ],
)
def test_a_command_that_prints_none(monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], text: str) -> None:
    monkeypatch.setattr(assertion, "SECONDS", 0.5)
    with pytest.raises(ConfigError) as failed:
        assertion_of(Assertion(command=command))
    assert text in str(failed.value)
    assert "secret" not in str(failed.value)


FEDERATED = """
[upstream."m"]
type = "microsoft365"
mailbox = "no-reply@practice.test"
tenant = "practice.test"
client_id = "66666666-7777-8888-9999-000000000000"
assertion = """


@pytest.mark.parametrize(
    ("place", "content", "problem", "warning"),
    [
        ('{ file = "token" }', lasting(86400), None, None),
        ('{ file = "token" }', lasting(-60), None, "the JWT ended at"),
        ('{ file = "token" }', "word", "token: holds no JWT", None),
        ('{ file = "absent" }', "", "absent: ", None),
        ('{ command = ["echo", "x"] }', "", None, None),
        ('{ command = ["no-such-command"] }', "", '"no-such-command" is no command that can be run here', None),
    ],
    # Processes that run tests side by side have to name them alike, and tokens differ by the second.
    ids=["lasting", "ended", "no token", "no file", "a command", "no command"],
)
def test_what_check_says(tmp_path: Path, place: str, content: str, problem: str | None, warning: str | None) -> None:
    (tmp_path / "token").write_text(content)
    (tmp_path / "relay.toml").write_text(f"state_dir = 'state'\n{GOOD}{FEDERATED}{place}\n")
    found = check(tmp_path / "relay.toml", {"APP_PASSWORD": "x"})
    key = "upstream.m.assertion." + ("file" if "file" in place else "command")
    for said, wanted in ((found.problems, problem), (found.warnings, warning)):
        assert [(one.line, one.key) for one in said] == ([(17, key)] if wanted else [])
        assert all(wanted is not None and wanted in one.text for one in said)
