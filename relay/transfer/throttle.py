"""A provider's limits, kept exactly: messages in any 60 seconds and recipients in any 24 hours, counted at MAIL."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from relay.spool.records import Use

MINUTE = 60_000
DAY = 24 * 60 * MINUTE

MARGIN = 500
"""Milliseconds by which the windows are longer than the provider's: MAIL takes a varying time to arrive there."""


@dataclass(frozen=True, slots=True)
class Limits:
    """None: no such limit."""

    messages_per_minute: int | None = None
    recipients_per_day: int | None = None

    @property
    def any(self) -> bool:
        """True where something has to be counted."""
        return self.messages_per_minute is not None or self.recipients_per_day is not None


@dataclass(frozen=True, slots=True)
class Quota:
    """How much of a limit is used now."""

    used: int
    limit: int


class Throttle:
    """Counts uses and says when the next is admitted. All instants come from the caller, and never go back."""

    def __init__(self, limits: Limits, uses: Iterable[Use] = ()) -> None:
        self.limits = limits
        self._minute: deque[Use] = deque()
        self._day: deque[Use] = deque()
        self._messages = 0
        self._recipients = 0
        for use in uses:
            self.count(use)

    def count(self, use: Use) -> None:
        """Count one use, tried or successful."""
        if self.limits.messages_per_minute is not None:
            self._minute.append(use)
            self._messages += use.messages
        if self.limits.recipients_per_day is not None:
            self._day.append(use)
            self._recipients += use.recipients

    def forget(self, at: int) -> None:
        """Drop what has left its window at `at`."""
        while self._minute and self._minute[0].at + MINUTE + MARGIN <= at:
            self._messages -= self._minute.popleft().messages
        while self._day and self._day[0].at + DAY + MARGIN <= at:
            self._recipients -= self._day.popleft().recipients

    def room(self, at: int) -> tuple[int | None, int | None]:
        """Return how many messages, and recipients in all, are admitted at `at`; None: any number."""
        self.forget(at)
        limits = self.limits
        messages = None if limits.messages_per_minute is None else max(0, limits.messages_per_minute - self._messages)
        recipients = None if limits.recipients_per_day is None else max(0, limits.recipients_per_day - self._recipients)
        return messages, recipients

    def admits_at(self, recipients: int, at: int) -> int:
        """Return the earliest instant, `at` or later, at which a message to so many recipients is admitted."""
        self.forget(at)
        return max(at, self._minute_opens_at(), self._day_opens_at(recipients))

    def quotas(self, at: int) -> dict[str, Quota]:
        """Return what is used of each limit, by the setting's name."""
        self.forget(at)
        found: dict[str, Quota] = {}
        if self.limits.messages_per_minute is not None:
            found["messages_per_minute"] = Quota(self._messages, self.limits.messages_per_minute)
        if self.limits.recipients_per_day is not None:
            found["recipients_per_day"] = Quota(self._recipients, self.limits.recipients_per_day)
        return found

    def _minute_opens_at(self) -> int:
        limit = self.limits.messages_per_minute
        if limit is None:
            return 0
        excess = self._messages + 1 - limit
        opens_at = 0
        for use in self._minute:
            if excess <= 0:
                break
            excess -= use.messages
            opens_at = use.at + MINUTE + MARGIN
        return opens_at

    def _day_opens_at(self, recipients: int) -> int:
        limit = self.limits.recipients_per_day
        if limit is None:
            return 0
        # Larger envelopes were split before; were one not, it would wait for an empty window, not for ever.
        excess = self._recipients + min(recipients, limit) - limit
        opens_at = 0
        for use in self._day:
            if excess <= 0:
                break
            excess -= use.recipients
            opens_at = use.at + DAY + MARGIN
        return opens_at
