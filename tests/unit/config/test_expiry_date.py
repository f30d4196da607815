"""The day on which a client secret ends, as relay.toml and the environment say it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from relay.config.microsoft365_settings import Microsoft365Settings
from tests.unit.config.written import GOOD, loaded, settings, told

OFFICE = """
[upstream."office"]
type = "microsoft365"
mailbox = "no-reply@practice.test"
tenant = "practice.test"
client_id = "66666666-7777-8888-9999-000000000000"
client_secret = { env = "A" }
"""
MAY = datetime(2027, 5, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2027-05-31", MAY),
        ("2027-05-31T00:00:00", MAY),
        ("2027-05-31T10:00:00+10:00", MAY),
        ("2027-05-31T12:30:00Z", MAY.replace(hour=12, minute=30)),
    ],
)
@pytest.mark.parametrize("by_environment", [False, True])
def test_a_day(tmp_path: Path, text: str, expected: datetime, by_environment: bool) -> None:
    line = "" if by_environment else f"client_secret_expires = {text}\n"
    environ = {"RELAY__UPSTREAM__OFFICE__CLIENT_SECRET_EXPIRES": text} if by_environment else {}
    office = settings(tmp_path, GOOD + OFFICE + line, environ).upstream["office"]
    assert isinstance(office, Microsoft365Settings)
    assert office.client_secret_expires == expected


@pytest.mark.parametrize("text", ['"2027-05-31"', "12:00:00", "20270531", "true", '["2027-05-31"]'])
def test_what_is_no_day(tmp_path: Path, text: str) -> None:
    [(_, key, said)] = told(loaded(tmp_path, f"{GOOD}{OFFICE}client_secret_expires = {text}\n"))
    assert key == "upstream.office.client_secret_expires"
    assert "write it like 2027-05-31" in said
