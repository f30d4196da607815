"""What becomes of a From that the upstream may not send as, by client and upstream."""

import pytest

from relay.config.settings import Settings

SETTINGS = Settings.model_validate(
    {
        "hostname": "relay.clinic.test",
        "state_dir": "/var/lib/relay",
        "upstream": {
            "isp": {"type": "smtp", "host": "mx.test"},
            "office": {"type": "microsoft365", "mailbox": "a@clinic.test", "credential": "managed_identity"},
        },
        "client": {
            "plain": {"username": "plain", "upstream": ["isp", "office"]},
            "strict": {"username": "strict", "upstream": ["isp", "office"], "sender_policy": "reject"},
        },
    }
)


@pytest.mark.parametrize(
    ("client", "upstream", "policy"),
    [
        ("plain", "isp", "keep"),
        ("plain", "office", "rewrite"),
        ("strict", "isp", "reject"),
        ("strict", "office", "reject"),
        # Removed from the configuration while its mail was waiting.
        ("gone", "isp", "keep"),
        ("gone", "office", "rewrite"),
    ],
)
def test_sender_policy(client: str, upstream: str, policy: str) -> None:
    assert SETTINGS.sender_policy(client, upstream) == policy
