"""Large messages pass through without being in memory."""

import hashlib
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.rig.relay import RelayProcess
from tests.rig.scripted import ScriptedServer
from tests.scenario.conftest import StartRelay, plain_settings
from tests.scenario.test_relays import send

MIB = 1024 * 1024
LINE = b"0123456789abcdef" * 4 + b"\r\n"
BLOCK = LINE * 4096


@pytest.fixture
def provider() -> Iterator[ScriptedServer]:
    """An upstream that doesn't keep what it gets."""
    with ScriptedServer(keep_content=False) as server:
        yield server


def send_large(port: int, size: int) -> str:
    """Send `size` octets without holding them; return the digest of the body."""
    digest = hashlib.sha256()
    with socket.create_connection(("127.0.0.1", port), timeout=120) as connection, connection.makefile("rb") as replies:
        replies.readline()
        for command in (b"HELO large", b"MAIL FROM:<a@clinic.test>", b"RCPT TO:<b@example.test>", b"DATA"):
            connection.sendall(command + b"\r\n")
            assert replies.readline()[:1] in b"23"
        head = b"From: <a@clinic.test>\r\nDate: Mon, 02 Mar 2026 09:30:00 +1100\r\nMessage-ID: <1@c.test>\r\n"
        connection.sendall(head + b"MIME-Version: 1.0\r\n\r\n")
        for _ in range(size // len(BLOCK)):
            connection.sendall(BLOCK)
            digest.update(BLOCK)
        connection.sendall(b".\r\n")
        assert replies.readline().startswith(b"250"), "not accepted"
    return digest.hexdigest()


def _warmed_up(relay: RelayProcess, provider: ScriptedServer) -> int:
    for _ in range(100):
        send(relay)
    provider.wait_for(100)
    relay.wait_for_event("relayed", count=100)
    relay.forget_peak()
    return relay.resident()[0]


def test_one_of_150_mib(provider: ScriptedServer, start_relay: StartRelay) -> None:
    relay = start_relay(plain_settings(provider.port))
    before = _warmed_up(relay, provider)
    send_large(relay.port(), 150 * MIB)
    assert provider.wait_for(101, 90)[-1].size > 149 * MIB
    relay.wait_for_event("relayed", count=101)
    grown = relay.resident()[1] - before
    assert grown <= 30 * MIB, f"{grown / MIB:.1f} MiB"


def test_twenty_at_once_of_25_mib(provider: ScriptedServer, start_relay: StartRelay) -> None:
    relay = start_relay(plain_settings(provider.port))
    before = _warmed_up(relay, provider)
    threads = [threading.Thread(target=send_large, args=(relay.port(), 25 * MIB)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(transaction.size > 24 * MIB for transaction in provider.wait_for(120, 90)[100:])
    relay.wait_for_event("relayed", count=120)
    grown = relay.resident()[1] - before
    assert grown <= 60 * MIB, f"{grown / MIB:.1f} MiB"
