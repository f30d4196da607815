"""What waits beyond its time while its upstream takes nothing, or little: given up, or its sender told."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from relay.reply import Reply
from relay.spool.records import Claim
from relay.transfer.custody import Custody
from relay.transfer.dsn import delay_due
from relay.transfer.outcome import Deferred
from relay.transfer.settling import Settling
from relay.transfer.surroundings import Surroundings

_BREATH = 3
"""As many times as long as a step took others have their turn: a million may be given up at once."""


class Overdue:
    """One upstream's. Goes through all that waits in steps, between which others have their turn."""

    stopped = False

    def __init__(self, upstream: str, surroundings: Surroundings, custody: Custody, settling: Settling) -> None:
        self._upstream = upstream
        self._around = surroundings
        self._custody = custody
        self._settling = settling

    async def sweep(self, recipients: int, said: Reply | None) -> None:
        """Give up what has to be, and tell of delays, quoting `said`; claims have at most so many recipients.

        `said` None: nobody is told. The notice would wait behind the same limits.
        """
        try:
            await self._sweep(recipients, said)
        except Exception as error:  # a task root
            self._around.journal.failed("overdue", error)

    async def _sweep(self, recipients: int, said: Reply | None) -> None:
        loop = asyncio.get_running_loop()
        after: str | None = ""
        while after is not None and not self.stopped:
            began = loop.time()
            now = self._around.clock()
            untold_before_at = now - round(1000 * self._around.settings.queue.delay_notice) if said else 0
            claims, after = await self._around.outgoing.claim_overdue(
                self._upstream, recipients, after, now, untold_before_at
            )
            self._custody.take(claims)
            await asyncio.gather(*(self._settle(claim, said) for claim in claims))
            await asyncio.sleep(_BREATH * (loop.time() - began))

    async def expire(self, claims: Sequence[Claim]) -> None:
        """Give up claims whose time was over before their turn came."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.gather(*(self._settling.expire(claim) for claim in claims))
        await asyncio.sleep(loop.time() - began)

    async def _settle(self, claim: Claim, said: Reply | None) -> None:
        now, delay_notice = self._around.clock(), self._around.settings.queue.delay_notice
        late = [row.give_up_at <= now for row in claim.recipients]
        if self._around.outgoing.gate(self._upstream) is not None:
            # Time stands still, for all that `give_up_at` says before the gate opens.
            tell = not any(late) and self._settling.can_tell(claim)
        elif all(late):
            await self._settling.expire(claim)
            return
        else:
            tell = True
        if said and tell and any(delay_due(claim.message, row, now, delay_notice) for row in claim.recipients):
            await self._settling.settle(claim, [Deferred(said)] * len(claim.recipients), trial_at=now)
        else:
            await self._settling.give_back([claim])
