"""What the spool takes for a message of 4 KiB: `python bench/spool.py [FOLDER]`, under ten seconds."""

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from relay.address import Mailbox
from relay.envelope import Envelope, Origin, Recipient
from relay.reply import reply
from relay.spool.contract import Arrival
from relay.spool.records import Claim, RecipientState, Settlement
from relay.spool.store import Spool

_CONTENT = b"Subject: x\r\n\r\n" + b"0123456789abcdef" * 255 + b"\r\n"
_ORIGIN = Origin("submission", "bench", "127.0.0.1", "bench.test", "TLSv1.3", "PLAIN")
_ENVELOPE = Envelope(Mailbox("no-reply", "clinic.test"), (Recipient(Mailbox("somebody", "patient.test")),))
_OK = reply(250, "2.0.0", "Ok: queued as 4aXyZ", "mx.provider.test")


def _arrival(spool: Spool) -> Arrival:
    now = time.time_ns() // 1_000_000
    return Arrival(
        id=spool.intake.next_id(),
        origin=_ORIGIN,
        envelope=_ENVELOPE,
        candidates=("up",),
        content=_CONTENT,
        size=len(_CONTENT),
        eight_bit=False,
        header_from="no-reply@clinic.test",
        message_id="<1@clinic.test>",
        accepted_at=now,
        give_up_at=now + 86_400_000,
    )


@asynccontextmanager
async def _measured(what: str, messages: int) -> AsyncIterator[None]:
    cpu, wall = time.process_time(), time.perf_counter()
    yield
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(f"{what:<44}{messages / wall:>9,.0f} messages/s {cpu / messages * 1000:>7.3f} ms of CPU each", flush=True)


async def _put(spool: Spool, messages: int, sessions: int) -> None:
    async def session() -> None:
        for _ in range(messages // sessions):
            await spool.intake.put(_arrival(spool))

    async with _measured(f"put, {sessions} at once", messages):
        await asyncio.gather(*(session() for _ in range(sessions)))


async def _settle(spool: Spool, claim: Claim) -> None:
    await spool.outgoing.settle(claim, [Settlement(0, RecipientState.RELAYED, "relayed", _OK)], [])


async def _drain(spool: Spool, messages: int) -> None:
    async with _measured("claim and settle, 20 at once", messages):
        while claims := await spool.outgoing.claim("up", 20, 100):
            await asyncio.gather(*(_settle(spool, claim) for claim in claims))


async def _through(spool: Spool, messages: int, together: int) -> None:
    async def sending(count: int) -> None:
        while count > 0:
            claims = await spool.outgoing.claim("up", together, 100)
            if not claims:
                await spool.outgoing.wait_for_work("up", None)
            await asyncio.gather(*(_settle(spool, claim) for claim in claims))
            count -= len(claims)

    async def session() -> None:
        for _ in range(messages // together):
            await spool.intake.put(_arrival(spool))

    async with _measured(f"put, claim and settle, {together} at once", messages):
        await asyncio.gather(sending(messages), *(session() for _ in range(together)))


async def _main(folder: Path) -> None:
    spool = await Spool.open("", folder, reserve=0)
    try:
        await _put(spool, 500, 1)
        await _put(spool, 4000, 20)
        await _put(spool, 8000, 100)
        await _drain(spool, 12_500)
        await _through(spool, 500, 1)
        await _through(spool, 6000, 20)
    finally:
        await spool.aclose()


if __name__ == "__main__":
    try:
        import uvloop

        run: Any = uvloop.run
    except ImportError:
        run = asyncio.run
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as temporary:
        run(_main(Path(temporary)))
