"""How many connections are used at once: as many as allowed, fewer for a while after a complaint."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Pace:
    """`most` is the setting; `cap` holds until `capped_until`."""

    most: int
    cap: int = 0
    capped_until: int = 0

    def allowed(self, at: int) -> int:
        """Return how many connections may be in use at `at`."""
        return min(self.most, self.cap) if at < self.capped_until else self.most

    def slow_down(self, in_use: int, at: int, seconds: float) -> None:
        """Use one less than `in_use`, but one, for so long."""
        self.cap = max(1, in_use - 1)
        self.capped_until = at + round(1000 * seconds)
