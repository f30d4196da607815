"""What has come in and is not yet read: lines and bulk."""

from __future__ import annotations


class Inflow(bytearray):
    """The reading end of one connection. What comes in is appended."""

    __slots__ = ()

    def line(self, most: int) -> bytes | None:
        """Return the next line without its end; None when it is not complete yet.

        Of a line that is longer than `most` the first `most` + 1 octets stand for all: its length tells.
        """
        end = self.find(b"\n", 0, most + 2)
        if end < 0:
            return self._overlong(most) if len(self) > most + 1 else None
        line = bytes(self[: end - 1 if end and self[end - 1] == 13 else end])
        del self[: end + 1]
        return line

    def _overlong(self, most: int) -> bytes | None:
        end = self.find(b"\n", most + 2)
        if end < 0:
            # Nobody makes us keep more of a line than tells that it is too long.
            del self[most + 2 :]
            return None
        line = bytes(self[: most + 1])
        del self[: end + 1]
        return line

    def take(self) -> bytes:
        """Return all; may be empty."""
        octets = bytes(self)
        self.clear()
        return octets

    def put_back(self, octets: bytes) -> None:
        """Let `octets` come first."""
        self[:0] = octets
