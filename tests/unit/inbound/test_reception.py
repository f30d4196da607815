from collections.abc import Callable

import pytest

from relay.envelope import CHUNK, WHOLE, Content
from relay.inbound import replies
from relay.inbound.reception import Reception, Refusal
from relay.spool.contract import SpoolError


class Draft:
    def __init__(self, error: SpoolError | None = None) -> None:
        self.pieces: list[bytes] = []
        self.discarded = False
        self.error = error

    async def write(self, octets: bytes) -> None:
        if self.error is not None and self.pieces:
            raise self.error
        self.pieces.append(octets)

    async def content(self, *, eight_bit: bool) -> Content:
        raise NotImplementedError

    async def discard(self) -> None:
        self.discarded = True


def marked(header: bytes) -> bytes:
    return b"Received: ours\r\n" + header


def reception(
    draft: Draft,
    most: int = 1 << 30,
    declared: int = 0,
    complete: Callable[[bytes], bytes | Refusal] = marked,
) -> Reception:
    return Reception(most, declared, complete, lambda: draft)


async def feed(taking: Reception, octets: bytes, piece: int = 100_000) -> bytes | None:
    for position in range(0, len(octets), piece):
        if taking.add(octets[position : position + piece]):
            await taking.spill()
    content = await taking.finish()
    if isinstance(content, Draft):
        return b"".join(content.pieces)
    assert content is None or isinstance(content, bytes)
    return content


@pytest.mark.parametrize("size", [0, 10, WHOLE - 1000, WHOLE + 1000, 3 * WHOLE])
async def test_content_comes_through_whole_or_by_a_draft(size: int) -> None:
    draft = Draft()
    taking = reception(draft)
    body = (b"x" * 98 + b"\r\n") * (size // 100)
    content = await feed(taking, b"Subject: x\r\n\r\n" + body)
    assert content == b"Received: ours\r\nSubject: x\r\n\r\n" + body
    assert taking.size == len(content)
    assert not taking.eight_bit
    assert bool(draft.pieces) is (size > WHOLE)
    assert all(len(piece) <= WHOLE for piece in draft.pieces)
    assert not draft.discarded


async def test_who_announces_a_large_message_is_written_early() -> None:
    draft = Draft()
    taking = reception(draft, declared=WHOLE + 1)
    held = CHUNK // 1000 * 1000 + 2000
    assert any(taking.add(b"Subject: x\r\n\r\n" if not at else b"y" * 998 + b"\r\n") for at in range(held // 1000 + 1))


async def test_nothing_is_written_before_the_header_is_judged() -> None:
    draft = Draft()
    refused = reception(draft, complete=lambda _header: (replies.MAIL_LOOP, "loop"))
    assert await feed(refused, b"Subject: x\r\n\r\n" + b"y" * 3 * WHOLE) is None
    assert refused.refusal == (replies.MAIL_LOOP, "loop")
    assert draft.pieces == []


async def test_too_much_after_a_part_was_written_gives_the_room_back() -> None:
    draft = Draft()
    taking = reception(draft, most=2 * WHOLE)
    assert await feed(taking, b"Subject: x\r\n\r\n" + b"y" * 3 * WHOLE) is None
    assert taking.refusal == (replies.TOO_LARGE, "size")
    assert draft.pieces
    assert draft.discarded


@pytest.mark.parametrize(("full", "reply"), [(True, replies.SPOOL_FULL), (False, replies.SPOOL_BROKEN)])
async def test_a_spool_that_fails_on_the_way(full: bool, reply: object) -> None:
    draft = Draft(SpoolError("x", full=full))
    taking = reception(draft)
    assert await feed(taking, b"Subject: x\r\n\r\n" + b"y" * 3 * WHOLE) is None
    assert taking.refusal == (reply, "spool")
    assert draft.discarded


async def test_eight_bits() -> None:
    taking = reception(Draft())
    await feed(taking, b"Subject: x\r\n\r\n\xff\r\n")
    assert taking.eight_bit


async def test_hanging_up_gives_the_room_back() -> None:
    draft = Draft()
    taking = reception(draft)
    for _ in range(30):
        if taking.add(b"Subject: x\r\n\r\n" + b"y" * 100_000):
            await taking.spill()
    await taking.discard()
    assert draft.discarded
