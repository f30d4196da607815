"""What each step came to: the order, what failed, and what could not be reached after it."""

from __future__ import annotations

from typing import Any

import pytest

from relay.config.provider_settings import CaptureSettings, GmailSettings
from relay.config.upstream_settings import UpstreamSettings
from relay.doctor.findings import Finding, findings_of, findings_of_probe
from relay.doctor.steps import Result, Step, steps_of
from relay.reply import reply
from relay.upstream.contract import Cause, Conversation, Phase
from relay.upstream.token_claims import TokenClaims
from tests.unit.doctor.sightings import (
    MAILBOX,
    OBJECT_ID,
    TOKEN,
    UNCONNECTED,
    WELCOME,
    ended,
    isp,
    office365,
    rehearsal,
    seen,
)

_MARKS = {Result.OK: "+", Result.FAILED: "-", Result.NOT_REACHED: "?"}
REFUSED = rehearsal("550 5.7.1 Not you", sender="lab@clinic.test")
BY_PROXY: dict[str, Any] = {
    "proxy": "http://proxy.clinic.test:3128",
    "proxy_username": "relay",
    "proxy_password": {"sealed": "proxy"},
}
NO_RECIPIENT = rehearsal("250 2.1.0 Ok", "550 5.1.1 No such user", "250 2.0.0 Ok")


def _marks(findings: tuple[Finding, ...]) -> str:
    return " ".join(f"{finding.step}{_MARKS[finding.result]}" for finding in findings)


@pytest.mark.parametrize(
    ("upstream", "steps"),
    [
        (office365(), "configuration dns port greeting tls token ehlo auth mail rcpt rset"),
        (office365(security="implicit"), "configuration dns port tls greeting token ehlo auth mail rcpt rset"),
        (isp(security="none"), "configuration dns port greeting ehlo mail rcpt rset"),
        (
            isp(username="clinic", password={"sealed": "isp"}),
            "configuration dns port greeting tls ehlo auth mail rcpt rset",
        ),
        (
            isp(username="clinic", password={"sealed": "isp"}, auth="none"),
            "configuration dns port greeting tls ehlo mail rcpt rset",
        ),
        (
            GmailSettings.model_validate({"username": "a@gmail.com", "app_password": {"sealed": "gmail"}}),
            "configuration dns port greeting tls ehlo auth mail rcpt rset",
        ),
        (office365(**BY_PROXY), "configuration dns port proxy greeting tls token ehlo auth mail rcpt rset"),
        (isp(security="none", **BY_PROXY), "configuration dns port proxy greeting ehlo mail rcpt rset"),
        (office365(via="graph"), "configuration dns port tls token auth permission mailbox"),
        (office365(via="graph", **BY_PROXY), "configuration dns port proxy tls token auth permission mailbox"),
        (CaptureSettings(), "configuration folder"),
    ],
)
def test_the_steps_in_their_order(upstream: UpstreamSettings, steps: str) -> None:
    assert " ".join(steps_of(upstream)) == steps


BEFORE = "configuration+ dns+ port+"
AFTER = "mail? rcpt? rset?"


