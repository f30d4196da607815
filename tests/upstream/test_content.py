"""Content on its way: streamed, interrupted, unreadable, re-encoded."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from relay.envelope import WholeContent
from relay.upstream.contract import Cause, Phase
from relay.upstream.transaction import PIECE
from tests.rig.certificate import CertificateAuthority
from tests.rig.scripted import EXTENSIONS, ScriptedServer
from tests.upstream.offering import MESSAGE, Cleared, envelope, mailbox, smarthost
from tests.upstream.raw import raw_server, until_data

CHUNK = (b"x" * 74 + b"\r\n") * 3449
"""About 256 KiB."""


@dataclass
class Stream:
    """So many chunks, with something done before each."""

    count: int
    before: Callable[[int], None] = lambda at: None
    eight_bit: bool = False

    @property
    def size(self) -> int:
        return self.count * len(CHUNK)

    async def chunks(self) -> AsyncIterator[bytes]:
        for at in range(self.count):
            self.before(at)
            yield CHUNK


@pytest.mark.parametrize("security", ["none", "starttls"])
async def test_a_large_message_is_never_whole_in_memory(security: str, tmp_path: Path) -> None:
    leaf = CertificateAuthority(tmp_path).leaf()
    process = psutil.Process()
    most = 0

    def look(at: int) -> None:
        nonlocal most
        most = max(most, process.memory_info().rss)

    with ScriptedServer(keep_content=False, security=security, leaf=leaf) as server:
        async with smarthost(server, ca_file=leaf.authority) as upstream:
            assert (await upstream.send(envelope(), Stream(8), Cleared())).phase is Phase.DONE
            before = process.memory_info().rss
            said = await upstream.send(envelope(), Stream(400, look), Cleared())
    assert said.phase is Phase.DONE
    assert most - before < 16 << 20
    digest = hashlib.sha256()
    for _ in range(400):
        digest.update(CHUNK)
    assert server.transactions[1].sha256 == digest.hexdigest()


@dataclass
class Pieces:
    """Content in the pieces given."""

    pieces: list[bytes]
    eight_bit: bool = False

    @property
    def size(self) -> int:
        return sum(map(len, self.pieces))

    async def chunks(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece


@pytest.mark.parametrize("security", ["none", "starttls"])
async def test_content_in_pieces_of_any_size_comes_through_as_it_is(security: str, tmp_path: Path) -> None:
    leaf = CertificateAuthority(tmp_path).leaf()
    lines = b".\r\n" * (PIECE // 3 + 1)
    contents = [
        *([b".\r\n", b""], [b"", b"", b"x\r\n"], [b"x\r\n.", b".\r\n", b"", b".\r\n"]),
        *([lines[: PIECE - 1], b"\r\n"], [lines], [lines, b""], [lines[:1], lines[1:]], [lines, lines]),
        *([b"y" * size + b"\r\n"] for size in (PIECE - 3, PIECE - 2, PIECE - 1, PIECE)),
    ]
    with ScriptedServer(security=security, leaf=leaf) as server:
        async with smarthost(server, ca_file=leaf.authority) as upstream:
            for pieces in contents:
                assert (await upstream.send(envelope(), Pieces(pieces), Cleared())).phase is Phase.DONE
    assert [one.content for one in server.transactions] == [b"".join(pieces) for pieces in contents]


@pytest.mark.parametrize("text", ["421 4.4.2 Too slow", "552 5.3.4 Too large"])
async def test_a_word_before_the_final_dot_ends_it(text: str) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await until_data(reader, writer, "PIPELINING")
        await reader.read(1 << 18)
        writer.write(text.encode() + b"\r\n")
        while await reader.read(1 << 18):
            pass

    async with raw_server(talk) as server, smarthost(server) as upstream:
        said = await upstream.send(envelope(), Stream(60), Cleared())
        assert (said.phase, str(said.reply), said.cause, said.ambiguous) == (Phase.CONTENT, text, None, False)
        assert upstream.connections == 0


async def test_hanging_up_before_the_final_dot_is_not_ambiguous() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await until_data(reader, writer, "PIPELINING")
        await reader.read(1 << 18)

    async with raw_server(talk) as server, smarthost(server) as upstream:
        said = await upstream.send(envelope(), Stream(60), Cleared())
    assert (said.phase, said.cause, said.ambiguous) == (Phase.CONTENT, Cause.DISCONNECTED, False)


async def test_a_server_that_stops_reading_times_out() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await until_data(reader, writer, "PIPELINING")
        await asyncio.sleep(60)

    async with raw_server(talk) as server, smarthost(server, timeout=0.2) as upstream:
        said = await upstream.send(envelope(), Stream(400), Cleared())
    assert (said.phase, said.cause, said.ambiguous) == (Phase.CONTENT, Cause.TIMEOUT, False)


async def test_slow_progress_is_progress() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await until_data(reader, writer, "PIPELINING")
        tail = b""
        while not tail.endswith(b"\r\n.\r\n"):
            tail = (tail + await reader.read(1 << 18))[-5:]
            await asyncio.sleep(0.02)
        writer.write(b"250 2.0.0 Ok\r\n")

    async with raw_server(talk) as server, smarthost(server, timeout=0.3) as upstream:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        said = await upstream.send(envelope(), Stream(60), Cleared())
        assert said.phase is Phase.DONE
        assert loop.time() - begun > 0.6


async def test_a_greeting_instead_of_a_final_reply_is_ambiguous() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await until_data(reader, writer, "PIPELINING")
        await reader.readuntil(b"\r\n.\r\n")
        writer.write(b"354 go on\r\n")
        await reader.read()

    async with raw_server(talk) as server, smarthost(server) as upstream:
        said = await upstream.send(envelope(), MESSAGE, Cleared())
    assert (said.phase, said.reply, said.cause) == (Phase.FINAL_DOT, None, Cause.GARBLED)


@pytest.mark.parametrize("data", ["250 Ok", "220 what", "334 "])
async def test_data_answered_otherwise_is_no_permission(data: str) -> None:
    got = b""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal got
        await until_data(reader, writer, "PIPELINING", final=data)
        while piece := await reader.read(1000):
            got += piece

    async with raw_server(talk) as server, smarthost(server) as upstream:
        said = await upstream.send(envelope(), MESSAGE, Cleared())
    assert (said.phase, said.cause) == (Phase.DATA, Cause.GARBLED)
    assert got == b""


@pytest.mark.parametrize("at", [0, 2, 59])
async def test_content_that_cannot_be_read_is_never_completed(at: int) -> None:
    def fail(now: int) -> None:
        if now == at:
            raise LookupError("gone")

    with ScriptedServer(keep_content=False) as server:
        async with smarthost(server) as upstream:
            said = await upstream.send(envelope(), Stream(60, fail), Cleared())
            assert (said.phase, said.cause, said.ambiguous) == (Phase.CONTENT, Cause.CONTENT_UNREADABLE, False)
            assert (await upstream.send(envelope(), MESSAGE, Cleared())).phase is Phase.DONE
    assert len(server.transactions) == 1


async def test_too_large_for_the_server_is_not_even_tried() -> None:
    with ScriptedServer(extensions=("SIZE 1000", "PIPELINING")) as server:
        async with smarthost(server) as upstream:
            cleared = Cleared()
            said = await upstream.send(envelope(), Stream(1), cleared)
            assert (said.phase, said.cause, str(said.reply)[:9]) == (Phase.MAIL, Cause.TOO_LARGE, "552 5.3.4")
            assert (await upstream.send(envelope(), MESSAGE, cleared)).phase is Phase.DONE
    assert cleared.mails == 1
    assert server.connections == 1


async def test_an_address_that_needs_smtputf8() -> None:
    with ScriptedServer(extensions=("PIPELINING", "8BITMIME")) as server:
        async with smarthost(server) as upstream:
            said = await upstream.send(envelope("jörg@example.test"), MESSAGE, Cleared())
    assert (said.phase, said.cause, str(said.reply)[:9]) == (Phase.MAIL, Cause.SMTPUTF8_MISSING, "550 5.6.7")
    with ScriptedServer() as server:
        async with smarthost(server) as upstream:
            said = await upstream.send(envelope("jörg@example.test"), MESSAGE, Cleared())
    assert said.phase is Phase.DONE
    assert server.transactions[0].recipients == (f"<{mailbox('jörg@example.test')}>",)


async def test_eight_bit_is_re_encoded_only_where_it_must_be() -> None:
    content = WholeContent("Content-Type: text/plain; charset=utf-8\r\n\r\nGröße\r\n".encode())
    with ScriptedServer() as server:
        async with smarthost(server) as upstream:
            await upstream.send(envelope(), content, Cleared())
    assert server.transactions[0].content == content.octets
    with ScriptedServer(extensions=("PIPELINING", "SIZE 1000")) as server:
        async with smarthost(server) as upstream:
            said = await upstream.send(envelope(), content, Cleared())
    assert said.phase is Phase.DONE
    [taken] = server.transactions
    assert taken.content.endswith(b"Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=B6=C3=9Fe\r\n")
    assert taken.sender == f"<no-reply@clinic.test> SIZE={len(taken.content)}"


async def test_long_lines_are_re_encoded_after_a_refusal_that_speaks_of_them() -> None:
    content = WholeContent(b"Subject: x\r\n\r\n" + b"y" * 1500 + b"\r\n")
    with ScriptedServer() as server:
        server.script.then("BODY", "500 5.5.2 Line too long")
        async with smarthost(server) as upstream:
            said = await upstream.send(envelope(), content, Cleared())
    assert said.phase is Phase.DONE
    assert said.reply
    assert said.reply.code == 250
    first, second = server.transactions
    assert first.content == content.octets
    assert b"quoted-printable" in second.content
    with ScriptedServer() as server:
        server.script.then("BODY", "500 5.5.2 Line too long")
        async with smarthost(server) as upstream:
            said = await upstream.send(envelope(), MESSAGE, Cleared())
    assert said.reply
    assert said.reply.code == 500
    assert len(server.transactions) == 1


async def test_long_lines_are_re_encoded_at_once_where_asked_for() -> None:
    content = WholeContent(b"Subject: x\r\n\r\n" + b"y" * 1500 + b"\r\n")
    with ScriptedServer() as server:
        async with smarthost(server, reencode_long_lines=True) as upstream:
            await upstream.send(envelope(), content, Cleared())
            await upstream.send(envelope(), MESSAGE, Cleared())
    assert b"quoted-printable" in server.transactions[0].content
    assert server.transactions[1].content == MESSAGE.octets


async def test_five_hundred_recipients() -> None:
    addresses = [f"patient{number}@example.test" for number in range(500)]
    with ScriptedServer(extensions=EXTENSIONS) as server:
        server.script.for_recipient("patient250@example.test", "550 5.1.1 No such user")
        async with smarthost(server) as upstream:
            said = await upstream.send(envelope(*addresses), MESSAGE, Cleared())
    assert [at for at, reply in enumerate(said.recipients) if reply and reply.code == 550] == [250]
    assert len(server.transactions[0].recipients) == 499


async def test_every_way_of_cutting_arrives_as_it_was() -> None:
    @dataclass(frozen=True)
    class Cut(WholeContent):
        step: int = 1

        async def chunks(self) -> AsyncIterator[bytes]:
            for start in range(0, len(self.octets), self.step):
                yield self.octets[start : start + self.step]

    with ScriptedServer() as server:
        async with smarthost(server) as upstream:
            for step in (1, 2, 3, 5, 1000):
                await upstream.send(envelope(), Cut(MESSAGE.octets, step), Cleared())
    assert {taken.content for taken in server.transactions} == {MESSAGE.octets}
