"""What the log says of a login that failed: whose it was, and what was wrong with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from relay import logs
from tests.dialogue.entrance import KnownSecrets, entrance
from tests.dialogue.visitor import Visitor

_CLIENTS = {
    "careright": {"username": "careright", "password": {"env": "P"}, "upstream": "isp"},
    "scanner": {"username": "scanner", "password": {"env": "P"}, "networks": ["10.0.0.0/8"], "upstream": "isp"},
}


@pytest.mark.parametrize(
    ("username", "password", "fault"),
    [
        ("careright", "wrong", {"client": "careright", "fault": "password"}),
        ("carerigth", "secret", {"fault": "username"}),
        ("scanner", "secret", {"client": "scanner", "fault": "network"}),
        ("scanner", "wrong", {"client": "scanner", "fault": "password"}),
    ],
)
async def test_the_log_tells_what_was_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], username: str, password: str, fault: dict[str, str]
) -> None:
    logs.configure()
    async with entrance(tmp_path, {"client": _CLIENTS}, KnownSecrets({"P": "secret"})) as at:
        visitor = await Visitor.connect(at.port())
        await visitor.hello()
        assert (await visitor.log_in(username, password)).startswith("535 5.7.8")
    logs.flush()
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    (told,) = [line for line in lines if line["event"] == "authentication_failed"]
    assert {key: told[key] for key in ("client", "fault") if key in told} == fault
