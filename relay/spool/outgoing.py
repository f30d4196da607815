"""The face of the spool that transfer sees."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from relay.reply import Reply
from relay.spool import quotas
from relay.spool.arrivals import Parcel
from relay.spool.bells import Bells
from relay.spool.claims import Claiming, Wanted, give_back, postpone, renew
from relay.spool.contract import Arrival, Taker
from relay.spool.counts import Counts
from relay.spool.drafts import StoredDraft
from relay.spool.gates import Gates
from relay.spool.handover import Handover
from relay.spool.intake import StoreIntake
from relay.spool.jobs import each, write
from relay.spool.moves import move, queued
from relay.spool.overdue import overdue
from relay.spool.reader import Reader
from relay.spool.recording import amend, history_of, note, record
from relay.spool.records import (
    Claim,
    Gate,
    Place,
    Priority,
    QueuedRecipient,
    RecipientState,
    Settlement,
    Use,
)
from relay.spool.settlement import Settling, settle
from relay.spool.writer import Writer

_BEHIND = 3


class StoreOutgoing:
    """Hands out what is due and records what came of it; what `relay.spool.contract.Outgoing` promises."""

    def __init__(
        self,
        writer: Writer,
        reader: Reader,
        intake: StoreIntake,
        claiming: Claiming,
        handover: Handover,
        gates: Gates,
        bells: Bells,
        counts: Counts,
    ) -> None:
        self._writer = writer
        self._reader = reader
        self._intake = intake
        self._claiming = claiming
        self._handover = handover
        self._gates = gates
        self._bells = bells
        self._counts = counts

    async def wait_for_work(self, upstream: str, until_at: int | None) -> None:
        """Return when a recipient of this upstream may have become due or its gate changed, or at `until_at`."""
        await self._bells.of(upstream).wait(until_at)

    async def claim(self, upstream: str, messages: int, recipients: int) -> Sequence[Claim]:
        """Lease what is due, high priority and oldest first. Raises SpoolError."""
        return await self._claim(Wanted(upstream, messages, recipients))

    async def claim_overdue(
        self, upstream: str, recipients: int, after: str, now: int, untold_before_at: int
    ) -> tuple[Sequence[Claim], str | None]:
        """Lease what is due and beyond its time. Raises SpoolError."""
        ids, behind = await self._reader.read(
            lambda connection: overdue(connection, upstream, after, now, untold_before_at)
        )
        if not ids:
            return (), behind
        return await self._claim(Wanted(upstream, len(ids), recipients, tuple(ids))), behind

    async def _claim(self, wanted: Wanted) -> Sequence[Claim]:
        # A caller cancelled meanwhile leaves claims that nobody knows of: they are given back.
        future: asyncio.Future[list[Claim]] = self._writer.submit(self._claiming.claim, wanted, _BEHIND, lasting=False)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            future.add_done_callback(self._abandon)
            raise

    def _abandon(self, future: asyncio.Future[list[Claim]]) -> None:
        if not future.cancelled() and future.exception() is None:
            claims = future.result()
            undone = self._writer.submit(each, lambda transaction: give_back(transaction, claims), lasting=False)
            undone.add_done_callback(_retrieve)

    def hand_to(self, upstream: str, taker: Taker) -> None:
        """From now on what is put goes to `taker` at once, claimed, where it has room and nothing older is due."""
        self._handover.hand_to(upstream, taker)

    async def renew(self, claims: Sequence[Claim]) -> set[str]:
        """Extend the leases; return the tokens of those still held. Raises SpoolError."""
        tokens = [claim.lease.token for claim in claims]
        return await write(self._writer, lambda transaction: renew(transaction, tokens), lasting=False)

    async def give_back(self, claims: Sequence[Claim]) -> None:
        """Make the claims due again at once, their attempt not counted. Raises SpoolError."""
        await write(self._writer, lambda transaction: give_back(transaction, claims), lasting=False)

    async def postpone(self, postponed: Sequence[tuple[Claim, int]]) -> None:
        """Make each claim due at the instant given with it, its attempt not counted. Raises SpoolError."""
        await write(self._writer, lambda transaction: postpone(transaction, postponed), lasting=False)

    async def settle(self, claim: Claim, settlements: Sequence[Settlement], notices: Sequence[Arrival]) -> bool:
        """Record the outcome of a claim in one transaction; False when its lease was lost. Raises SpoolError."""
        parcels: Sequence[Parcel] = ()
        octets = 0
        if notices:
            parcels = [await self._intake.parcel(notice) for notice in notices]
            octets = sum(len(chunk[2]) for parcel in parcels for chunk in parcel.chunks)
        settled: bool = await self._writer.submit(
            settle, Settling(claim, settlements, parcels), octets=octets, lasting=False, patient=True
        )
        if settled:
            for notice in notices:
                if isinstance(notice.content, StoredDraft):
                    notice.content.named()
        else:
            # Somebody took the lease away, and made due what it was for, in another process perhaps.
            self._bells.of(claim.upstream).ring()
        return settled

    async def record(self, arrival: Arrival, settlements: Sequence[Settlement], notices: Sequence[Arrival]) -> None:
        """Put a message together with what became of it, in one transaction. Raises SpoolError."""
        kept = any(settlement.state.waiting for settlement in settlements)
        if not kept and not notices:
            await self._writer.submit(note, history_of(arrival, settlements), lasting=False)
            return
        recording = await self._intake.recording(arrival, settlements, notices, kept=kept)
        octets = sum(len(chunk[2]) for chunk in recording.parcel.chunks)
        await self._writer.submit(record, recording, octets=octets)
        if kept and isinstance(arrival.content, StoredDraft):
            arrival.content.named()

    async def amend(
        self,
        id: str,  # noqa: A002
        upstream: str,
        settlements: Sequence[Settlement],
        notices: Sequence[Arrival],
    ) -> None:
        """Replace final outcomes by others, which came to be known later. Raises SpoolError."""
        parcels = [await self._intake.parcel(notice) for notice in notices]
        await write(
            self._writer, lambda transaction: amend(transaction, id, upstream, settlements, parcels), lasting=False
        )

    async def record_use(self, upstream: str, use: Use) -> None:
        """Count against the upstream's quotas. Raises SpoolError."""
        await self._writer.submit(quotas.record, (upstream, use))

    async def uses(self, upstream: str, since_at: int) -> Sequence[Use]:
        """Return the uses since then, oldest first."""
        return await self._reader.read(lambda connection: quotas.read(connection, upstream, since_at))

    def waiting_at(self, upstream: str, *states: RecipientState) -> int:
        """Return how many recipients wait for an upstream in these states."""
        return self._counts.waiting_at(upstream, *states)

    async def queued(
        self, upstream: str, priority: Priority, behind: Place | None, due_at: int | None, limit: int
    ) -> Sequence[QueuedRecipient]:
        """Return queued recipients in their order. Raises SpoolError."""
        return await self._reader.read(lambda connection: queued(connection, upstream, priority, behind, due_at, limit))

    async def move(
        self, source: str, target: str, rows: Sequence[tuple[str, int]], why: Reply
    ) -> Sequence[tuple[str, Sequence[int]]]:
        """Give recipients to another upstream; return those that went, by message. Raises SpoolError."""
        return await write(
            self._writer, lambda transaction: move(transaction, source, target, rows, why), lasting=False
        )

    def next_id(self) -> str:
        """Return a new message ID, for a notice."""
        return self._intake.next_id()

    def gate(self, upstream: str) -> Gate | None:
        """Return the upstream's gate when it is held."""
        return self._gates.of(upstream)

    async def hold(self, gate: Gate) -> None:
        """Hold the upstream, or change its gate."""
        await write(self._writer, lambda transaction: self._gates.hold(transaction, gate))

    async def release(self, upstream: str) -> bool:
        """Open the gate. False when it was open."""
        return await write(self._writer, lambda transaction: self._gates.release(transaction, upstream))


def _retrieve(future: asyncio.Future[None]) -> None:
    # What could not be given back becomes due when its lease ends.
    if not future.cancelled():
        future.exception()