@pytest.mark.parametrize(
    ("more", "marks"),
    [
        ({}, f"{BEFORE} greeting+ tls+ token+ ehlo+ auth+ mail+ rcpt+ rset+"),
        (
            UNCONNECTED | {"addresses": (), "ended": ended(Phase.CONNECT, Cause.NAME_NOT_FOUND)},
            f"configuration+ dns- port? greeting? tls? token+ ehlo? auth? {AFTER}",
        ),
        (
            UNCONNECTED | {"addresses": (), "ended": ended(Phase.CONNECT, Cause.TIMEOUT)},
            f"configuration+ dns- port? greeting? tls? token+ ehlo? auth? {AFTER}",
        ),
        (
            UNCONNECTED | {"ended": ended(Phase.CONNECT, Cause.CONNECTION_REFUSED)},
            f"configuration+ dns+ port- greeting? tls? token+ ehlo? auth? {AFTER}",
        ),
        (
            UNCONNECTED | {"peer": "203.0.113.5", "ended": ended(Phase.GREETING, text="554 5.3.2 No service")},
            f"{BEFORE} greeting- tls? token+ ehlo? auth? {AFTER}",
        ),
        (
            UNCONNECTED | {"peer": "203.0.113.5", "ended": ended(Phase.EHLO, text="421 4.3.2 Not now")},
            f"{BEFORE} greeting- tls? token+ ehlo? auth? {AFTER}",
        ),
        (
            UNCONNECTED | {"peer": "203.0.113.5", "ended": ended(Phase.STARTTLS, Cause.TLS_UNTRUSTED)},
            f"{BEFORE} greeting+ tls- token+ ehlo? auth? {AFTER}",
        ),
        (
            UNCONNECTED | {"peer": "203.0.113.5", "secured": True, "ended": ended(Phase.EHLO, Cause.GARBLED)},
            f"{BEFORE} greeting+ tls+ token+ ehlo- auth? {AFTER}",
        ),
        (
            {"logged_in": False, "rehearsals": [], "ended": ended(Phase.AUTH, text="535 5.7.3 No")},
            f"{BEFORE} greeting+ tls+ token+ ehlo+ auth- {AFTER}",
        ),
        (
            {"logged_in": False, "rehearsals": [], "ended": ended(Phase.EHLO, Cause.DISCONNECTED)},
            f"{BEFORE} greeting+ tls+ token+ ehlo+ auth- {AFTER}",
        ),
        (
            {"token": None, "logged_in": False, "rehearsals": [], "refused": ended(Phase.TOKEN, Cause.TOKEN_REFUSED)},
            f"{BEFORE} greeting+ tls+ token- ehlo+ auth? {AFTER}",
        ),
        (
            {"refused": ended(Phase.TOKEN, Cause.TOKEN_UNAVAILABLE)},
            f"{BEFORE} greeting+ tls+ token- ehlo+ auth+ mail+ rcpt+ rset+",
        ),
        (
            {
                "token": None,
                "logged_in": False,
                "rehearsals": [],
                "refused": ended(Phase.SECRET, Cause.SECRET_UNAVAILABLE),
            },
            f"configuration- dns+ port+ greeting+ tls+ token? ehlo+ auth? {AFTER}",
        ),
        (
            UNCONNECTED | {"addresses": (), "ended": ended(Phase.SECRET, Cause.SECRET_UNAVAILABLE)},
            f"configuration- dns? port? greeting? tls? token+ ehlo? auth? {AFTER}",
        ),
        ({"rehearsals": [REFUSED]}, f"{BEFORE} greeting+ tls+ token+ ehlo+ auth+ mail- rcpt? rset?"),
        ({"rehearsals": [WELCOME, REFUSED]}, f"{BEFORE} greeting+ tls+ token+ ehlo+ auth+ mail- rcpt+ rset+"),
        ({"rehearsals": [NO_RECIPIENT]}, f"{BEFORE} greeting+ tls+ token+ ehlo+ auth+ mail+ rcpt- rset+"),
        ({"rehearsals": [], "limited": True}, f"{BEFORE} greeting+ tls+ token+ ehlo+ auth+ {AFTER}"),
        (
            {"token": TokenClaims("https://graph.microsoft.com")},
            f"{BEFORE} greeting+ tls+ token- ehlo+ auth+ mail+ rcpt+ rset+",
        ),
    ],
)
def test_what_failed_and_what_was_not_reached(more: dict[str, Any], marks: str) -> None:
    assert _marks(findings_of(seen(**more), office365())) == marks


def test_tls_from_the_start_fails_while_connecting() -> None:
    end = ended(Phase.CONNECT, Cause.TLS_FAILED)
    found = findings_of(seen(**UNCONNECTED | {"peer": "203.0.113.5", "ended": end}), office365(security="implicit"))
    assert _marks(found) == f"{BEFORE} tls- greeting? token+ ehlo? auth? {AFTER}"


def _only(found: tuple[Finding, ...], step: Step) -> Finding:
    [finding] = [one for one in found if one.step is step]
    return finding


