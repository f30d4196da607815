"""Whether an upstream can be reached: one attempt a pause while it can't, instead of one for every message."""

from __future__ import annotations

from dataclasses import dataclass

from relay.config.operating_settings import QueueSettings
from relay.reply import Reply
from relay.transfer.schedule import next_probe


@dataclass(slots=True)
class Reach:
    """`trial_at` None: reachable, as far as is known. `failures` counts those in a row."""

    failures: int = 0
    since_at: int = 0
    trial_at: int | None = None
    reply: Reply | None = None

    @property
    def down(self) -> bool:
        """True between a failure and the next success."""
        return self.trial_at is not None

    def failed(self, reply: Reply | None, at: int, queue: QueueSettings, chance: float, pause: float = 0.0) -> None:
        """A conversation failed before MAIL: the next trial comes after a longer pause, or the one that was asked for.

        `pause` in seconds, 0 where the upstream asked for none.
        """
        if self.trial_at is None:
            self.since_at = at
        self.trial_at = at + round(1000 * pause) if pause else next_probe(self.failures, at, queue, chance)
        self.failures += 1
        self.reply = reply

    def put_off(self, at: int, pause: float) -> None:
        """While it is down already, somebody heard of a longer pause."""
        if self.trial_at is not None:
            self.trial_at = max(self.trial_at, at + round(1000 * pause))

    def succeeded(self) -> None:
        """A conversation got as far as MAIL."""
        self.failures = 0
        self.trial_at = None
        self.reply = None

    def hurry(self, at: int) -> None:
        """Try at once, and begin anew with short pauses: somebody changed something."""
        if self.trial_at is not None:
            self.trial_at = at
            self.failures = min(self.failures, 1)
