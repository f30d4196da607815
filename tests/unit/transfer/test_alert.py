"""How an alert reads: the mail's text, and what a webhook gets."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from relay.config.settings import Settings
from relay.spool.records import Gate, HoldReason
from relay.transfer import alert
from relay.transfer.alert import Alert
from relay.transfer.detour import Detour
from relay.transfer.explanation import diagnosis_of_expiry, diagnosis_of_gate
from tests.unit.transfer.made import ACCEPTED_AT, HOUR, message, said

UPSTREAMS = Settings.model_validate(
    {
        "hostname": "relay.clinic.test",
        "upstream": {
            "m365": {
                "type": "microsoft365",
                "mailbox": "no-reply@clinic.test",
                "tenant": "11111111-2222-3333-4444-555555555555",
                "client_id": "66666666-7777-8888-9999-000000000000",
                "client_secret": {"sealed": "office"},
            },
            "isp": {"type": "smtp", "host": "mail.isp.test"},
        },
    }
).upstream
DISABLED = said("535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox.")
GATE = Gate("m365", HoldReason.AUTH, ACCEPTED_AT, DISABLED, None)
DAY = 24 * HOUR


def ends(kind: str, what: str = "upstream.m365", upstream: str | None = "m365", days: int = 5) -> Alert:
    diagnosis = diagnosis_of_expiry(what, kind, upstream, UPSTREAMS.get(upstream or ""))
    return alert.ends(what, kind, upstream, ACCEPTED_AT + days * DAY, ACCEPTED_AT, diagnosis)


HELD = alert.held(GATE, diagnosis_of_gate(GATE, UPSTREAMS))
OVER = alert.over("m365", "auth", ACCEPTED_AT)
MESSAGE_HELD = alert.message_held(
    "m365", HoldReason.SEND_AS, message(), ACCEPTED_AT, HELD.diagnosis or pytest.fail("no diagnosis"), None
)
FAILOVER = alert.failing_over(
    "m365",
    [
        Detour("app", "m365", "ses"),
        Detour("lab", "m365", "isp"),
        Detour("scan", "m365", "ses"),
        Detour("x", "m365", None),
    ],
    ACCEPTED_AT,
    HELD.diagnosis or pytest.fail("no diagnosis"),
    DISABLED,
)
RENEWED = alert.renewed("tls", "certificate", None, ACCEPTED_AT + 90 * DAY, ACCEPTED_AT)
ALL = (HELD, OVER, FAILOVER, MESSAGE_HELD, RENEWED, ends("client_secret"), ends("sign_in", days=-1))


@pytest.mark.parametrize("found", ALL, ids=lambda found: found.event)
def test_every_alert_has_the_same_keys_and_lines_of_mail(found: Alert) -> None:
    shape = json.loads(json.dumps(found.shape("relay.clinic.test", ACCEPTED_AT, "masked")))
    keys = "event host time upstream what reason since title cause actor actions link reply text"
    assert set(shape) == set(keys.split())
    assert shape["host"] == "relay.clinic.test"
    assert shape["time"] == "2023-11-14T22:13:20Z"
    assert isinstance(shape["actions"], list)
    assert found.text.endswith("\r\n")
    assert "\n" not in found.text.replace("\r\n", "")
    assert found.subject.startswith("Relay: ")


def test_what_a_webhook_gets_of_a_held_upstream() -> None:
    shape = HELD.shape("relay.clinic.test", ACCEPTED_AT + 5000, "full")
    assert (shape["event"], shape["upstream"], shape["what"], shape["reason"]) == ("held", "m365", "m365", "auth")
    assert shape["since"] == "2023-11-14T22:13:20Z"
    assert shape["reply"] == str(DISABLED)
    assert HELD.diagnosis is not None
    assert {key: shape[key] for key in HELD.diagnosis.shape()} == HELD.diagnosis.shape()
    assert any("Set-CASMailbox -Identity no-reply@clinic.test" in step for step in shape["actions"])
    assert shape["text"].startswith("relay.clinic.test: The upstream m365 is held: ")


@pytest.mark.parametrize(("disclosure", "shown"), [("masked", "n***@clinic.test"), ("none", "***")])
def test_no_address_reaches_a_webhook_that_the_log_would_not_show(disclosure: str, shown: str) -> None:
    reply = said("535 5.7.8 no-reply@clinic.test may not")
    for found in (replace(HELD, said=reply), MESSAGE_HELD):
        text = json.dumps(found.shape("relay.clinic.test", ACCEPTED_AT, disclosure))  # type: ignore[arg-type]
        assert "no-reply@clinic.test" not in text
        assert "app@clinic.test" not in text
    masked = replace(HELD, said=reply).shape("h", ACCEPTED_AT, disclosure)  # type: ignore[arg-type]
    assert masked["reply"] == f"535 5.7.8 {shown} may not"


def test_the_end_of_something_says_which_day_and_what_to_do() -> None:
    found = ends("client_secret")
    assert found.subject == "Relay: upstream.m365 ends on 2023-11-19"
    assert found.text.startswith("The client secret upstream.m365 ends on 2023-11-19, in 5 days.\r\n")
    assert "relay secret set office" in found.text
    assert "66666666-7777-8888-9999-000000000000" in found.text
    gone = ends("client_secret", days=-2)
    assert (gone.event, gone.subject) == ("expired", "Relay: upstream.m365 has ended")
    assert gone.text.startswith("The client secret upstream.m365 ended on 2023-11-12.\r\n")


@pytest.mark.parametrize(
    ("what", "kind", "upstream", "key"),
    [
        ("tls", "certificate", None, "expires_tls"),
        ("tls.authority", "certificate", None, "expires_authority"),
        ("upstream.m365", "certificate", "m365", "expires_certificate"),
        ("upstream.m365", "client_secret", "m365", "expires_client_secret"),
        ("upstream.m365", "sign_in", "m365", "expires_sign_in"),
        ("upstream.isp", "certificate", "isp", "expires_client_certificate"),
    ],
)
def test_each_kind_of_end_has_a_remedy_of_its_own(what: str, kind: str, upstream: str | None, key: str) -> None:
    assert diagnosis_of_expiry(what, kind, upstream, UPSTREAMS.get(upstream or "")).key == key


def test_whose_mail_goes_another_way() -> None:
    start = "Mail of app, scan goes by ses, and lab goes by isp meanwhile, since m365 does not take it: "
    assert FAILOVER.opening.startswith(start)
    assert FAILOVER.subject == "Relay: mail goes by ses, isp instead of m365"
    assert "SmtpClientAuthentication" in FAILOVER.text
