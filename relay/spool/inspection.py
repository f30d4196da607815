"""The face of the spool that operators see."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import select

from relay.envelope import Content
from relay.spool import history, listing
from relay.spool.changes import change_some, reroute_some
from relay.spool.contents import ReadChunk, StoredContent
from relay.spool.contract import Change
from relay.spool.gates import Gates
from relay.spool.jobs import write
from relay.spool.reader import Reader
from relay.spool.records import Gate, QueueCounts, QueueEntry, Selection, TraceEntry
from relay.spool.schema import messages, unnamed
from relay.spool.transaction import Transaction
from relay.spool.writer import Writer


class StoreInspection:
    """Shows and changes what waits; what `relay.spool.contract.Inspection` promises. All methods raise SpoolError."""

    def __init__(self, writer: Writer, reader: Reader, gates: Gates, read_chunk: ReadChunk) -> None:
        self._writer = writer
        self._reader = reader
        self._gates = gates
        self._read_chunk = read_chunk

    async def queue(self, selection: Selection, after: str | None, limit: int) -> Sequence[QueueEntry]:
        """Return messages with something waiting, oldest first, those behind the ID `after`."""
        return await self._reader.read(lambda connection: listing.queue(connection, selection, after, limit))

    async def trace(
        self, selection: Selection, recipient: str | None, since_at: int | None, limit: int
    ) -> Sequence[TraceEntry]:
        """Return what became of messages, newest first."""
        return await self._reader.read(
            lambda connection: history.trace(connection, selection, recipient, since_at, limit)
        )

    async def counts(self) -> QueueCounts:
        """Return what waits."""
        return await self._reader.read(listing.queue_counts)

    async def change(self, change: Change, selection: Selection) -> int:
        """Hold, release, retry or remove the waiting recipients meant; return of how many messages.

        Recipients in flight end their attempt first: held or removed then, unless they were relayed. `retry` makes
        due what is queued; what is held has to be released.
        """
        return await self._in_batches(lambda transaction, after: change_some(transaction, change, selection, after))

    async def reroute(self, selection: Selection, upstream: str) -> int:
        """Give the queued and held recipients meant to another upstream; return of how many messages."""
        return await self._in_batches(lambda transaction, after: reroute_some(transaction, selection, upstream, after))

    async def _in_batches(self, change: Callable[[Transaction, str | None], tuple[int, str | None]]) -> int:
        total, after = await write(self._writer, lambda transaction: change(transaction, None))
        while after is not None:
            behind = after
            some, after = await write(self._writer, lambda transaction: change(transaction, behind))  # noqa: B023
            total += some
        return total

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
