"""One upstream's throttle, its counts kept in the spool, so that a restart does not reset them."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace

from relay.journal import Journal
from relay.spool.contract import Outgoing, SpoolError
from relay.spool.records import Load, Use
from relay.transfer.clock import Clock
from relay.transfer.throttle import DAY, HOUR, MINUTE, Limits, Quota, Throttle

_SPOOL_PAUSE = 1.0


class Meter:
    """Admits messages at MAIL, one after the other, and records each before it is said.

    `limited`: True where there is a limit at all.
    """

    def __init__(self, upstream: str, limits: Limits, outgoing: Outgoing, journal: Journal, clock: Clock) -> None:
        self._upstream = upstream
        self._outgoing = outgoing
        self._journal = journal
        self._clock = clock
        self.limited = limits.any
        self._throttle = Throttle(limits)
        self._turn = asyncio.Lock()
        self._loading = asyncio.Lock()
        self._changed = asyncio.Event()
        self._known = not self.limited
        self._counted: list[Use] = []
        """While what was used before is read."""

    def change(self, limits: Limits) -> None:
        """Go by other limits from now on, for what waits already too. What was used is to be read again."""
        if limits != self._throttle.limits:
            self.limited = limits.any
            self._throttle = Throttle(limits)
            self._known = not self.limited
            self._changed.set()

    async def load(self) -> None:
        """Read what was used before this process began or the limits changed, once. Raises SpoolError."""
        async with self._loading:
            if not self._known:
                await self._load()

    async def _load(self) -> None:
        now = self._clock()
        self._counted.clear()
        uses = await self._outgoing.uses(self._upstream, now - DAY - MINUTE)
        # A clock that was set back would make uses of the future, which leave the window too late. What was counted
        # meanwhile may stand among them: counted twice is on the safe side.
        kept = [replace(use, at=min(now, use.at)) for use in uses]
        self._throttle = Throttle(self._throttle.limits, [*kept, *self._counted])
        self._known = True
        self.tell()

    def room(self) -> tuple[int | None, int | None]:
        """Return how many messages, and recipients, are admitted now; None: any number."""
        return self._throttle.room(self._clock())

    def load_of(self, waiting: int, *, open_now: bool) -> Load:
        """Return how busy an upstream is for which so many wait: when its limits let the next of them go."""
        limits = self._throttle.limits
        if not self.limited:
            return Load(open_now, waiting)
        room = min(left for left in self.room() if left is not None)
        spans = (
            (MINUTE, limits.messages_per_minute),
            (HOUR, limits.messages_per_hour),
            (DAY, limits.recipients_per_day),
        )
        pause = next(span // limit for span, limit in spans if limit is not None)
        return Load(open_now, waiting, room, self.opens_at(), pause)

    def opens_at(self, recipients: int = 1) -> int:
        """Return when one more message, to so many recipients, is admitted."""
        return self._throttle.admits_at(recipients, self._clock())

    def quotas(self) -> dict[str, Quota]:
        """Return what is used of each limit, by the setting's name."""
        return self._throttle.quotas(self._clock())

    async def admit(self, recipients: int) -> None:
        """Return when a message to so many recipients may begin, having counted it. Never raises SpoolError."""
        if not self.limited:
            return
        async with self._turn:
            # No use of this upstream can come in between: they are counted here, in turn.
            while (left := await self._left(recipients)) > 0:
                self._changed.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), left / 1000)
            await self._record(recipients)
            # Counted at the instant of MAIL, which is after the record: else the window would end too early.
            use = Use(self._clock(), 1, recipients)
            self._throttle.count(use)
            if self._loading.locked():
                self._counted.append(use)
        self.tell()

    async def _left(self, recipients: int) -> int:
        """Return for how many milliseconds a message to so many recipients has to wait."""
        await self._loaded()
        return self.opens_at(recipients) - self._clock()

    def tell(self) -> None:
        """Show the use of each limit in the metrics."""
        for name, quota in self.quotas().items():
            self._journal.quota_used(self._upstream, name, quota.used / quota.limit)

    async def _loaded(self) -> None:
        # Whoever is sent past the queue may come before the lane has read what was used.
        while not self._known:
            try:
                await self.load()
            except SpoolError:
                await asyncio.sleep(_SPOOL_PAUSE)

    async def _record(self, recipients: int) -> None:
        while True:
            try:
                await self._outgoing.record_use(self._upstream, Use(self._clock(), 1, recipients))
            except SpoolError:
                # What can't be counted is not sent; the lease ends meanwhile, and with it the attempt.
                await asyncio.sleep(_SPOOL_PAUSE)
            else:
                return
