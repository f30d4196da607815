"""A client's disclaimer in what its recipients get, whatever the size; its file may change while the relay runs."""

import email
import email.policy
import smtplib
from email.message import EmailMessage
from pathlib import Path

from tests.rig.relay import RelayProcess
from tests.rig.scripted import ScriptedServer
from tests.rig.waiting import wait_until
from tests.scenario.conftest import StartRelay, plain_settings


def composed(size: int = 0) -> EmailMessage:
    message = EmailMessage(policy=email.policy.SMTP)
    message["From"], message["To"], message["Subject"] = "app@clinic.test", "patient@example.test", "Result"
    message.set_content("Your result.\n")
    message.add_alternative("<html><body><p>Your result.</p></body></html>", subtype="html")
    if size:
        message.add_attachment(bytes(size), maintype="application", subtype="pdf", filename="a.pdf")
    return message


def sent(relay: RelayProcess, message: EmailMessage) -> None:
    with smtplib.SMTP("127.0.0.1", relay.port(), timeout=60) as connection:
        connection.send_message(message)


def read(content: bytes) -> EmailMessage:
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def parts_of(message: EmailMessage) -> tuple[str, str]:
    plain, page = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert page is not None
    return plain.get_content().replace("\r\n", "\n"), page.get_content().replace("\r\n", "\n")


def test_disclaimers(provider: ScriptedServer, start_relay: StartRelay, tmp_path: Path) -> None:
    page = tmp_path / "disclaimer.html"
    page.write_text("<p>Vertraulich ✓</p>", encoding="utf-8")
    settings = plain_settings(provider.port)
    settings["client"]["clinic"] |= {"disclaimer_html": {"file": str(page)}, "reply_to": "desk@clinic.test"}
    relay = start_relay(settings)
    for size in (0, 5 << 20):
        sent(relay, composed(size))
        arrived = read(provider.wait_for(1 + bool(size))[-1].content)
        plain, html = parts_of(arrived)
        assert plain == "Your result.\n\nVertraulich ✓\n"
        assert html.replace("\n", "") == "<html><body><p>Your result.</p><p>Vertraulich &#10003;</p></body></html>"
        assert arrived["Reply-To"] == "desk@clinic.test"
        assert [part.get_content() for part in arrived.iter_attachments()] == ([bytes(size)] if size else [])
    page.write_text("<p>Another one</p>", encoding="utf-8")
    wait_until(lambda: relay.log("files_changed"), "the file to be seen")
    sent(relay, composed())
    plain, html = parts_of(read(provider.wait_for(3)[-1].content))
    assert ("Another one" in plain, "Vertraulich" in plain) == (True, False)


def test_a_large_message_is_never_whole_in_memory(provider: ScriptedServer, start_relay: StartRelay) -> None:
    settings = plain_settings(provider.port)
    settings["client"]["clinic"] |= {"disclaimer_text": "Vertraulich ✓", "reply_to": "desk@clinic.test"}
    relay = start_relay(settings)
    sent(relay, composed())
    provider.wait_for(1)
    message = composed(40 << 20)
    relay.forget_peak()
    before = relay.resident()[0]
    sent(relay, message)
    arrived = provider.wait_for(2)[-1].content
    assert arrived.count("Vertraulich ✓".encode()) + arrived.count(b"Vertraulich =E2=9C=93") == 1
    assert b"Vertraulich &#10003;" in arrived
    assert relay.resident()[1] - before < 20 << 20, "of a message of 54 MiB"
