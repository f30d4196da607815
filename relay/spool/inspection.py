"""The face of the spool that operators see."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from sqlalchemy import select

from relay.envelope import Content
from relay.spool import history, listing
from relay.spool.changes import change_some, reroute_some
from relay.spool.contents import ReadChunk, StoredContent
from relay.spool.contract import Change
from relay.spool.gates import Gates
from relay.spool.jobs import Job, write
from relay.spool.reader import Reader
from relay.spool.records import Gate, QueueCounts, QueueEntry, Selection, TraceEntry
from relay.spool.schema import messages, unnamed
from relay.spool.writer import Writer

_BATCH: Final = 200


class StoreInspection:
    """Shows and changes what waits; what `relay.spool.contract.Inspection` promises. All methods raise SpoolError.

    `searches` reads what may take seconds in a long queue, and must not delay a scrape of the metrics.
    """

    def __init__(self, writer: Writer, reader: Reader, searches: Reader, gates: Gates, read_chunk: ReadChunk) -> None:
        self._writer = writer
        self._reader = reader
        self._searches = searches
        self._gates = gates
        self._read_chunk = read_chunk

    async def queue(self, selection: Selection, after: str | None, limit: int) -> Sequence[QueueEntry]:
        """Return messages with something waiting, oldest first, those behind the ID `after`."""
        return await self._searches.read(lambda connection: listing.queue(connection, selection, after, limit))

    async def trace(
        self, selection: Selection, recipient: str | None, since_at: int | None, limit: int, before: str | None = None
    ) -> Sequence[TraceEntry]:
        """Return what became of messages, newest first, those with an ID below `before`."""
        return await self._searches.read(
            lambda connection: history.trace(connection, selection, recipient, since_at, limit, before)
        )

    async def counts(self) -> QueueCounts:
        """Return what waits."""
        return await self._reader.read(listing.queue_counts)

    async def change(self, change: Change, selection: Selection) -> int:
        """Hold, release, retry or remove the waiting recipients meant; return of how many messages.

        Recipients in flight end their attempt first: held or removed then, unless they were relayed. `retry` makes
        due what is queued; what is held has to be released.
        """
        return await self._in_batches(
            selection, lambda ids: lambda transaction: change_some(transaction, change, ids, selection)
        )

    async def reroute(self, selection: Selection, upstream: str) -> int:
        """Give the queued and held recipients meant to another upstream; return of how many messages."""
        return await self._in_batches(
            selection, lambda ids: lambda transaction: reroute_some(transaction, upstream, ids, selection)
        )

    async def _in_batches(self, selection: Selection, change: Callable[[Sequence[str]], Job[int]]) -> int:
        """Change a batch a transaction. The messages are looked for outside, where that delays nobody's mail."""
        total = 0
        ids = await self._waiting_ids(selection, None)
        while ids:
            total += await write(self._writer, change(ids))
            ids = await self._waiting_ids(selection, ids[-1]) if len(ids) == _BATCH else []
        return total

    async def _waiting_ids(self, selection: Selection, after: str | None) -> list[str]:
        return await self._searches.read(lambda connection: listing.waiting_ids(connection, selection, after, _BATCH))

    def gates(self) -> Mapping[str, Gate]:
        """Return the held upstreams."""
        return self._gates.held

    async def content(self, id: str) -> Content | None:  # noqa: A002 - the contract's word
        """Return a message's content while it is kept."""
        m = messages.c
        query = (
            select(m.content, m.size, m.eight_bit)
            .outerjoin(unnamed, unnamed.c.content == m.content)
            .where(m.id == id, unnamed.c.content.is_(None))
        )
        row = await self._reader.read(lambda connection: connection.execute(query).first())
        if row is None or await self._read_chunk(row.content, 0) is None:
            return None
        return StoredContent(row.content, row.size, bool(row.eight_bit), None, self._read_chunk)
