"""Records what came of messages whose clients waited: for the trace, and for what has to go on without them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from relay.diagnosis.diagnosis import Diagnosis
from relay.spool.contract import SpoolError
from relay.spool.records import Claim, RecipientState, Settlement
from relay.transfer.alerts import Alerts
from relay.transfer.direct_delivery import Delivery
from relay.transfer.direct_reply import lasting
from relay.transfer.dsn import Finding
from relay.transfer.outcome import Outcome, Relayed, Uncertain
from relay.transfer.postmaster import Posted, Postmaster, worth_telling
from relay.transfer.receipts import asks_receipt
from relay.transfer.settlement import NO_FINAL_REPLY, Terms, noted, settlement_for
from relay.transfer.settling import diagnoses_of, finding_of
from relay.transfer.surroundings import Surroundings

_PAUSE: Final = 0.5
_TRACE_PATIENCE: Final = 60.0
"""Seconds for which a spool in trouble is asked to take what only the trace would lack."""

_GATHERING: Final = 0.02
"""Seconds by which the trace, and what the log says of the outcomes, is behind the answer."""


def settlement_of(position: int, outcome: Outcome) -> Settlement:
    """Return the record of a recipient whose client knows the answer: final, whatever it is; the client may repeat."""
    if isinstance(outcome, Relayed):
        return Settlement(position, RecipientState.RELAYED, "relayed", outcome.reply)
    if isinstance(outcome, Uncertain):
        return Settlement(position, RecipientState.FAILED, "uncertain", NO_FINAL_REPLY)
    event = "failed" if lasting(outcome) else "deferred"
    return Settlement(position, RecipientState.FAILED, event, outcome.reply)


class Records:
    """Writes what `Direct` finds out."""

    def __init__(self, surroundings: Surroundings, postmaster: Postmaster, alerts: Alerts) -> None:
        self._around = surroundings
        self._postmaster = postmaster
        self._alerts = alerts
        self._together: asyncio.Future[None] | None = None

    async def told(self, delivery: Delivery, outcomes: Sequence[Outcome]) -> None:
        """Record outcomes that the client knows: nothing is left to do. Gives up after a while, and never raises."""
        settlements = noted([settlement_of(at, outcome) for at, outcome in enumerate(outcomes)], delivery.note)
        await self._company()
        self._journal(delivery, settlements)
        posted = await self._receipts(delivery, settlements, outcomes)
        if await self._write(delivery, settlements, posted, _TRACE_PATIENCE):
            self._tell_of(delivery, posted)

    async def _receipts(
        self, delivery: Delivery, settlements: Sequence[Settlement], outcomes: Sequence[Outcome]
    ) -> Sequence[Posted]:
        """Return the notices of success; of failures the client knows."""
        claim = delivery.claim(delivery.upstream)
        settled = [
            (settlement, finding_of(claim.recipients[settlement.position], settlement, outcome))
            for settlement, outcome in zip(settlements, outcomes, strict=True)
            if isinstance(outcome, Relayed) and asks_receipt(claim.recipients[settlement.position].recipient)
        ]
        return await self._notices(delivery, claim, settled) if settled else ()

    def _tell_of(self, delivery: Delivery, posted: Sequence[Posted]) -> None:
        for notice in posted:
            self._around.journal.notice_put(notice.arrival, delivery.arrival.id, notice.kind)

    async def taken(self, delivery: Delivery, outcomes: Sequence[Outcome], patience: float) -> bool:
        """Record a message that is ours now: refused recipients bounce, others are tried again by the queue.

        True when it is on stable storage; False where the spool did not take it for so many seconds.
        """
        around = self._around
        terms = Terms(around.clock(), around.settings.queue, around.chance())
        claim = delivery.claim(delivery.upstream)
        settled = []
        for row, outcome in zip(claim.recipients, outcomes, strict=True):
            settlement = settlement_for(row, outcome, terms)
            settled.append((settlement, finding_of(row, settlement, outcome)))
        posted = await self._notices(delivery, claim, settled) if any(map(worth_telling, settled)) else []
        settlements = noted([settlement for settlement, _ in settled], delivery.note)
        if not await self._write(delivery, settlements, posted, patience):
            return False
        self._journal(delivery, settlements, diagnoses_of(claim, settled, around.settings.upstream))
        self._tell_of(delivery, posted)
        for reason, said in {one.hold_reason: one.reply for one in settlements}.items():
            if reason is not None:
                await self._alerts.message_held(delivery.upstream, reason, claim.message, said)
        return True

    async def _notices(
        self, delivery: Delivery, claim: Claim, settled: Sequence[tuple[Settlement, Finding]]
    ) -> Sequence[Posted]:
        try:
            return await self._postmaster.notices(claim, settled, dsn=delivery.dsn)
        except Exception as error:
            # Without a notice the outcome still has to be recorded: else the message would be sent again.
            self._around.journal.failed("notice", error)
            return []

    async def came_late(self, delivery: Delivery, outcomes: dict[int, Outcome]) -> None:
        """Record outcomes, by position, of which the client heard only that nobody knows them; receipts go now."""
        if not outcomes:
            return
        settlements = [settlement_of(at, outcome) for at, outcome in outcomes.items()]
        self._journal(delivery, settlements)
        posted = await self._receipts(delivery, settlements, list(outcomes.values()))
        notices = [notice.arrival for notice in posted]
        try:
            await self._around.outgoing.amend(delivery.arrival.id, delivery.upstream, settlements, notices)
        except SpoolError as error:
            self._around.journal.failed("direct.amend", error)
        else:
            self._tell_of(delivery, posted)

    async def _company(self) -> None:
        """Wait a little for others, to be written in one transaction with them, between which clients have the CPU."""
        if self._together is None:
            loop = asyncio.get_running_loop()
            self._together = loop.create_future()
            loop.call_later(_GATHERING, self._depart)
        # Shielded: one that is cancelled must not take the others along.
        await asyncio.shield(self._together)

    def _depart(self) -> None:
        together, self._together = self._together, None
        if together is not None:
            together.set_result(None)

    def _journal(
        self, delivery: Delivery, settlements: Sequence[Settlement], diagnoses: Mapping[int, Diagnosis] | None = None
    ) -> None:
        claim = delivery.claim(delivery.upstream)
        self._around.journal.settled(claim, settlements, self._around.clock(), diagnoses)

    async def _write(
        self, delivery: Delivery, settlements: Sequence[Settlement], posted: Sequence[Posted], patience: float
    ) -> bool:
        loop, around = asyncio.get_running_loop(), self._around
        arrival, notices = delivery.arrival_at(delivery.upstream), [notice.arrival for notice in posted]
        until = loop.time() + patience
        while True:
            try:
                await around.outgoing.record(arrival, settlements, notices)
            except SpoolError as error:
                if loop.time() + _PAUSE >= until:
                    around.journal.failed("direct.record", error)
                    return False
                await asyncio.sleep(_PAUSE)
            else:
                return True
