"""A message's content as the spool gives it out, and the little of it that stays in memory until it is claimed."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import select

from relay.spool.checksum import is_chunk
from relay.spool.contract import SpoolError
from relay.spool.reader import Reader
from relay.spool.schema import chunks

INLINE: Final = 128 * 1024
"""Octets up to which content is read with the claim, instead of a chunk at a time."""

_RECENT_OCTETS: Final = 4 * 1024 * 1024

ReadChunk = Callable[[str, int], Awaitable[bytes | None]]
"""Gives a chunk by content and number, None behind the last; raises SpoolError."""


@dataclass(frozen=True, slots=True)
class StoredContent:
    """Content in the spool; `octets` where it is in memory as well."""

    key: str
    size: int
    eight_bit: bool
    octets: bytes | None = field(repr=False)
    read: ReadChunk = field(repr=False)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Give the content in order; raises SpoolError when it can't be read or is not kept any more."""
        if self.octets is not None:
            yield self.octets
            return
        given = number = 0
        while given < self.size:
            chunk = await self.read(self.key, number)
            if chunk is None:
                raise SpoolError("the content is not kept any more")
            given += len(chunk)
            if given > self.size:
                # What is kept is another's then, or damaged.
                raise SpoolError("the content is longer than it was accepted")
            number += 1
            yield chunk


def chunk_reader(reader: Reader) -> ReadChunk:
    """Return what reads chunks beside the writer."""

    async def read(key: str, number: int) -> bytes | None:
        c = chunks.c
        query = select(c.octets, c.checksum).where(c.content == key, c.number == number)
        row = await reader.read(lambda connection: connection.execute(query).one_or_none())
        if row is None:
            return None
        if not is_chunk(key, number, row.octets, row.checksum):
            raise SpoolError("the content is not what was accepted: it is damaged")
        octets: bytes = row.octets
        return octets

    return read


class RecentContent:
    """Small contents just put, for the claim that follows at once. Used by the event loop and the writer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._octets: dict[str, bytes] = {}
        self._size = 0

    def remember(self, key: str, octets: bytes) -> None:
        """Keep `octets` of a message that is on stable storage, in place of the oldest."""
        if len(octets) > INLINE:
            return
        with self._lock:
            self._octets[key] = octets
            self._size += len(octets)
            while self._size > _RECENT_OCTETS:
                self._size -= len(self._octets.pop(next(iter(self._octets))))

    def take(self, key: str) -> bytes | None:
        """Return what was remembered, and forget it."""
        with self._lock:
            octets = self._octets.pop(key, None)
            if octets is not None:
                self._size -= len(octets)
            return octets
