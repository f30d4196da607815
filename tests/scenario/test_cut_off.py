"""Clients that go at every moment of a message, while others work: it is stored whole, or not at all."""

import contextlib
import hashlib
import socket
import struct
import threading
from collections import Counter
from dataclasses import dataclass, field

import pytest

from tests.rig.relay import RelayProcess
from tests.rig.scripted import ScriptedServer
from tests.rig.waiting import wait_until
from tests.scenario.conftest import StartRelay, plain_settings
from tests.scenario.load import Load, body_of, digest_in, mark_in
from tests.soak.audit import copied, faults_of

ROUNDS = 3
SIZES = {"small": 3000, "large": 2_000_000}
"""Below and above what is streamed into the spool while it comes in."""

WHOLE = ("dot", "bdat last")
"""What ends a message: from there on it may be stored, before never."""

PARTS = (
    "half the content",
    "a line end",
    "a dot",
    "a dot and a CR",
    "half a chunk",
    "a chunk",
    "a chunk, half the next",
)
ENDINGS = ("close", "reset", "half-close")


@dataclass(slots=True)
class Cut:
    """One client that sends `part` of a message and goes by `ending`; `said` is what it still heard."""

    part: str
    ending: str
    size: str
    mark: str
    said: bytes = b""
    digest: str = ""


@dataclass(slots=True)
class Crowd:
    """All of them, in so many threads."""

    port: int
    cuts: list[Cut]
    waiting: list[Cut] = field(default_factory=list)

    def run(self) -> None:
        """Return once each is gone."""
        self.waiting = list(self.cuts)
        threads = [threading.Thread(target=self._work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _work(self) -> None:
        with contextlib.suppress(IndexError):
            while True:
                _go(self.port, self.waiting.pop())


def _go(port: int, cut: Cut) -> None:
    body = body_of(cut.mark, SIZES[cut.size])
    cut.digest = hashlib.sha256(body).hexdigest()
    whole = f"From: <a@clinic.test>\r\nX-Mark: {cut.mark}\r\n\r\n".encode() + body
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        _heard(connection, b"220 ")
        for command in (b"EHLO c", b"MAIL FROM:<a@clinic.test>", f"RCPT TO:<{cut.mark}@example.test>".encode()):
            connection.sendall(command + b"\r\n")
            _heard(connection, b"250 ")
        if "chunk" not in cut.part and "bdat" not in cut.part:
            connection.sendall(b"DATA\r\n")
            _heard(connection, b"354 ")
        with contextlib.suppress(ConnectionError):
            connection.sendall(_octets(cut.part, whole))
        if cut.ending == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif cut.ending == "half-close":
            connection.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionError):
                while piece := connection.recv(4096):
                    cut.said += piece


def _octets(part: str, whole: bytes) -> bytes:
    half = len(whole) // 2
    return {
        "dot": whole + b".\r\n",
        "bdat last": b"BDAT %d\r\n%bBDAT %d LAST\r\n%b" % (half, whole[:half], len(whole) - half, whole[half:]),
        "half the content": whole[:half],
        "a line end": whole,
        "a dot": whole + b".",
        "a dot and a CR": whole + b".\r",
        "half a chunk": b"BDAT %d LAST\r\n%b" % (len(whole), whole[:half]),
        "a chunk": b"BDAT %d\r\n%b" % (len(whole), whole),
        "a chunk, half the next": b"BDAT %d\r\n%bBDAT %d LAST\r\n%b" % (half, whole[:half], half, whole[half:-50]),
    }[part]


def _heard(connection: socket.socket, code: bytes) -> None:
    seen = b""
    while code not in seen or not seen.endswith(b"\r\n"):
        piece = connection.recv(4096)
        assert piece, seen
        seen += piece


@pytest.fixture
def cuts() -> list[Cut]:
    """Each part with each ending and size, several times, mixed."""
    kinds = [(part, ending, size) for part in WHOLE + PARTS for ending in ENDINGS for size in SIZES]
    mixed = [kinds[(place * 31) % len(kinds)] for place in range(len(kinds))]
    assert len(set(mixed)) == len(kinds)
    return [Cut(*kind, f"cut{place}-{turn}") for turn in range(ROUNDS) for place, kind in enumerate(mixed)]


def test_stored_whole_or_not_at_all(provider: ScriptedServer, start_relay: StartRelay, cuts: list[Cut]) -> None:
    relay = start_relay(plain_settings(provider.port))
    load = Load(relay.port(), sessions=4)
    load.start()
    Crowd(relay.port(), cuts).run()
    load.stop()
    wait_until(lambda: relay.metric("relay_connections", listener="submission") == 0, "all connections to be over")
    wait_until(lambda: relay.metric("relay_queue_recipients", upstream="provider") == 0, "everything to be relayed")
    arrived = {mark_in(one.content): digest_in(one.content) for one in provider.accepted}
    assert max(Counter(mark_in(one.content) for one in provider.accepted).values()) == 1
    assert {mark: arrived[mark] for mark in load.accepted} == load.accepted
    for cut in cuts:
        assert arrived.get(cut.mark, cut.digest) == cut.digest, f"damaged: {cut}"
        if cut.part not in WHOLE:
            assert cut.mark not in arrived, f"not even complete: {cut}"
            assert b"250 2.0.0 Ok: queued" not in cut.said, cut
        elif cut.ending == "half-close" or (cut.part, cut.ending) == ("dot", "close"):
            # Closed with the reply to the first chunk unread, a socket is reset.
            assert cut.mark in arrived, f"lost: {cut}"
    heard = [cut for cut in cuts if cut.part in WHOLE and cut.ending == "half-close"]
    assert all(b"250 2.0.0 Ok: queued" in cut.said for cut in heard)
    assert relay.log("error") == []
    # Large content goes in steps behind the message's end.
    wait_until(lambda: _faults(relay) == [], "nothing to be left over", pause=0.5)
    assert relay.terminate() == 0
    assert _faults(relay) == []


def _faults(relay: RelayProcess) -> list[str]:
    with copied(relay.state_dir) as spool:
        return faults_of(spool, ended=True)
