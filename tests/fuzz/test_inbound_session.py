"""Whole sessions of nonsense: nothing raises, and what was promised is exactly what was put."""

import asyncio
import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from relay.config.settings import Settings
from relay.inbound.inflow import Inflow
from relay.inbound.premises import Premises
from relay.inbound.session import NOTHING, Session
from relay.inbound.wire import Disconnected
from relay.journal import Journal
from relay.metrics import Metrics
from relay.reply import Reply
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
_ADDRESS = ipaddress.ip_address("127.0.0.1")


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


class Octets:
    """A wire on which all has been said beforehand, and comes in pieces."""

    def __init__(self, octets: bytes, piece: int) -> None:
        self.said: list[Reply] = []
        self._reader = asyncio.StreamReader()
        self._inflow = Inflow(self._reader)
        self._octets = octets
        self._piece = piece

    @property
    def deserted(self) -> bool:
        return False

    @property
    def tls(self) -> str | None:
        return None

    def say(self, reply: Reply) -> None:
        self.said.append(reply)

    async def line(self, most: int) -> bytes | None:
        while (line := self._inflow.line(most)) is None:
            await self.more()
        return line

    def take(self) -> bytes:
        return self._inflow.take()

    def put_back(self, octets: bytes) -> None:
        self._inflow.put_back(octets)

    async def more(self) -> None:
        if not self._octets:
            raise Disconnected
        self._reader.feed_data(self._octets[: self._piece])
        self._octets = self._octets[self._piece :]

    def progressed(self) -> None:
        pass

    def busy(self) -> None:
        pass

    async def start_tls(self) -> bool:
        raise AssertionError("none is offered")


def settings(tmp: str, networks: bool) -> Settings:
    from pathlib import Path

    known = {"networks": ["127.0.0.1"], "upstream": "isp"}
    careright = {"username": "careright", "password": {"env": "P"}, "upstream": "isp"}
    return settings_from({"client": {"lab": known} if networks else {"careright": careright}}, Path(tmp))


_BY_NETWORK, _BY_LOGIN = settings("/tmp", True), settings("/tmp", False)


async def _converse(octets: bytes, piece: int, networks: bool) -> tuple[list[Reply], Spool]:
    spool = Spool()
    used = _BY_NETWORK if networks else _BY_LOGIN
    premises = Premises(used, KnownSecrets(), spool, Journal(Metrics("test")))
    wire = Octets(octets, piece)
    session = Session("door", used.listener["door"], premises, wire, _ADDRESS)
    try:
        while not session.over:
            line = await wire.line(4096)
            assert line is not None
            reply = session.answer(line)
            said = reply if isinstance(reply, Reply) else await reply
            if said is not NOTHING:
                wire.say(said)
    except Disconnected:
        pass
    await session.close()
    return wire.said, spool


@given(_LINES, _ENDS, st.integers(1, 50), st.booleans())
def test_nonsense(lines: list[bytes], ends: list[bytes], piece: int, networks: bool) -> None:
    octets = b"EHLO pc\r\n" + b"".join(line + end for line, end in zip(lines, ends, strict=False))
    said, spool = asyncio.run(_converse(octets, piece, networks))
    promised = [reply.text.rpartition(" ")[2] for reply in said if reply.text.startswith("Ok: queued as ")]
    assert promised == spool.put_ids
    assert all(reply.status is not None for reply in said if reply.code not in (220, 250, 334, 354))
    if not networks and not any(reply.code == 235 for reply in said):
        assert spool.put_ids == []
