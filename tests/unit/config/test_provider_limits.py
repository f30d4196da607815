"""The limits that a provider publishes are what its type has without being told."""

from typing import Any

import pytest

from relay.config.settings import Settings

MINUTE, DAY, MESSAGE = "messages_per_minute", "recipients_per_day", "recipients_per_message"
M365 = {"type": "microsoft365", "mailbox": "a@clinic.test", "credential": "managed_identity"}
SES = {"type": "ses", "region": "ap-southeast-2", "username": "AKIA", "password": {"env": "P"}}

LIMITS: list[tuple[dict[str, Any], dict[str, object]]] = [
    # Exchange Online: each mailbox; sessions end after about 20 minutes; EHLO says SIZE 157286400.
    (M365, {"max_connections": 3, MINUTE: 30, DAY: 10_000, MESSAGE: 500, "max_message_size": 157_286_400}),
    (M365, {"session_limit": 900.0}),
    # Gmail: by SMTP; a personal account is allowed less. EHLO says SIZE 35882577.
    (
        {"type": "gmail", "username": "a@clinic.test", "app_password": {"env": "P"}},
        {MINUTE: None, DAY: 10_000, MESSAGE: 100, "max_message_size": 35_882_577},
    ),
    ({"type": "gmail", "username": "a@gmail.com", "app_password": {"env": "P"}}, {DAY: 500, MESSAGE: 100}),
    # Amazon SES: what an account may send in a day and a second differs, and SES itself says so.
    (SES, {MINUTE: None, DAY: None, MESSAGE: 50, "max_message_size": 40 << 20}),
]


@pytest.mark.parametrize(("upstream", "limits"), LIMITS)
def test_limits_of_a_provider(upstream: dict[str, Any], limits: dict[str, object]) -> None:
    given = {"hostname": "relay.clinic.test", "state_dir": "/var/lib/relay", "upstream": {"x": upstream}}
    found = Settings.model_validate(given).upstream["x"]
    assert {key: getattr(found, key) for key in limits} == limits
