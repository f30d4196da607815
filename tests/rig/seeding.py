"""A spool with many messages waiting, put as a client's are: for tests and measurements of a long queue."""

import asyncio
import time
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path

from relay.address import Mailbox
from relay.envelope import Envelope, Notify, Origin, Recipient
from relay.spool.contract import Arrival
from relay.spool.records import Gate, HoldReason, Priority
from relay.spool.store import Spool

_AT_ONCE = 1024
"""Puts that wait for one commit: more than a group takes, so that the writer never waits."""

_DAY = 86_400_000


def seed(
    target: Path | str,
    count: int,
    *,
    size: int = 1024,
    upstream: str = "away",
    client: str = "any",
    accepted_at: int | None = None,
    give_up_after: int = 5 * _DAY,
    priority: Priority = Priority.NORMAL,
    notify: Notify | None = None,
) -> None:
    """Put `count` messages of `size` octets for `upstream` into the spool of a stopped relay.

    `target` is its state_dir, or the URL of its database. The messages were accepted from `accepted_at` on (default:
    just now), a millisecond apart, and are given up `give_up_after` milliseconds later. A million take three minutes.
    """
    first_at = time.time_ns() // 1_000_000 - count if accepted_at is None else accepted_at
    if isinstance(target, Path):
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
    asyncio.run(_seed(target, first_at, _envelopes(count, notify), size, upstream, client, give_up_after, priority))


def _envelopes(count: int, notify: Notify | None) -> Iterator[tuple[int, Envelope]]:
    for at in range(count):
        recipient = Recipient(Mailbox(f"patient{at}", "example.test"), notify)
        yield at, Envelope(Mailbox("app", "clinic.test"), (recipient,))


async def _seed(
    target: Path | str,
    first_at: int,
    envelopes: Iterator[tuple[int, Envelope]],
    size: int,
    upstream: str,
    client: str,
    give_up_after: int,
    priority: Priority,
) -> None:
    content = _content(size)
    spool = await _opened(target)
    try:

        async def putting() -> None:
            for at, envelope in envelopes:
                now = first_at + at
                arrival = Arrival(
                    id=spool.intake.next_id(),
                    origin=Origin("in", client, "127.0.0.1", "app.test", None, None),
                    envelope=envelope,
                    candidates=(upstream,),
                    content=content,
                    size=size,
                    eight_bit=False,
                    header_from="app@clinic.test",
                    message_id=f"<{at}@app.test>",
                    accepted_at=now,
                    give_up_at=now + give_up_after,
                    priority=priority,
                )
                await spool.intake.put(arrival)

        await asyncio.gather(*(one() for one in repeat(putting, _AT_ONCE)))
    finally:
        await spool.aclose()


async def _opened(target: Path | str) -> Spool:
    if isinstance(target, Path):
        return await Spool.open("", target, reserve=0, serving=False)
    return await Spool.open(target, Path(), node="seeding", reserve=0, serving=False)


def _content(size: int) -> bytes:
    header = b"From: <app@clinic.test>\r\nSubject: waiting\r\nMessage-ID: <1@app.test>\r\n\r\n"
    line = b"0123456789abcdef" * 4 + b"\r\n"
    return (header + line * (size // len(line) + 1))[: size - 2] + b"\r\n"


def hold(target: Path | str, upstream: str = "away") -> None:
    """Hold an upstream of a stopped relay, as an operator does."""

    async def holding() -> None:
        spool = await _opened(target)
        try:
            await spool.outgoing.hold(Gate(upstream, HoldReason.OPERATOR, time.time_ns() // 1_000_000, None, None))
        finally:
            await spool.aclose()

    asyncio.run(holding())
