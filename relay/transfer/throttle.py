"""A provider's limits, kept exactly: messages in 60 seconds or an hour, recipients in 24 hours, counted at MAIL."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from relay.spool.records import Use

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR

MARGIN = 500
"""Milliseconds by which the windows are longer than the provider's: MAIL takes a varying time to arrive there."""


@dataclass(frozen=True, slots=True)
class Limits:
    """None: no such limit."""

    messages_per_minute: int | None = None
    recipients_per_day: int | None = None
    messages_per_hour: int | None = None

    @property
    def any(self) -> bool:
        """True where something has to be counted."""
        return any(
            limit is not None for limit in (self.messages_per_minute, self.messages_per_hour, self.recipients_per_day)
        )


@dataclass(frozen=True, slots=True)
class Quota:
    """How much of a limit is used now."""

    used: int
    limit: int


class _Window:
    """What was used within `span` milliseconds, of which there may be `limit`."""

    def __init__(self, span: int, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._span = span + MARGIN
        self._uses: deque[tuple[int, int]] = deque()

    def count(self, at: int, amount: int) -> None:
        self._uses.append((at, amount))
        self.used += amount

    def forget(self, at: int) -> None:
        while self._uses and self._uses[0][0] + self._span <= at:
            self.used -= self._uses.popleft()[1]

    def room(self) -> int:
        return max(0, self.limit - self.used)

    def opens_at(self, amount: int) -> int:
        """Return when so much more is admitted; 0 where it is now."""
        # Larger envelopes were split before; were one not, it would wait for an empty window, not for ever.
        excess = self.used + min(amount, self.limit) - self.limit
        opens_at = 0
        for at, used in self._uses:
            if excess <= 0:
                break
            excess -= used
            opens_at = at + self._span
        return opens_at


class Throttle:
    """Counts uses and says when the next is admitted. All instants come from the caller, and never go back."""

    def __init__(self, limits: Limits, uses: Iterable[Use] = ()) -> None:
        self.limits = limits
        self._messages = _windows(
            messages_per_minute=(MINUTE, limits.messages_per_minute),
            messages_per_hour=(HOUR, limits.messages_per_hour),
        )
        self._recipients = _windows(recipients_per_day=(DAY, limits.recipients_per_day))
        for use in uses:
            self.count(use)

    def count(self, use: Use) -> None:
        """Count one use, tried or successful."""
        for window in self._messages.values():
            window.count(use.at, use.messages)
        for window in self._recipients.values():
            window.count(use.at, use.recipients)

    def forget(self, at: int) -> None:
        """Drop what has left its window at `at`."""
        for window in (*self._messages.values(), *self._recipients.values()):
            window.forget(at)

    def room(self, at: int) -> tuple[int | None, int | None]:
        """Return how many messages, and recipients in all, are admitted at `at`; None: any number."""
        self.forget(at)
        messages = min((window.room() for window in self._messages.values()), default=None)
        return messages, min((window.room() for window in self._recipients.values()), default=None)

    def admits_at(self, recipients: int, at: int) -> int:
        """Return the earliest instant, `at` or later, at which a message to so many recipients is admitted."""
        self.forget(at)
        opens = [window.opens_at(1) for window in self._messages.values()]
        opens += [window.opens_at(recipients) for window in self._recipients.values()]
        return max([at, *opens])

    def quotas(self, at: int) -> dict[str, Quota]:
        """Return what is used of each limit, by the setting's name."""
        self.forget(at)
        return {name: Quota(window.used, window.limit) for name, window in (self._messages | self._recipients).items()}


def _windows(**wanted: tuple[int, int | None]) -> dict[str, _Window]:
    return {name: _Window(span, limit) for name, (span, limit) in wanted.items() if limit is not None}
