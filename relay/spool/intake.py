"""The face of the spool that inbound sees."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from relay.spool.arrivals import Parcel, parcel_of, put
from relay.spool.contract import Arrival, Draft, SpoolError
from relay.spool.counts import Counts
from relay.spool.drafts import WAITING_OF_ALL, StoredDraft
from relay.spool.identifiers import Identifiers
from relay.spool.room import Room
from relay.spool.writer import Writer

_ROW = 1024


class StoreIntake:
    """Takes messages in; what `relay.spool.contract.Intake` promises."""

    def __init__(
        self,
        writer: Writer,
        identifiers: Identifiers,
        counts: Counts,
        room: Room,
        remove: Callable[[str], None],
        clock: Callable[[], int],
    ) -> None:
        self._writer = writer
        self._identifiers = identifiers
        self._counts = counts
        self._room = room
        self._remove = remove
        self._clock = clock
        self._chunks = asyncio.Semaphore(WAITING_OF_ALL)

    def next_id(self) -> str:
        """Return a new message ID."""
        return self._identifiers.next_id()

    def refusal(self) -> SpoolError | None:
        """Return why no message can be accepted just now; None when it can."""
        return self._writer.trouble or self._room.refusal()

    def waiting(self, client: str) -> int:
        """Return how many messages of this client wait."""
        return self._counts.waiting(client)

    def draft(self) -> Draft:
        """Begin a draft."""
        key = self._identifiers.next_id()
        return StoredDraft(key, self._identifiers.node, self._writer, self._room, self._chunks, self._remove)

    async def put(self, arrival: Arrival) -> None:
        """Return when the message is on stable storage. Raises SpoolError, and then nothing of it is kept."""
        refusal = self.refusal()
        if refusal is not None:
            raise SpoolError(str(refusal), full=refusal.full)
        parcel = await self.parcel(arrival)
        octets = _ROW + sum(len(chunk[2]) for chunk in parcel.chunks)
        self._room.take(octets)
        try:
            await self._writer.submit(put, parcel, octets=octets)
        finally:
            self._room.arrived(octets)
        if isinstance(arrival.content, StoredDraft):
            arrival.content.named()

    async def parcel(self, arrival: Arrival) -> Parcel:
        """Return the rows of an arrival, once all but the rest of its draft is written."""
        content = arrival.content
        if isinstance(content, bytes):
            return parcel_of(arrival, arrival.id, [(arrival.id, 0, content)], self._clock())
        if not isinstance(content, StoredDraft):
            raise SpoolError("a draft of another spool")
        rest = await content.finish()
        if content.begun:
            return parcel_of(arrival, content.key, rest, self._clock())
        return parcel_of(arrival, arrival.id, [(arrival.id, 0, rest[0][2])], self._clock())
