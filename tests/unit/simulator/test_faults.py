import re
from collections import defaultdict
from typing import Any

import pytest

from relay.simulator.faults import AUTHORITY_STAGES, AWS_STAGES, STAGES, Faults, UnknownFault, known_faults
from relay.simulator.provider import provider_named, wire

PROVIDERS = ("microsoft365", "gmail", "ses")
AUTHORITIES = ("entra", "imds", "google", "graph")
AWS = "ses_api"
WELL_FORMED = re.compile(rb"(?:(?P<code>[2345]\d\d)-[^\r\n]*\r\n)*[2345]\d\d [^\r\n]+\r\n")


@pytest.mark.parametrize("name", sorted(known_faults()))
def test_every_failure_is_complete(name: str) -> None:
    fault = known_faults()[name]
    assert fault.stage in STAGES + AUTHORITY_STAGES + AWS_STAGES
    assert fault.provider in (None, *AUTHORITIES, *PROVIDERS, AWS)
    assert (fault.provider == AWS) is (fault.stage in AWS_STAGES)
    assert (fault.provider in AUTHORITIES) is (fault.stage in AUTHORITY_STAGES)
    if fault.reply:
        assert WELL_FORMED.fullmatch(wire(fault.reply, defaultdict(str))), fault.reply
        assert fault.reply[0] in "45"
    if fault.code:
        assert fault.error
        assert fault.description
        assert name in (f"aadsts{fault.code}", "authority_tenant_not_found")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_text_is_a_reply_of_one_code(provider: str) -> None:
    for name, text in provider_named(provider).texts.items():
        codes = {line[:3] for line in text.split("\n")}
        assert len(codes) == 1, name
        assert WELL_FORMED.fullmatch(wire(text, defaultdict(lambda: "x"))), name


def test_a_failure_happens_as_often_as_asked() -> None:
    faults = Faults()
    faults.set("rejected", times=2, skip=1)
    taken = [faults.take("ses", "final") is not None for _ in range(5)]
    assert taken == [False, True, True, False, False]
    assert faults.active == ()


def test_a_failure_without_times_stays_until_it_is_cleared() -> None:
    faults = Faults()
    faults.set("rejected")
    assert all(faults.take("gmail", "final") for _ in range(5))
    assert faults.clear("deferred") == 0
    assert faults.clear("rejected") == 1
    assert faults.take("gmail", "final") is None


@pytest.mark.parametrize(
    ("provider", "stage", "recipients", "login", "struck"),
    [
        ("microsoft365", "rcpt", ("a@far.test",), "", True),
        ("microsoft365", "rcpt", ("A@FAR.TEST",), "", True),
        ("microsoft365", "rcpt", ("a@near.test",), "", False),
        ("microsoft365", "rcpt", (), "", False),
        ("microsoft365", "mail", ("a@far.test",), "", False),
        ("gmail", "rcpt", ("a@far.test",), "", False),
    ],
)
def test_a_failure_strikes_only_where_it_belongs(
    provider: str, stage: str, recipients: tuple[str, ...], login: str, struck: bool
) -> None:
    faults = Faults()
    faults.set("recipient_unknown", provider="microsoft365", recipient="*@far.test")
    assert (faults.take(provider, stage, recipients, login) is not None) is struck


def test_one_login_may_be_meant() -> None:
    faults = Faults()
    faults.set("send_as_denied", login="lab@*")
    assert faults.take("microsoft365", "final", (), "no-reply@clinic.test") is None
    assert faults.take("microsoft365", "final", (), "lab@clinic.test") is not None


def test_a_reply_of_ones_own() -> None:
    faults = Faults()
    faults.set("reply", stage="rcpt", reply="450 4.7.1 Greylisted")
    fault = faults.take("ses", "rcpt", ("a@b.test",))
    assert fault is not None
    assert fault.reply == "450 4.7.1 Greylisted"


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("smtp_auth_disabled_tenat", {}, "perhaps smtp_auth_disabled_tenant"),
        ("rejected", {"stage": "finale"}, "no stage 'finale'"),
        ("rejected", {"colour": "red"}, "no such setting"),
        ("reply", {}, "needs a reply"),
        ("rejected", {"reply": "no code"}, "needs a reply"),
        ("rejected", {"reply": "450 {"}, "braces"),
        ("rejected", {"reply": "450 {0.x}"}, "braces"),
        ("rejected", {"action": "explode"}, "no action"),
        ("rejected", {"seconds": "long"}, "not of its kind: seconds"),
        ("rejected", {"headers": 7}, "not of its kind: headers"),
        ("rejected", {"times": "often"}, "whole numbers"),
    ],
)
def test_what_does_not_exist_is_said(name: str, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UnknownFault, match=said):
        Faults().set(name, **changes)
