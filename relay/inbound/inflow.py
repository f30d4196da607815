"""What has come in and is not yet read: lines and bulk straight out of a StreamReader's buffer.

asyncio's reader gives lines of limited length, and searches its buffer anew for each. Its buffer, its end and its
waiting are taken here, and only here, by their private names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, Final, cast

BUFFER: Final = 64 * 1024
"""Octets at twice which reading pauses."""


class Inflow:
    """The reading end of one connection."""

    __slots__ = ("_buffer", "_reader")

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader: Any = reader
        self._buffer: bytearray = cast("Any", reader)._buffer

    def __len__(self) -> int:
        return len(self._buffer)

    @property
    def ended(self) -> bool:
        """True when nothing more comes in."""
        return bool(self._reader._eof)

    def line(self, most: int) -> bytes | None:
        """Return the next line without its end; None when it is not complete within `most` octets."""
        buffer = self._buffer
        end = buffer.find(b"\n", 0, most + 2)
        if end < 0:
            return None
        line = bytes(buffer[: end - 1 if end and buffer[end - 1] == 13 else end])
        del buffer[: end + 1]
        return line

    def skip_line(self) -> bool:
        """Drop octets up to the next line's beginning; False when that has not come in yet."""
        end = self._buffer.find(b"\n")
        if end < 0:
            self._buffer.clear()
            return False
        del self._buffer[: end + 1]
        return True

    def take(self) -> bytes:
        """Return all; may be empty."""
        octets = bytes(self._buffer)
        self._buffer.clear()
        return octets

    def put_back(self, octets: bytes) -> None:
        """Let `octets` come first."""
        self._buffer[:0] = octets

    def drop(self) -> None:
        """Forget all."""
        self._buffer.clear()

    def wait(self) -> Awaitable[None]:
        """Return when awaited and more has come in, or the end; reading is resumed where it had paused."""
        waiting: Awaitable[None] = self._reader._wait_for_data("wait")
        return waiting

    def continue_with(self, transport: asyncio.Transport) -> None:
        """Let flow control act on another transport: the one above TLS."""
        self._reader._transport = transport
