"""The face of the spool that inbound sees."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from relay.spool.arrivals import Handing, Parcel, parcel_of, put
from relay.spool.contents import INLINE, ReadChunk, StoredContent
from relay.spool.contract import Arrival, Draft, SpoolError
from relay.spool.counts import Counts
from relay.spool.drafts import WAITING_OF_ALL, Chunk, StoredDraft
from relay.spool.handover import Handover
from relay.spool.identifiers import Identifiers
from relay.spool.recording import Label, Recording, recording_of
from relay.spool.records import Settlement
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
        handover: Handover,
        read: ReadChunk,
        remove: Callable[[str], None],
        clock: Callable[[], int],
    ) -> None:
        self._writer = writer
        self._identifiers = identifiers
        self._counts = counts
        self._room = room
        self._handover = handover
        self._read = read
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
        return StoredDraft(
            key, self._identifiers.node, self._writer, self._room, self._chunks, self._remove, self._read
        )

    async def put(self, arrival: Arrival) -> None:
        """Return when the message is on stable storage. Raises SpoolError, and then nothing of it is kept."""
        refusal = self.refusal()
        if refusal is not None:
            raise SpoolError(str(refusal), full=refusal.full)
        key, chunks = await _content_of(arrival)
        octets = _ROW + sum(len(chunk[2]) for chunk in chunks)
        handing = self._handing(arrival, key, chunks)
        parcel = parcel_of(arrival, key, chunks, self._clock(), handing)
        self._room.take(octets)
        try:
            writing = self._writer.submit(put, parcel, octets=octets)
            self._handover.follow(writing, arrival.candidates[0], handed=handing is not None)
            await writing
        finally:
            self._room.arrived(octets)
        if isinstance(arrival.content, StoredDraft):
            arrival.content.named()

    async def parcel(self, arrival: Arrival) -> Parcel:
        """Return the rows of an arrival to be queued, once all but the rest of its draft is written."""
        return parcel_of(arrival, *await _content_of(arrival), self._clock())

    async def recording(
        self, arrival: Arrival, settlements: Sequence[Settlement], notices: Sequence[Arrival], *, kept: bool
    ) -> Recording:
        """Return the rows of an arrival that is put with its outcomes, and with its content only where it is `kept`."""
        content, chunks = await _content_of(arrival) if kept else (arrival.id, [])
        parcels = [await self.parcel(notice) for notice in notices]
        label = Label(self._identifiers.next_id(), self._identifiers.node, self._clock(), self._read)
        return recording_of(arrival, content, chunks, settlements, parcels, label)

    def _handing(self, arrival: Arrival, key: str, chunks: list[Chunk]) -> Handing | None:
        """Return to whom the message goes at once, where its upstream's lane has room."""
        taker = self._handover.taker_for(arrival.candidates[0], len(arrival.envelope.recipients))
        if taker is None:
            return None
        whole = key == arrival.id and arrival.size <= INLINE
        content = StoredContent(key, arrival.size, arrival.eight_bit, chunks[0][2] if whole else None, self._read)
        return Handing(taker, self._identifiers.next_id(), content)


async def _content_of(arrival: Arrival) -> tuple[str, list[Chunk]]:
    """Return the content's name, and what is still to be written of it."""
    content = arrival.content
    if isinstance(content, bytes):
        return arrival.id, [(arrival.id, 0, content)]
    if not isinstance(content, StoredDraft):
        raise SpoolError("a draft of another spool")
    rest = await content.finish()
    return (content.key, rest) if content.begun else (arrival.id, [(arrival.id, 0, rest[0][2])])
