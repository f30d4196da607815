"""Message IDs: time and a counter in twelve letters that sort, and four that tell the nodes apart."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from typing import Final

_LETTERS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUV"
_PAIRS: Final = tuple(high + low for high in _LETTERS for low in _LETTERS)
_COUNTER_BITS: Final = 12
_AHEAD: Final = 10_000
_DIGITS: Final = 19
_STEP: Final = 1_000 << _COUNTER_BITS


def letters(number: int) -> str:
    """Return 60 bits as twelve letters that sort as the numbers do."""
    pairs = _PAIRS
    return (
        pairs[number >> 50 & 1023]
        + pairs[number >> 40 & 1023]
        + pairs[number >> 30 & 1023]
        + pairs[number >> 20 & 1023]
        + pairs[number >> 10 & 1023]
        + pairs[number & 1023]
    )


def tag_of(node: str) -> str:
    """Return the four letters by which a node's IDs differ from another's."""
    digest = int.from_bytes(hashlib.sha256(node.encode("utf-8")).digest()[:4], "big")
    return _PAIRS[digest >> 10 & 1023] + _PAIRS[digest & 1023]


def first_id_at(at: int) -> str:
    """Return what every ID given at `at` or later is not less than."""
    return letters(max(at, 0) << _COUNTER_BITS)


def mark_name(node: str) -> str:
    """Return the name in `meta` of a node's highest number."""
    return f"identifiers:{node}"


def mark_of(text: str | None) -> int | None:
    """Read what `meta` has of a node's highest number; None where that is no number of 60 bits."""
    if text is None or not (text.isascii() and text.isdigit() and len(text) < _DIGITS):
        return None
    return int(text)


class Identifiers:
    """Gives numbers that only grow, over restarts and clocks set back, and IDs made of them.

    `mark` is what the database knows: no number above it was given. It is kept ten seconds ahead, so that it moves that
    often and not with every message; `next_mark` says when it has to move within a transaction.
    """

    def __init__(self, node: str, mark: int, clock: Callable[[], int]) -> None:
        self.node = node
        self.mark_name = mark_name(node)
        self._tag = tag_of(node)
        self._clock = clock
        self._lock = threading.Lock()
        self._last = mark
        self._mark = mark

    def number(self) -> int:
        """Return a number greater than every one before, also before a restart."""
        now = self._clock() << _COUNTER_BITS
        with self._lock:
            self._last = now if now > self._last else self._last + 1
            return self._last

    def next_id(self) -> str:
        """Return a new ID of 16 letters and digits."""
        return letters(self.number()) + self._tag

    def next_mark(self) -> int | None:
        """Return the mark to write with the running transaction, or None while the present one covers all."""
        if self._last <= self._mark:
            return None
        # Where the numbers are ahead of the clock they grow by one each: a small step will do, and restarts in quick
        # succession don't drive them on.
        return max(self._last + _STEP, (self._clock() + _AHEAD) << _COUNTER_BITS)

    def marked(self, mark: int) -> None:
        """Note that `mark` is on stable storage."""
        self._mark = max(self._mark, mark)
