"""A message comes in and goes out; what fails is tried again, returned, or held."""

import json
import smtplib
import time

import pytest

from tests.rig.relay import RelayProcess
from tests.rig.script import Answer
from tests.rig.scripted import ScriptedServer
from tests.rig.waiting import wait_until
from tests.scenario.conftest import StartRelay, plain_settings

SENDER = "no-reply@clinic.test"
MESSAGE = (
    b"From: <no-reply@clinic.test>\r\nTo: <patient@example.test>\r\nSubject: Result\r\n"
    b"Date: Mon, 02 Mar 2026 09:30:00 +1100\r\nMessage-ID: <1@clinic.test>\r\nMIME-Version: 1.0\r\n\r\nYour result.\r\n"
)


def send(relay: RelayProcess, *recipients: str, sender: str = SENDER) -> str:
    """Send one message; return its ID."""
    with smtplib.SMTP("127.0.0.1", relay.port(), timeout=30) as connection:
        connection.ehlo()
        connection.mail(sender)
        for recipient in recipients or ("patient@example.test",):
            assert connection.rcpt(recipient)[0] == 250
        code, text = connection.data(MESSAGE)
    assert code == 250
    return text.decode().rpartition(" ")[2]


def events(relay: RelayProcess, message_id: str) -> list[str]:
    """Return what the trace says happened to a message."""
    traced = relay.command("trace", message_id, "--json")
    assert traced.returncode == 0, traced.stderr
    return [event["event"] for event in json.loads(traced.stdout)[0]["events"]]


def test_relays(provider: ScriptedServer, start_relay: StartRelay) -> None:
    relay = start_relay(plain_settings(provider.port))
    message_id = send(relay)
    [arrived] = provider.wait_for(1)
    assert arrived.content.endswith(MESSAGE)
    assert message_id.encode() in arrived.content.partition(MESSAGE[:20])[0]
    relay.wait_for_event("relayed")
    assert events(relay, message_id)[-1] == "relayed"
    assert relay.metric("relay_recipients_settled_total", upstream="provider", outcome="relayed") == 1
    assert relay.metric("relay_messages_accepted_total", listener="submission", client="clinic") == 1


def test_defers_then_relays(provider: ScriptedServer, start_relay: StartRelay) -> None:
    provider.script.then("BODY", "451 4.3.0 Try again later", "451 4.3.0 Try again later")
    relay = start_relay(plain_settings(provider.port))
    message_id = send(relay)
    provider.wait_for(1)
    relay.wait_for_event("relayed")
    assert events(relay, message_id).count("deferred") == 2
    assert len(provider.accepted) == 1


def test_defers_while_the_upstream_is_down(provider: ScriptedServer, start_relay: StartRelay) -> None:
    provider.close()
    relay = start_relay(plain_settings(provider.port))
    ids = [send(relay) for _ in range(5)]
    wait_until(lambda: _upstream(relay)["state"] == "unreachable", "the upstream to be seen as unreachable", seconds=10)
    provider.open()
    provider.wait_for(5)
    relay.wait_for_event("relayed", count=5)
    assert sorted(line["id"] for line in relay.log("relayed")) == sorted(ids)
    assert _upstream(relay)["state"] == "open"


def test_bounces_when_expired(provider: ScriptedServer, start_relay: StartRelay) -> None:
    provider.script.for_recipient("patient@example.test", "450 4.2.1 Mailbox busy")
    relay = start_relay(plain_settings(provider.port, give_up="2s"))
    message_id = send(relay)
    [bounce] = provider.wait_for(1)
    assert bounce.sender.startswith("<>")
    assert [recipient.partition(">")[0] for recipient in bounce.recipients] == ["<no-reply@clinic.test"]
    assert b"Final-Recipient: rfc822;patient@example.test" in bounce.content.replace(b"; ", b";")
    assert b"Mailbox busy" in bounce.content
    assert b"Your result." not in bounce.content
    assert events(relay, message_id)[-1] in {"failed", "expired"}


