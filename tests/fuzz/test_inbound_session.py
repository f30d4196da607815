"""Whole sessions of nonsense: nothing raises, and what was promised is exactly what was put."""

import asyncio
import re

from hypothesis import given
from hypothesis import strategies as st

from relay.config.settings import Settings
from relay.inbound.listener import Listener
from relay.inbound.premises import Premises
from relay.inbound.protocol import Protocol
from relay.journal import Journal
from relay.metrics import Metrics
from relay.spool.contract import Arrival, Draft, SpoolError
from tests.dialogue.entrance import KnownSecrets, settings_from

_COMMANDS = [
    b"EHLO pc", b"HELO pc", b"MAIL FROM:<a@b.test>", b"MAIL FROM:<> SIZE=99", b"MAIL FROM:<x", b"RCPT TO:<c@d.test>",
    b"RCPT TO:<c@d.test> NOTIFY=NEVER", b"RCPT TO:<>", b"DATA", b"RSET", b"NOOP", b"BDAT 5", b"BDAT 3 LAST",
    b"BDAT 0 LAST", b"BDAT", b"STARTTLS", b"AUTH PLAIN AGNhcmVyaWdodABnZWhlaW0=", b"AUTH LOGIN", b"AUTH CRAM-MD5", b"*",
    b"VRFY x", b".", b"Subject: x", b"", b"\0", b"\xff\xfe", b"QUIT now",
]  # fmt: skip
_SENSE = [b"MAIL FROM:<a@b.test>", b"RCPT TO:<c@d.test>", b"DATA", b"Subject: x", b"", b".."]
_PARTS = st.one_of(
    st.sampled_from(_COMMANDS).map(lambda command: [command]),
    st.integers(1, 6).map(lambda end: _SENSE[:end]),
    st.just([*_SENSE, b"."]),
)
_LINES = st.lists(_PARTS, max_size=15).map(lambda parts: [line for part in parts for line in part])
_ENDS = st.lists(st.sampled_from([b"\r\n"] * 20 + [b"\n", b"\r"]), min_size=110, max_size=110)
_REPLY = re.compile(r"(220|250|334|354)[ -]|[2-5]\d\d [245]\.\d+\.\d+ ")


class Spool:
    """Counts, and keeps no mail."""

    def __init__(self) -> None:
        self.put_ids: list[str] = []
        self.count = 0

    def next_id(self) -> str:
        self.count += 1
        return f"{self.count:04}"

    def refusal(self) -> SpoolError | None:
        return None

    def waiting(self, client: str) -> int:
        return 0

    def draft(self) -> Draft:
        raise AssertionError("nothing here is large")

    async def put(self, arrival: Arrival) -> None:
        assert arrival.envelope.recipients
        assert isinstance(arrival.content, bytes)
        assert arrival.content.startswith(b"Received: ")
        assert arrival.content.endswith(b"\r\n")
        assert len(arrival.content) == arrival.size
        self.put_ids.append(arrival.id)


class Line(asyncio.Transport):
    """The near end of a connection whose far end only talks."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 50000)})
        self.said = b""
        self._closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self._closing
        self.said += data

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._closing = True

    def abort(self) -> None:
        raise AssertionError("who only talks is not cut off")


def settings(tmp: str, networks: bool) -> Settings:
    from pathlib import Path

    known = {"networks": ["127.0.0.1"], "upstream": "isp"}
    careright = {"username": "careright", "password": {"env": "P"}, "upstream": "isp"}
    return settings_from({"client": {"lab": known} if networks else {"careright": careright}}, Path(tmp))


_BY_NETWORK, _BY_LOGIN = settings("/tmp", True), settings("/tmp", False)


async def _converse(octets: bytes, piece: int, networks: bool, in_turn: bool) -> tuple[list[str], Spool]:
    """Return the lines said. `in_turn`: each piece comes when the one before it has been worked on."""
    spool = Spool()
    used = _BY_NETWORK if networks else _BY_LOGIN
    premises = Premises(used, KnownSecrets(), spool, Journal(Metrics("test")))
    listener = Listener("door", used.listener["door"], premises)
    connection, line = Protocol(listener, None), Line()
    connection.connection_made(line)
    ending = connection.ending()
    for at in range(0, len(octets), piece):
        if line.is_closing():
            break
        connection.data_received(octets[at : at + piece])
        if in_turn:
            await asyncio.sleep(0)
    connection.eof_received()
    await asyncio.wait_for(ending, 30)
    connection.connection_lost(None)
    assert not listener.connections
    return line.said.decode().splitlines(), spool


@given(_LINES, _ENDS, st.integers(1, 50), st.booleans(), st.booleans())
def test_nonsense(lines: list[bytes], ends: list[bytes], piece: int, networks: bool, in_turn: bool) -> None:
    octets = b"EHLO pc\r\n" + b"".join(line + end for line, end in zip(lines, ends, strict=False))
    said, spool = asyncio.run(_converse(octets, piece, networks, in_turn))
    assert said[0].startswith("220 ")
    assert all(_REPLY.match(line) for line in said)
    promised = [line.rpartition(" ")[2] for line in said if line.startswith("250 2.0.0 Ok: queued as ")]
    assert promised == spool.put_ids
    if not networks and not any(line.startswith("235 ") for line in said):
        assert spool.put_ids == []
