"""A copy of everything a client sends: nobody sees it, and what becomes of it is no affair of the sender."""

import json
import smtplib

import pytest

from tests.rig.relay import RelayProcess
from tests.rig.scripted import ScriptedServer
from tests.rig.waiting import wait_until
from tests.scenario.conftest import StartRelay, plain_settings
from tests.scenario.test_relays import send

COPY = "sent-archive@clinic.test"


def started(start_relay: StartRelay, port: int, **client: object) -> RelayProcess:
    settings = plain_settings(port)
    settings["client"]["clinic"] |= {"bcc": [COPY], **client}
    return start_relay(settings)


def states(relay: RelayProcess, message_id: str) -> dict[str, str]:
    found = relay.command("trace", message_id, "--json")
    assert found.returncode == 0, found.stderr
    traced: dict[str, str] = json.loads(found.stdout)[0]["states"]
    return traced


def test_a_copy_goes_out_and_nobody_sees_it(provider: ScriptedServer, start_relay: StartRelay) -> None:
    relay = started(start_relay, provider.port)
    message_id = send(relay)
    [arrived] = provider.wait_for(1)
    assert [path.partition(">")[0] for path in arrived.recipients] == ["<patient@example.test", f"<{COPY}"]
    assert COPY.encode() not in arrived.content
    relay.wait_for_event("relayed")
    assert states(relay, message_id) == {"patient@example.test": "relayed", COPY: "relayed"}
    assert len(provider.accepted) == 1


def test_who_is_written_to_anyway_gets_it_once(provider: ScriptedServer, start_relay: StartRelay) -> None:
    relay = started(start_relay, provider.port)
    send(relay, COPY)
    assert len(provider.wait_for(1)[0].recipients) == 1


@pytest.mark.parametrize("failures_to", [[], ["reception@clinic.test"]])
def test_a_copy_that_fails_is_not_bounced_to_the_sender(
    provider: ScriptedServer, start_relay: StartRelay, failures_to: list[str]
) -> None:
    provider.script.for_recipient(COPY, "550 5.1.1 No such user")
    relay = started(start_relay, provider.port, failures_to=failures_to)
    message_id = send(relay)
    wait_until(lambda: states(relay, message_id)[COPY] == "failed", "the copy's outcome")
    assert states(relay, message_id)["patient@example.test"] == "relayed"
    if failures_to:
        notice = provider.wait_for(2)[1]
        assert [path.partition(">")[0] for path in notice.recipients] == ["<reception@clinic.test"]
        assert COPY.encode() in notice.content
    else:
        relay.wait_for_event("nobody_to_tell")
        assert len(provider.accepted) == 1


def test_a_client_that_waits_hears_of_its_own_recipients(provider: ScriptedServer, start_relay: StartRelay) -> None:
    relay = started(start_relay, provider.port, delivery="direct")
    provider.script.for_recipient("gone@example.test", "550 5.1.1 No such user")
    with smtplib.SMTP("127.0.0.1", relay.port(), timeout=30) as connection:
        connection.ehlo()
        for recipient, code in (("gone@example.test", 550), ("patient@example.test", 250)):
            connection.mail("no-reply@clinic.test")
            connection.rcpt(recipient)
            assert connection.data(f"From: no-reply@clinic.test\r\nMessage-ID: <{code}@x>\r\n\r\nx\r\n")[0] == code
