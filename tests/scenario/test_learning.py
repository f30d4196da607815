"""A listener that learns: unknown devices are refused as ever, and can be admitted by copying a few lines."""

import contextlib
import datetime
import smtplib
import socket
import ssl
import tomllib
from typing import Any

import pytest

from tests.rig.relay import RelayProcess
from tests.rig.toml import Value
from tests.rig.waiting import wait_until
from tests.scenario.conftest import StartRelay
from tests.scenario.test_commands import asked

SOON = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)
PAST = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)


def learning(until: datetime.datetime | None, security: str = "none") -> dict[str, Value]:
    listener: dict[str, Value] = {"security": security}
    if until is not None:
        listener["learn_until"] = until.replace(microsecond=0)
    return {
        "listener": {"submission": listener},
        "client": {"lab": {"networks": ["10.99.0.0/16"], "upstream": "sandbox"}},
        "upstream": {"sandbox": {"type": "capture"}},
    }


def scan(relay: RelayProcess, *, login: bool = False) -> None:
    """What a scanner does: hello, perhaps a login, MAIL; all of it refused."""
    with smtplib.SMTP("127.0.0.1", relay.port(), local_hostname="scanner.ward3", timeout=10) as client:
        client.ehlo()
        if login:
            with contextlib.suppress(smtplib.SMTPAuthenticationError):
                client.login("scan", "not-known")
        assert client.mail("scan@clinic.test")[0] in {530, 550}


def seen(relay: RelayProcess) -> list[dict[str, Any]]:
    found = asked(relay, "clients", "seen")
    assert isinstance(found, list)
    return found


def test_an_unknown_device_is_recorded_and_its_lines_admit_it(start_relay: StartRelay) -> None:
    relay = start_relay(learning(SOON))
    scan(relay)
    scan(relay, login=True)
    wait_until(lambda: [one["times"] for one in seen(relay)] == [2], "the device to be recorded")
    [device] = seen(relay)
    assert (device["address"], device["listener"], device["hello"]) == ("127.0.0.1", "submission", "EHLO")
    assert (device["helo"], device["sender"], device["tls"]) == ("scanner.ward3", "<scan@clinic.test>", None)
    assert (device["mechanism"], device["username"]) == ("LOGIN", "scan")
    assert device["first"] <= device["last"]
    lines = tomllib.loads(device["toml"])
    assert lines == {
        "client": {
            "scanner": {
                "username": "scan",
                "password": {"sealed": "scanner"},
                "networks": ["127.0.0.1/32"],
                "upstream": "sandbox",
                "senders": ["scan@clinic.test"],
            }
        }
    }
    assert "scanner.ward3" in relay.command("clients", "seen").stdout
    relay.command("secret", "set", "scanner", text="not-known")
    relay.config.write_text(relay.config.read_text() + "\n" + device["toml"])
    relay.reload()
    relay.wait_for_event("reloaded")
    with smtplib.SMTP("127.0.0.1", relay.port(), timeout=10) as client:
        client.login("scan", "not-known")
        client.sendmail("scan@clinic.test", ["ward3@clinic.test"], "Subject: x\n\nx\n")


def test_the_record_outlives_the_process_and_what_is_admitted_leaves_it(start_relay: StartRelay) -> None:
    relay = start_relay(learning(SOON))
    scan(relay)
    assert relay.terminate() == 0
    [device] = seen(relay)
    assert device["times"] == 1
    lines = device["toml"]
    relay.start()
    scan(relay)
    wait_until(lambda: seen(relay)[0]["times"] == 2, "the count to go on")
    relay.config.write_text(relay.config.read_text() + "\n" + lines)
    assert seen(relay) == []


@pytest.mark.parametrize("until", [None, PAST])
def test_nothing_is_recorded_where_nothing_learns(start_relay: StartRelay, until: datetime.datetime | None) -> None:
    relay = start_relay(learning(until))
    scan(relay)
    assert relay.terminate() == 0
    assert seen(relay) == []
    assert not (relay.state_dir / "devices.json").exists()


def test_a_device_without_tls_and_one_with_another_tls(start_relay: StartRelay) -> None:
    relay = start_relay(learning(SOON, security="starttls"))
    with socket.create_connection(("127.0.0.1", relay.port()), timeout=10) as raw, raw.makefile("rwb") as talk:
        for command, code in (("", "220"), ("HELO analyser", "250"), ("MAIL FROM:<a@b.test>", "530"), ("QUIT", "221")):
            talk.write(f"{command}\r\n".encode() if command else b"")
            talk.flush()
            assert talk.readline().decode().startswith(code)
    wait_until(lambda: seen(relay) != [], "the device to be recorded")
    [device] = seen(relay)
    assert (device["hello"], device["helo"]) == ("HELO", "analyser")
    assert "demands: switch TLS on in the device" in device["toml"]
    context = ssl.create_default_context()
    with smtplib.SMTP("127.0.0.1", relay.port(), timeout=10) as client, pytest.raises(ssl.SSLError):
        client.starttls(context=context)
    wait_until(lambda: seen(relay)[0]["times"] >= 2, "the handshake that failed to be recorded")
