"""Delivery receipts: asked for by DSN or by a header field, at Reply-To, exactly once, whoever has to write them."""

import smtplib

import pytest

from tests.rig.relay import RelayProcess
from tests.rig.scripted import EXTENSIONS, ScriptedServer
from tests.rig.toml import Value
from tests.rig.waiting import wait_until
from tests.scenario.conftest import StartRelay, plain_settings
from tests.scenario.test_commands import asked
from tests.scenario.test_notices import WITHOUT_DSN, Report

SENDER, RECEPTION = "provider3@clinic.test", "reception@clinic.test"
BODY = f"From: Dr. Three <{SENDER}>\r\nTo: <a@far.test>\r\nSubject: Referral\r\n"
EITHER = pytest.mark.parametrize("extensions", [EXTENSIONS, WITHOUT_DSN], ids=["DSN", "without"])
FIELDS = ["Return-Receipt-To", "Disposition-Notification-To"]


def submit(relay: RelayProcess, *fields: str, notify: str = "", to: str = "a@far.test", sender: str = SENDER) -> str:
    """Send one message with these header fields; return its ID."""
    with smtplib.SMTP("127.0.0.1", relay.port(), timeout=30) as connection:
        connection.ehlo()
        assert connection.docmd("MAIL", f"FROM:<{sender}>")[0] == 250
        assert connection.docmd("RCPT", f"TO:<{to}> {notify}".strip())[0] == 250
        header = BODY + "".join(f"{field}\r\n" for field in fields)
        code, said = connection.data(f"{header}\r\nSee attached.\r\n".encode())
        assert code == 250
        return said.decode().rpartition(" ")[2]


def all_is_settled(relay: RelayProcess, messages: int) -> None:
    """Wait until so many messages, notices among them, are relayed or have failed, and nothing waits."""

    def settled() -> bool:
        states = [state for entry in asked(relay, "trace") for state in entry["states"].values()]
        return len(states) == messages and set(states) <= {"relayed", "failed"}

    wait_until(settled, f"{messages} messages to be settled")


@EITHER
@pytest.mark.parametrize("field", FIELDS)
def test_a_field_that_asks_gets_one_at_reply_to(
    start_relay: StartRelay, extensions: tuple[str, ...], field: str
) -> None:
    with ScriptedServer(extensions=extensions) as provider:
        relay = start_relay(plain_settings(provider.port))
        submit(relay, f"{field}: <{SENDER}>", f"Reply-To: Reception <{RECEPTION}>")
        first, second = provider.wait_for(2)
        all_is_settled(relay, 2)
        assert len(provider.accepted) == 2
        assert "SUCCESS" not in first.recipients[0], "the provider knows the sender only"
        assert f"{field}: <{SENDER}>".encode() in first.content, "who reads it may still tell"
        report = Report(second)
        assert report.recipients == [f"<{RECEPTION}>"]
        assert (report.field("Action"), report.field("Final-Recipient")) == (["relayed"], ["rfc822;a@far.test"])
        assert "handed on to the next mail server" in report.text


@EITHER
def test_where_reply_to_is_the_sender_the_upstream_tells_if_it_can(
    start_relay: StartRelay, extensions: tuple[str, ...]
) -> None:
    with ScriptedServer(extensions=extensions) as provider:
        relay = start_relay(plain_settings(provider.port))
        submit(relay, f"Return-Receipt-To: {SENDER}")
        ours = "DSN" not in extensions
        all_is_settled(relay, 2 if ours else 1)
        first, *others = provider.accepted
        assert ("NOTIFY=SUCCESS,FAILURE" in first.recipients[0]) is not ours
        assert [Report(one).recipients for one in others] == ([[f"<{SENDER}>"]] if ours else [])


@EITHER
def test_dsn_parameters_win_over_fields(start_relay: StartRelay, extensions: tuple[str, ...]) -> None:
    with ScriptedServer(extensions=extensions) as provider:
        relay = start_relay(plain_settings(provider.port))
        fields = (f"Return-Receipt-To: {SENDER}", f"Reply-To: {RECEPTION}")
        submit(relay, *fields, notify="NOTIFY=NEVER")
        submit(relay, *fields, notify="NOTIFY=SUCCESS ORCPT=rfc822;A@far.test")
        all_is_settled(relay, 3)
        reports = [Report(one) for one in provider.accepted if b"multipart/report" in one.content]
        assert [one.recipients for one in reports] == [[f"<{RECEPTION}>"]]
        assert reports[0].field("Original-Recipient") == ["rfc822;A@far.test"]


@EITHER
def test_a_failure_makes_a_failure_notice(start_relay: StartRelay, extensions: tuple[str, ...]) -> None:
    with ScriptedServer(extensions=extensions) as provider:
        provider.script.for_recipient("gone@far.test", "550 5.1.1 No such user")
        relay = start_relay(plain_settings(provider.port))
        submit(relay, f"Return-Receipt-To: {SENDER}", f"Reply-To: {RECEPTION}", to="gone@far.test")
        all_is_settled(relay, 2)
        [notice] = provider.accepted
        assert (Report(notice).recipients, Report(notice).field("Action")) == ([f"<{SENDER}>"], ["failed"])


@pytest.mark.parametrize(
    ("client", "fields", "notices"),
    [
        ({"receipts": False}, [f"Return-Receipt-To: {SENDER}"], []),
        ({"receipts": False}, [f"Disposition-Notification-To: {SENDER}", f"Reply-To: {RECEPTION}"], []),
        ({"reply_to": RECEPTION}, [f"Return-Receipt-To: {SENDER}"], [[f"<{RECEPTION}>"]]),
        ({}, [f"X-Return-Receipt-To: {SENDER}"], []),
    ],
)
def test_what_the_clients_settings_say(
    start_relay: StartRelay, client: dict[str, Value], fields: list[str], notices: list[list[str]]
) -> None:
    with ScriptedServer(extensions=WITHOUT_DSN) as provider:
        settings = plain_settings(provider.port)
        settings["client"] = {"clinic": {"networks": ["127.0.0.0/8"], "upstream": "provider", **client}}
        relay = start_relay(settings)
        submit(relay, *fields)
        all_is_settled(relay, 1 + len(notices))
        assert [Report(one).recipients for one in provider.accepted[1:]] == notices


@EITHER
def test_of_direct_delivery_too(start_relay: StartRelay, extensions: tuple[str, ...]) -> None:
    with ScriptedServer(extensions=extensions) as provider:
        settings = plain_settings(provider.port)
        settings["client"] = {"clinic": {"networks": ["127.0.0.0/8"], "upstream": "provider", "delivery": "direct"}}
        relay = start_relay(settings)
        submit(relay, f"Return-Receipt-To: {SENDER}", f"Reply-To: {RECEPTION}")
        _, second = provider.wait_for(2)
        all_is_settled(relay, 2)
        assert (Report(second).recipients, Report(second).field("Action")) == ([f"<{RECEPTION}>"], ["relayed"])


def test_an_automatic_message_gets_none(start_relay: StartRelay) -> None:
    with ScriptedServer(extensions=WITHOUT_DSN) as provider:
        relay = start_relay(plain_settings(provider.port))
        submit(relay, f"Return-Receipt-To: {SENDER}", f"Reply-To: {RECEPTION}", sender="")
        all_is_settled(relay, 1)
        assert len(provider.accepted) == 1
