"""Whether an upstream is out for so long that others send its mail, and well for so long that it gets it back. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

_WELL_FOR_MOST: Final = 60.0
"""Seconds for which an upstream has to be well after an outage, where `failover_after` is not shorter."""


class Condition(enum.Enum):
    """How an upstream stands towards failover."""

    WELL = enum.auto()
    """A conversation showed that it works, and the last outage is over for a while."""
    UNPROVEN = enum.auto()
    """Open, as far as is known: since a start, or since an outage a moment ago."""
    FAILING = enum.auto()
    """Held or unreachable, not for long."""
    OUT = enum.auto()
    """Held or unreachable for `failover_after`."""
    STOPPED = enum.auto()
    """Held by an operator, whose word it is that its mail waits."""

    @property
    def takes(self) -> bool:
        """Whether it may be given others' mail."""
        return self in {Condition.WELL, Condition.UNPROVEN}


@dataclass(frozen=True, slots=True)
class Sight:
    """What is seen of an upstream: since when it is held or unreachable, or whether its last conversation worked.

    `delivers`: that was one about a message. A login shows nothing of quotas, nor of what comes behind it.
    """

    closed_since: int | None = None
    by_operator: bool = False
    proven: bool = False
    delivers: bool = False


@dataclass(slots=True)
class Outage:
    """One upstream's. An outage that comes again before the upstream was well for a while, and delivered, is the same.

    So an upstream that comes and goes keeps no mail for long, and what others have is not sent to and fro.
    """

    since_at: int | None = None
    well_at: int | None = None

    def look(self, sight: Sight, at: int, failover_after: float) -> Condition:
        """Return the condition at this instant; `failover_after` in seconds."""
        if sight.closed_since is not None and sight.by_operator:
            return Condition.STOPPED
        if sight.closed_since is not None:
            self.well_at = None
            self.since_at = min(sight.closed_since, self.since_at or sight.closed_since)
            return Condition.OUT if at - self.since_at >= 1000 * failover_after else Condition.FAILING
        if self.since_at is None:
            return Condition.WELL if sight.proven else Condition.UNPROVEN
        if not sight.proven:
            return Condition.UNPROVEN
        self.well_at = at if self.well_at is None else self.well_at
        if at - self.well_at < 1000 * min(failover_after, _WELL_FOR_MOST):
            return Condition.UNPROVEN
        if sight.delivers:
            self.since_at = self.well_at = None
        return Condition.WELL