@pytest.mark.parametrize(
    ("token", "more", "row"),
    [
        (TOKEN, {}, "service_principal_or_mailbox"),
        (TokenClaims("https://outlook.office365.com/", ()), {}, "send_as_app_missing"),
        (TokenClaims("https://outlook.office.com", ("Mail.Send",)), {}, "send_as_app_missing"),
        (TokenClaims("https://outlook.office365.us", ("SMTP.SendAsApp",)), {}, "service_principal_or_mailbox"),
        (TokenClaims("https://graph.microsoft.com", ("SMTP.SendAsApp",)), {}, "token_for_another_service"),
        (
            TokenClaims("https://outlook.office.com", scopes=("SMTP.Send",), user="it@clinic.test"),
            {"credential": "device_code", "client_secret": None},
            "sign_in_of_somebody_else",
        ),
        (
            TokenClaims("https://outlook.office.com", scopes=("SMTP.Send",), user=MAILBOX.upper()),
            {"credential": "device_code", "client_secret": None},
            "",
        ),
        (None, {}, ""),
    ],
)
def test_what_the_token_tells_of_a_refusal_without_words(
    token: TokenClaims | None, more: dict[str, Any], row: str
) -> None:
    end = ended(Phase.AUTH, text="535 5.7.3 Authentication unsuccessful")
    found = findings_of(seen(token=token, logged_in=False, rehearsals=[], ended=end), office365(**more))
    auth = _only(found, Step.AUTH)
    assert (auth.result, auth.row) == (Result.FAILED, row)
    if token is not None:
        assert auth.names == {"audience": token.audience, "object_id": token.object_id, "user": token.user}


@pytest.mark.parametrize(
    "text",
    [
        "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox.",
        "430 4.2.0 STOREDRV; mailbox logon failure",
        "501 5.5.124 Invalid XOAUTH2 auth data",
    ],
)
def test_a_refusal_with_words_speaks_for_itself(text: str) -> None:
    end = ended(Phase.AUTH, text=text)
    found = findings_of(seen(logged_in=False, rehearsals=[], ended=end), office365())
    assert (_only(found, Step.AUTH).row, str(_only(found, Step.AUTH).said)) == ("", text)


def test_another_provider_is_not_taken_for_microsoft() -> None:
    end = ended(Phase.AUTH, text="535 5.7.3 No")
    upstream = isp(username="clinic", password={"sealed": "isp"})
    found = findings_of(seen(logged_in=False, rehearsals=[], ended=end), upstream)
    assert _only(found, Step.AUTH).row == ""


def test_silence_instead_of_a_greeting() -> None:
    end = ended(Phase.GREETING, Cause.TIMEOUT)
    found = findings_of(seen(**UNCONNECTED | {"peer": "203.0.113.5", "ended": end}), isp())
    assert _only(found, Step.GREETING).cause is Cause.TIMEOUT


def test_senders_that_are_refused_are_named() -> None:
    another = rehearsal("550 5.7.1 Nor you", sender="desk@clinic.test")
    mail = _only(findings_of(seen(rehearsals=[WELCOME, REFUSED, another]), office365()), Step.MAIL)
    assert mail.detail == "from lab@clinic.test, desk@clinic.test"
    assert str(mail.said) == "550 5.7.1 Not you"
    assert mail.names == {"sender": "lab@clinic.test"}


def test_details() -> None:
    found = findings_of(seen(), office365())
    token = f"permissions: SMTP.SendAsApp; object ID {OBJECT_ID}; until 2027-01-01T00:00:00Z"
    assert [finding.detail for finding in found] == [
        "type microsoft365, smtp.office365.com:587, security starttls",
        "203.0.113.5, 2001:db8::5",
        "203.0.113.5 port 587",
        "",
        "TLSv1.3, certificate for smtp.office365.com, by An authority, valid until 2027-01-01",
        f"for https://outlook.office365.com; {token}",
        "AUTH LOGIN XOAUTH2; messages of up to 157286400 octets",
        "XOAUTH2 as no-reply@clinic.test",
        "from no-reply@clinic.test",
        "to no-reply@clinic.test",
        "taken back: nothing was sent",
    ]


