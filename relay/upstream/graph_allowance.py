"""Microsoft Graph's own limits for one application and mailbox, so far as they are counted in a window. Pure.

Source: learn.microsoft.com/graph/throttling-limits, Outlook service limits. The fourth, 4 requests at once, is kept by
the number of connections.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Limit:
    """So much in any `seconds`."""

    most: int
    seconds: float


REQUESTS: Final = Limit(10_000, 600.0)
UPLOADED: Final = Limit(150_000_000, 300.0)
"""Octets; of what PATCH, POST and PUT send."""


class Window:
    """What was used of one limit. Instants are the caller's seconds, and never go back."""

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self._uses: deque[tuple[float, int]] = deque()
        self._used = 0

    def wait(self, amount: int, at: float) -> float:
        """Return the seconds until so much more is admitted; what is above the limit alone needs an empty window."""
        while self._uses and self._uses[0][0] + self._limit.seconds <= at:
            self._used -= self._uses.popleft()[1]
        excess = self._used + min(amount, self._limit.most) - self._limit.most
        wait = 0.0
        for used_at, used in self._uses:
            if excess <= 0:
                break
            excess -= used
            wait = used_at + self._limit.seconds - at
        return wait

    def count(self, amount: int, at: float) -> None:
        """Count a use."""
        self._uses.append((at, amount))
        self._used += amount
