"""What senders hear: bounces, delays and successes, asked for as applications do, read as their programs would."""

import smtplib
import time
from email import message_from_bytes, policy
from email.message import EmailMessage, Message
from email.utils import parsedate_to_datetime

import pytest

from relay.diagnosis.diagnosis import NOTHING
from tests.rig.relay import RelayProcess
from tests.rig.script import Transaction
from tests.rig.scripted import EXTENSIONS, ScriptedServer
from tests.scenario.conftest import StartRelay, plain_settings

SENDER = "results@clinic.test"
HEADER = f"From: Zoë <{SENDER}>\r\nTo: <a@far.test>\r\nSubject: Result\r\n".encode()
BODY = "\r\nDear Zoë,\r\n.\r\n..\r\n".encode() + b"line\r\n" * 50
WITHOUT_DSN = tuple(extension for extension in EXTENSIONS if extension != "DSN")
NO = "550-5.1.1 The account that you tried to reach\n550-5.1.1 does not exist. \x9b31m\n550 5.1.1  https://far.test/?p=No"


def submit(relay: RelayProcess, mail: str, *recipients: str, sender: str = SENDER) -> None:
    """Send one message with these parameters of MAIL and, behind the addresses, of RCPT."""
    with smtplib.SMTP("127.0.0.1", relay.port(), timeout=30) as connection:
        connection.ehlo()
        assert connection.docmd("MAIL", f"FROM:<{sender}> {mail}")[0] == 250
        for recipient in recipients:
            address, _, parameters = recipient.partition(" ")
            assert connection.docmd("RCPT", f"TO:<{address}> {parameters}".strip())[0] == 250
        assert connection.data(HEADER + BODY)[0] == 250


class Report:
    """A notice, taken apart as RFC 3464 says."""

    def __init__(self, transaction: Transaction) -> None:
        self.sender = transaction.sender.partition(" ")[0]
        self.recipients = [path.partition(" ")[0] for path in transaction.recipients]
        parsed = message_from_bytes(transaction.content, policy=policy.default)
        assert isinstance(parsed, EmailMessage)
        self.message = parsed
        assert [part.defects for part in parsed.walk() if part.defects] == []
        assert parsed.get_content_type() == "multipart/report"
        assert parsed.get_param("report-type") == "delivery-status"
        human, status, self.original = parsed.iter_parts()
        assert isinstance(human, EmailMessage)
        assert human.get_content_type() == "text/plain"
        self.text = str(human.get_content())
        assert status.get_content_type() == "message/delivery-status"
        groups = status.get_payload()
        assert isinstance(groups, list)
        self.about, *self.each = [group for group in groups if isinstance(group, Message) and group.keys()]
        for name in ("From", "To", "Subject", "Message-ID", "MIME-Version"):
            assert parsed[name], name
        assert abs(parsedate_to_datetime(parsed["Date"]).timestamp() - time.time()) < 60
        assert parsed["Auto-Submitted"].startswith("auto-")
        assert all(len(line) <= 998 for line in transaction.content.split(b"\r\n"))

    def field(self, name: str) -> list[str]:
        """A field of each recipient's group."""
        return [" ".join(str(group[name]).split()) for group in self.each]


def test_a_bounce(start_relay: StartRelay) -> None:
    with ScriptedServer() as provider:
        provider.script.for_recipient("gone@far.test", NO)
        provider.script.for_recipient("quiet@far.test", NO)
        relay = start_relay(plain_settings(provider.port))
        submit(
            relay,
            "RET=HDRS ENVID=QQ+2B314",
            "gone@far.test NOTIFY=FAILURE,DELAY ORCPT=rfc822;Gone+2Bx@far.test",
            "quiet@far.test NOTIFY=NEVER",
            "fine@far.test NOTIFY=SUCCESS",
        )
        first, second = provider.wait_for(2)
        assert first.recipients == ("<fine@far.test> NOTIFY=SUCCESS",), "a success is the next server's to tell"
        assert "ENVID=QQ+2B314" in first.sender
        report = Report(second)
        assert (report.sender, report.recipients) == ("<>", [f"<{SENDER}>"])
        assert "NOTIFY=NEVER" in second.recipients[0]
        assert report.about["Original-Envelope-Id"] == "QQ+314"
        assert report.about["Reporting-MTA"] == "dns; relay.clinic.test"
        assert report.field("Original-Recipient") == ["rfc822;Gone+x@far.test"]
        assert report.field("Final-Recipient") == ["rfc822;gone@far.test"]
        assert report.field("Action") == ["failed"]
        assert report.field("Status") == ["5.1.1"]
        assert report.field("Remote-MTA") == ["dns; 127.0.0.1"]
        [said] = report.field("Diagnostic-Code")
        assert said.startswith("smtp; 550 5.1.1 The account that you tried to reach does not exist.")
        assert "\x9b" not in said
        assert "What to do:" in report.text
        assert "quiet@far.test" not in report.text
        assert report.original.get_content_type() == "text/rfc822-headers"
        assert b"Dear" not in second.content


