"""Content that is being received: its chunks go into the running transactions under a provisional name."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from relay.envelope import CHUNK, Content
from relay.spool.checksum import chunk_row
from relay.spool.contents import ReadChunk, StoredContent
from relay.spool.contract import SpoolError
from relay.spool.room import Room
from relay.spool.transaction import Transaction
from relay.spool.writer import Writer

_WAITING: Final = 4
WAITING_OF_ALL: Final = 32
"""Chunks of all drafts together that may be in memory, waiting to be written."""

_ORDER: Final = 0

Chunk = tuple[str, int, bytes]


def write_chunks(transaction: Transaction, written: Sequence[tuple[str, Chunk]]) -> list[None]:
    """Write chunks, each with its node; what they belong to is known as unnamed, whichever of them comes through."""
    cursor, statements = transaction.cursor, transaction.statements
    cursor.many(
        statements.put_unnamed, {chunk[0]: (chunk[0], node, transaction.now) for node, chunk in written}.values()
    )
    cursor.many(statements.put_chunk, [chunk_row(*chunk) for _, chunk in written])
    return [None] * len(written)


class StoredDraft:
    """A draft of the store. `key` names its content; nothing reaches the database before the first whole chunk."""

    def __init__(
        self,
        key: str,
        node: str,
        writer: Writer,
        room: Room,
        turns: asyncio.Semaphore,
        remove: Callable[[str], None],
        read: ReadChunk,
    ) -> None:
        self.key = key
        self._node = node
        self._writer = writer
        self._room = room
        self._turns = turns
        self._remove = remove
        self._read = read
        self._buffer = bytearray()
        self._number = 0
        self._size = 0
        self._writing: deque[asyncio.Future[None]] = deque()
        self._ended = False

    @property
    def size(self) -> int:
        """Octets written so far."""
        return self._size

    async def write(self, octets: bytes) -> None:
        """Append; waits while four chunks are not yet written. Raises SpoolError."""
        if self._ended:
            raise SpoolError("the draft was put or discarded")
        self._buffer += octets
        self._size += len(octets)
        while len(self._buffer) >= CHUNK:
            while len(self._writing) >= _WAITING or (self._writing and self._writing[0].done()):
                await self._oldest_written()
            refusal = self._room.refusal()
            if refusal is not None:
                raise SpoolError(str(refusal), full=refusal.full)
            await self._turns.acquire()
            self._room.take(CHUNK)
            with memoryview(self._buffer) as view:
                chunk = (self.key, self._number, bytes(view[:CHUNK]))
            del self._buffer[:CHUNK]
            self._number += 1
            future = self._writer.submit(write_chunks, (self._node, chunk), _ORDER, CHUNK)
            future.add_done_callback(self._written)
            self._writing.append(future)

    def _written(self, future: asyncio.Future[None]) -> None:
        self._turns.release()
        self._room.arrived(CHUNK)
        # Retrieved here too, for a draft that is discarded without anybody asking again.
        if not future.cancelled():
            future.exception()

    async def _oldest_written(self) -> None:
        # Shielded: a caller cancelled here must not end the future that the writer resolves.
        await asyncio.shield(self._writing[0])
        self._writing.popleft()

    async def finish(self) -> list[Chunk]:
        """Wait for what is being written, and return the rest, to be written with the message."""
        if self._ended:
            raise SpoolError("the draft was put or discarded")
        while self._writing:
            await self._oldest_written()
        rest = bytes(self._buffer)
        return [(self.key, self._number, rest)] if rest or not self._number else []

    async def content(self, *, eight_bit: bool) -> Content:
        """Return what was written, once all of it is in the database. Raises SpoolError."""
        for chunk in await self.finish():
            self._buffer.clear()
            self._number += 1
            await self._writer.submit(write_chunks, (self._node, chunk), _ORDER, len(chunk[2]))
        return StoredContent(self.key, self._size, eight_bit, None, self._read)

    @property
    def waiting(self) -> int:
        """Chunks in memory that are not yet known to be written."""
        return len(self._writing)

    @property
    def begun(self) -> bool:
        """True once something of it may be in the database."""
        return self._number > 0

    def named(self) -> None:
        """Note that a message names the content now."""
        self._ended = True
        self._buffer.clear()

    async def discard(self) -> None:
        """Give the room back. Does nothing once the draft was put; never raises."""
        if self._ended:
            return
        self._ended = True
        self._buffer.clear()
        self._writing.clear()
        if self.begun:
            self._remove(self.key)
