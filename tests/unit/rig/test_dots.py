"""The scripted server reads a body exactly as it was before dot-stuffing, however it comes in."""

import asyncio
from collections.abc import AsyncIterator

from hypothesis import given
from hypothesis import strategies as st

from tests.rig.dots import unstuffed

LINES = st.lists(st.text("a.", max_size=4).map(str.encode), max_size=12)


@given(lines=LINES, cuts=st.lists(st.integers(1, 9), min_size=1, max_size=40), read_already=st.integers(0, 12))
def test_content_and_what_follows_come_apart(lines: list[bytes], cuts: list[int], read_already: int) -> None:
    content = b"".join(line + b"\r\n" for line in lines)
    stuffed = b"".join((b"." if line.startswith(b".") else b"") + line + b"\r\n" for line in lines)
    wire = stuffed + b".\r\nQUIT\r\n"

    async def received() -> tuple[bytes, bytes]:
        reader = asyncio.StreamReader()
        rest = bytearray(wire[:read_already])
        body = bytearray()
        at, left = read_already, list(cuts)
        pieces = unstuffed(reader, rest)
        reading = asyncio.ensure_future(_all(pieces, body))
        while at < len(wire):
            size = left.pop() if left else 7
            reader.feed_data(wire[at : at + size])
            at += size
            await asyncio.sleep(0)
        reader.feed_eof()
        await reading
        return bytes(body), bytes(rest) + await reader.read()

    assert asyncio.run(received()) == (content, b"QUIT\r\n")


async def _all(pieces: AsyncIterator[bytes], body: bytearray) -> None:
    async for piece in pieces:
        body += piece