@pytest.mark.parametrize("extensions", [EXTENSIONS, ("PIPELINING",)], ids=["8BITMIME", "neither"])
def test_all_of_the_message_comes_back(start_relay: StartRelay, extensions: tuple[str, ...]) -> None:
    with ScriptedServer(extensions=extensions) as provider:
        provider.script.then("BODY", "554 5.7.1 Rejected")
        relay = start_relay(plain_settings(provider.port))
        submit(relay, "RET=FULL BODY=8BITMIME", "gone@far.test")
        report = Report(provider.wait_for(1)[0])
        assert report.original.get_content_type() == "message/rfc822"
        inner = report.original.get_payload()
        assert isinstance(inner, list)
        [whole] = inner
        assert isinstance(whole, EmailMessage)
        assert whole["Subject"] == "Result"
        octets = whole.get_payload(decode=True)
        assert isinstance(octets, bytes)
        assert octets.replace(b"\r\n", b"\n") == BODY[2:].replace(b"\r\n", b"\n")


def test_successes_where_the_upstream_tells_of_none(start_relay: StartRelay) -> None:
    with ScriptedServer(extensions=WITHOUT_DSN) as provider:
        relay = start_relay(plain_settings(provider.port))
        submit(
            relay,
            "ENVID=x1",
            "a@far.test NOTIFY=SUCCESS ORCPT=rfc822;A@far.test",
            "b@far.test",
            "c@far.test NOTIFY=NEVER",
        )
        first, second = provider.wait_for(2)
        assert first.recipients == ("<a@far.test>", "<b@far.test>", "<c@far.test>")
        report = Report(second)
        assert report.field("Action") == ["relayed"]
        assert report.field("Status") == ["2.0.0"]
        assert report.field("Original-Recipient") == ["rfc822;A@far.test"]
        assert report.about["Original-Envelope-Id"] == "x1"


@pytest.mark.parametrize("stage", ["BODY", "CONNECT"])
def test_a_delay_is_told_once_to_those_who_asked(start_relay: StartRelay, stage: str) -> None:
    with ScriptedServer() as provider, ScriptedServer() as other:
        provider.script.always(stage, "451 4.3.0 Later")
        settings = plain_settings(provider.port, delay_notice="1s")
        settings["upstream"]["other"] = settings["upstream"]["provider"] | {"port": other.port}
        settings["alerts"] = {"upstream": "other"}
        relay = start_relay(settings)
        submit(relay, "", "a@far.test NOTIFY=DELAY,FAILURE", "b@far.test NOTIFY=FAILURE", "c@far.test")
        relay.wait_for_event("notice")
        if stage == "BODY":
            # Its own upstream is open, and the notice goes by it.
            provider.script.well_again()
        server = other if stage == "CONNECT" else provider
        server.wait_for(1 if server is other else 2)
        [told] = [one for one in server.accepted if SENDER in str(one.recipients)]
        report = Report(told)
        assert report.field("Action") == ["delayed"]
        assert report.field("Final-Recipient") == ["rfc822;a@far.test"]
        assert report.field("Diagnostic-Code") == ["smtp; 451 4.3.0 Later"]
        until = parsedate_to_datetime(report.field("Will-Retry-Until")[0]).timestamp()
        assert abs(until - time.time() - 5 * 86400) < 60
        assert len(relay.log("notice")) == 1


def test_a_deadline_is_kept_and_told(start_relay: StartRelay) -> None:
    with ScriptedServer() as provider:
        provider.script.always("BODY", "451 4.3.0 Later")
        settings = plain_settings(provider.port)
        settings["client"]["clinic"] |= {"deadline": "1s"}
        relay = start_relay(settings)
        submit(relay, "", "a@far.test")
        [failed] = relay.wait_for_event("failed")
        told = relay.command("trace", failed["id"]).stdout
        assert "Send it again later" in told
        assert NOTHING not in told
        provider.script.well_again()
        report = Report(provider.wait_for(1)[0])
        assert report.field("Status") == ["4.4.7"]
        assert report.field("Diagnostic-Code") == ["smtp; 451 4.3.0 Later"]
        assert "4.4.7 Delivery time expired" in " ".join(report.text.split())


def test_a_deadline_does_not_stand_still_while_the_upstream_is_held(start_relay: StartRelay) -> None:
    with ScriptedServer() as provider:
        settings = plain_settings(provider.port)
        settings["client"]["patient"] = settings["client"]["clinic"] | {"networks": ["127.0.0.2/32"]}
        settings["client"]["clinic"] |= {"deadline": "1s"}
        relay = start_relay(settings)
        assert relay.command("queue", "hold", "--upstream", "provider").returncode == 0
        submit(relay, "", "late@far.test")
        with smtplib.SMTP("127.0.0.1", relay.port(), source_address=("127.0.0.2", 0), timeout=30) as connection:
            connection.sendmail(SENDER, ["patient@far.test"], HEADER + BODY)
        time.sleep(1.2)
        assert relay.log("failed") == []
        assert relay.command("queue", "release", "--upstream", "provider").returncode == 0
        provider.wait_for(2)
        [report] = [Report(one) for one in provider.accepted if SENDER in str(one.recipients)]
        assert report.field("Final-Recipient") == ["rfc822;late@far.test"]
        assert report.field("Status") == ["4.4.7"]
        assert not any("late@far.test" in str(one.recipients) for one in provider.transactions)
