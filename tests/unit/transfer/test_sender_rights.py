"""As whom an upstream may send, and whose mail it may carry for another."""

from __future__ import annotations

from typing import Any

import pytest

from relay.config.settings import Settings
from relay.transfer.refused_senders import RefusedSenders
from relay.transfer.sender_rights import may_carry, may_send_as
from tests.unit.transfer.made import mailbox

UPSTREAMS: dict[str, dict[str, Any]] = {
    "gmail": {
        "type": "gmail",
        "username": "clinic@clinic.test",
        "app_password": {"env": "P"},
        "may_send_as": ["lab@clinic.test"],
    },
    "ses": {"type": "ses", "region": "eu-west-1", "username": "A", "password": {"env": "P"}},
    "isp": {"type": "smtp", "host": "mx.isp.test"},
}


def settings(policy: str | None = None) -> Settings:
    client = {"username": "app", "upstream": list(UPSTREAMS)} | ({"sender_policy": policy} if policy else {})
    return Settings.model_validate({"hostname": "relay.test", "client": {"app": client}, "upstream": UPSTREAMS})


@pytest.mark.parametrize(
    ("upstream", "address", "expected"),
    [
        ("gmail", "clinic@clinic.test", True),
        ("gmail", "Clinic@Clinic.TEST", True),
        ("gmail", "lab@clinic.test", True),
        ("gmail", "other@clinic.test", False),
        ("gmail", "", False),
        ("ses", "anybody@clinic.test", True),
        ("isp", "anybody@clinic.test", True),
    ],
)
def test_may_send_as(upstream: str, address: str, expected: bool) -> None:
    assert may_send_as(settings().upstream[upstream], address) is expected


@pytest.mark.parametrize(
    ("upstream", "path", "author", "expected"),
    [
        ("gmail", "clinic@clinic.test", "lab@clinic.test", True),
        ("gmail", "clinic@clinic.test", "", True),
        ("gmail", "other@clinic.test", "lab@clinic.test", False),
        ("gmail", "clinic@clinic.test", "other@clinic.test", False),
        ("gmail", None, "clinic@clinic.test", False),
        ("ses", None, "other@clinic.test", True),
        ("isp", "other@clinic.test", "any@clinic.test", True),
        ("gone", "clinic@clinic.test", "clinic@clinic.test", False),
    ],
)
def test_may_carry_what_is_sent_as_it_is(upstream: str, path: str | None, author: str, expected: bool) -> None:
    reverse_path = mailbox(path) if path else None
    for policy in ("keep", "reject"):
        assert may_carry(settings(policy), upstream, "app", reverse_path, author, notice=False) is expected


@pytest.mark.parametrize("policy", ["rewrite", None])
def test_may_carry_what_is_rewritten(policy: str | None) -> None:
    sender = mailbox("other@clinic.test")
    assert may_carry(settings(policy), "gmail", "app", sender, str(sender), notice=False)
    assert may_carry(settings(policy), "gmail", "app", sender, str(sender), notice=True)


def test_senders_that_were_refused_are_remembered_for_a_time() -> None:
    refused = RefusedSenders()
    refused.note("isp", "Lab@clinic.test", 100)
    assert refused.holds("isp", "lab@clinic.test", 99)
    assert not refused.holds("isp", "lab@clinic.test", 100)
    assert not refused.holds("ses", "lab@clinic.test", 0)
    for number in range(1000):
        refused.note("isp", f"{number}@clinic.test", 100)
    assert not refused.holds("isp", "lab@clinic.test", 0), "no more than a thousand"
    assert refused.holds("isp", "999@clinic.test", 0)
