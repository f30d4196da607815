"""Puts, claims and settles for ever, saying what is safe: `python -m tests.contract.crashing URL STATE_DIR`."""

import asyncio
import sys
from pathlib import Path

from relay.spool.store import Spool
from tests.contract.mail import Clock, arrival, relayed


async def _putting(spool: Spool, content: bytes) -> None:
    while True:
        message = arrival(spool.intake.next_id(), Clock()(), content=content)
        await spool.intake.put(message)
        sys.stdout.write(f"put {message.id}\n")
        sys.stdout.flush()


async def _settling(spool: Spool) -> None:
    while True:
        for claim in await spool.outgoing.claim("office365", 4, 10):
            if int(claim.message.id[-5], 32) % 2:
                await spool.outgoing.settle(claim, relayed(claim), [])
                sys.stdout.write(f"settled {claim.message.id}\n")
                sys.stdout.flush()
        await spool.outgoing.wait_for_work("office365", None)


async def _receiving(spool: Spool) -> None:
    while True:
        draft = spool.intake.draft()
        for _ in range(20):
            await draft.write(b"y" * 100_000)
        await draft.discard()


async def _main(url: str, state_dir: Path) -> None:
    spool = await Spool.open(url, state_dir, node="node-1", reserve=0)
    await asyncio.gather(*(_putting(spool, b"x" * 5000) for _ in range(8)), _settling(spool), _receiving(spool))


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], Path(sys.argv[2])))