def test_some_recipients_refused(provider: ScriptedServer, start_relay: StartRelay) -> None:
    provider.script.for_recipient("gone@example.test", "550 5.1.1 No such user")
    provider.script.for_recipient("busy@example.test", Answer("450 4.2.1 Busy"))
    relay = start_relay(plain_settings(provider.port))
    send(relay, "good@example.test", "gone@example.test", "busy@example.test")
    first, bounce = provider.wait_for(2)
    assert [recipient.partition(">")[0] for recipient in first.recipients] == ["<good@example.test"]
    assert bounce.sender.startswith("<>")
    assert b"gone@example.test" in bounce.content
    assert b"busy@example.test" not in bounce.content
    provider.script.well_again()
    last = provider.wait_for(3)[-1]
    assert [recipient.partition(">")[0] for recipient in last.recipients] == ["<busy@example.test"]


def test_a_null_reverse_path_is_never_bounced(provider: ScriptedServer, start_relay: StartRelay) -> None:
    provider.script.for_recipient("gone@example.test", "550 5.1.1 No such user")
    relay = start_relay(plain_settings(provider.port))
    send(relay, "gone@example.test", sender="")
    relay.wait_for_event("failed")
    send(relay, "good@example.test")
    assert [transaction.recipients[0].partition(">")[0] for transaction in provider.wait_for(1)] == [
        "<good@example.test"
    ]
    assert _queue(relay) == []


def test_a_wrong_password_upstream_holds_it_and_nothing_bounces(start_relay: StartRelay) -> None:
    with ScriptedServer(users={"clinic": "right"}) as provider:
        settings = plain_settings(provider.port, give_up="2s")
        upstream = {**settings["upstream"]["provider"]}
        upstream |= {"username": "clinic", "password": {"sealed": "provider"}}
        settings["upstream"] = {"provider": upstream}
        relay = start_relay_with_secret(start_relay, settings, "wrong")
        send(relay)
        wait_until(lambda: _upstream(relay)["state"] == "held", "the upstream to be held")
        assert _upstream(relay)["reason"] == "auth"
        assert relay.metric("relay_upstream_held", upstream="provider", reason="auth") == 1
        time.sleep(3)  # longer than give_up: time in which the upstream is held doesn't count
        assert len(_queue(relay)) == 1
        assert provider.accepted == []
        assert relay.command("secret", "set", "provider", text="right\n").returncode == 0
        provider.wait_for(1)
        relay.wait_for_event("released")


def start_relay_with_secret(start_relay: StartRelay, settings: dict[str, object], secret: str) -> RelayProcess:
    """Start a relay whose sealed store has the secret `provider` from the beginning."""
    relay = start_relay(plain_settings(9))
    assert relay.command("secret", "set", "provider", text=secret).returncode == 0
    relay.write_config(settings)
    relay.terminate()
    relay.start()
    return relay


def test_client_hangs_up_after_dot(provider: ScriptedServer, start_relay: StartRelay) -> None:
    relay = start_relay(plain_settings(provider.port))
    for _ in range(20):
        connection = smtplib.SMTP("127.0.0.1", relay.port(), timeout=30)
        connection.ehlo()
        connection.mail(SENDER)
        connection.rcpt("patient@example.test")
        connection.docmd("DATA")
        connection.send(MESSAGE + b".\r\n")
        connection.close()
    relay.wait_for_event("accepted", count=20)
    assert len(provider.wait_for(20)) == 20
    wait_until(
        lambda: relay.metric("relay_connections", listener="submission") == 0, "all connections to be counted off"
    )


def test_nobody_s_mail_is_relayed(provider: ScriptedServer, start_relay: StartRelay) -> None:
    settings = plain_settings(provider.port)
    settings["client"] = {"clinic": {"networks": ["192.0.2.0/24"], "upstream": "provider"}}
    relay = start_relay(settings)
    with (
        smtplib.SMTP("127.0.0.1", relay.port(), timeout=30) as connection,
        pytest.raises(smtplib.SMTPSenderRefused) as refused,
    ):
        connection.sendmail(SENDER, ["patient@example.test"], MESSAGE)
    assert refused.value.smtp_code in {530, 550}


def _upstream(relay: RelayProcess) -> dict[str, object]:
    found = relay.command("status", "--json")
    assert found.returncode == 0, found.stderr
    upstream: dict[str, object] = json.loads(found.stdout)["upstreams"][0]
    return upstream


def _queue(relay: RelayProcess) -> list[dict[str, object]]:
    found = relay.command("queue", "list", "--json")
    assert found.returncode == 0, found.stderr
    listed: list[dict[str, object]] = json.loads(found.stdout)
    return listed
