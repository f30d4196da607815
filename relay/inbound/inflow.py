"""What has come in and is not yet read: lines and bulk."""

from __future__ import annotations


class Inflow:
    """The reading end of one connection. What comes in is kept as it came, and copied only where something waits."""

    __slots__ = ("_octets", "_read")

    def __init__(self, octets: bytes = b"") -> None:
        self._octets = octets
        self._read = 0

    def __len__(self) -> int:
        return len(self._octets) - self._read

    def extend(self, octets: bytes) -> None:
        """Append what comes in."""
        self._octets = self._octets[self._read :] + octets
        self._read = 0

    def line(self, most: int) -> bytes | None:
        """Return the next line without its end; None when it is not complete yet.

        Of a line that is longer than `most` the first `most` + 1 octets stand for all: its length tells.
        """
        octets, start = self._octets, self._read
        end = octets.find(b"\n", start, start + most + 2)
        if end < 0:
            return self._overlong(most) if len(octets) - start > most + 1 else None
        self._read = end + 1
        return octets[start : end - 1 if end > start and octets[end - 1] == 13 else end]

    def _overlong(self, most: int) -> bytes | None:
        start = self._octets[self._read : self._read + most + 2]
        end = self._octets.find(b"\n", self._read + most + 2)
        if end < 0:
            # Nobody makes us keep more of a line than tells that it is too long.
            self._octets, self._read = start, 0
            return None
        self._read = end + 1
        return start[: most + 1]

    def take(self) -> bytes:
        """Return all; may be empty."""
        octets = self._octets[self._read :]
        self.clear()
        return octets

    def put_back(self, octets: bytes) -> None:
        """Let `octets` come first."""
        self._octets = octets + self._octets[self._read :]
        self._read = 0

    def clear(self) -> None:
        """Forget all."""
        self._octets, self._read = b"", 0