def test_a_token_in_hand_outlives_its_authority() -> None:
    refused = ended(Phase.TOKEN, Cause.TOKEN_UNAVAILABLE)
    with_token = _only(findings_of(seen(refused=refused), office365()), Step.TOKEN)
    assert with_token.detail.startswith("the token in hand still counts: for https://outlook.office365.com")
    without = seen(refused=refused, token=None, logged_in=False, rehearsals=[])
    assert _only(findings_of(without, office365()), Step.TOKEN).detail == ""


@pytest.mark.parametrize(
    ("conversation", "marks"),
    [
        (Conversation(Phase.DONE, (), reply(250, "2.0.0", "Ok")), "configuration+ folder+"),
        (Conversation(Phase.CONNECT, (), reply(452, "4.3.1", "/x: read-only")), "configuration+ folder-"),
    ],
)
def test_an_upstream_that_keeps_the_mail(conversation: Conversation, marks: str) -> None:
    assert _marks(findings_of_probe(conversation, CaptureSettings())) == marks


def test_a_connection_that_ends_in_between_is_the_last_steps_fault() -> None:
    broken = rehearsal("250 2.1.0 Ok", "550 5.1.1 No such user", "451 4.4.2 closed", cause=Cause.DISCONNECTED)
    found = findings_of(seen(rehearsals=[broken]), office365())
    assert (_only(found, Step.RCPT).cause, _only(found, Step.RSET).cause) == (None, Cause.DISCONNECTED)


@pytest.mark.parametrize(
    ("more", "cause", "marks"),
    [
        ({"addresses": (), "peer": ""}, Cause.PROXY_NOT_FOUND, "dns- port? proxy? tls? greeting?"),
        ({"addresses": (), "peer": ""}, Cause.PROXY_UNREACHABLE, "dns- port? proxy? tls? greeting?"),
        ({"peer": ""}, Cause.PROXY_UNREACHABLE, "dns+ port- proxy? tls? greeting?"),
        ({}, Cause.PROXY_LOGIN_REFUSED, "dns+ port+ proxy- tls? greeting?"),
        ({}, Cause.PROXY_FORBIDS, "dns+ port+ proxy- tls? greeting?"),
        ({}, Cause.PROXY_REACHES_NOTHING, "dns+ port+ proxy- tls? greeting?"),
        ({}, Cause.PROXY_TIMEOUT, "dns+ port+ proxy- tls? greeting?"),
        ({}, Cause.PROXY_GARBLED, "dns+ port+ proxy- tls? greeting?"),
        ({}, Cause.TLS_UNTRUSTED, "dns+ port+ proxy+ tls- greeting?"),
    ],
)
def test_at_a_proxy(more: dict[str, Any], cause: Cause, marks: str) -> None:
    upstream = isp(security="implicit", **BY_PROXY)
    given = UNCONNECTED | {"peer": "10.0.0.5", "token": None, "ended": ended(Phase.CONNECT, cause)} | more
    found = findings_of(seen(**given), upstream)
    assert _marks(found).startswith(f"configuration+ {marks} ")


def test_what_is_told_of_a_proxy() -> None:
    told = {finding.step: finding.detail for finding in findings_of(seen(peer="10.0.0.5"), office365(**BY_PROXY))}
    assert told[Step.DNS].endswith(" (of the proxy)")
    assert told[Step.PORT] == "10.0.0.5 port 3128"
    assert told[Step.PROXY] == (
        "http://proxy.clinic.test:3128 as relay, which looks up smtp.office365.com and connects to its port 587"
    )


def test_a_proxy_whose_password_is_missing() -> None:
    end = ended(Phase.SECRET, Cause.PROXY_SECRET_UNAVAILABLE)
    given = UNCONNECTED | {"refused": end, "token": None, "ended": end}
    marks = _marks(findings_of(seen(**given), office365(**BY_PROXY)))
    assert marks.startswith("configuration- dns? port? proxy? ")
