"""Wake-ups: who waits for work of an upstream, and when the next of it is due."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

_LONGEST: Final = 60.0
"""Seconds after which a wait looks at the clock again, which somebody may have set."""


class Bell:
    """One upstream's. A ring that nobody waits for is kept for the next who does, so that none is missed."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._rung = self._unseen = True  # what was due before this process looked
        self._due_at: int | None = None
        self._waiters: set[asyncio.Future[None]] = set()

    @property
    def quiet(self) -> bool:
        """True while nothing is due that no claim has looked for."""
        return not self._unseen and (self._due_at is None or self._due_at > self._clock())

    def ring(self) -> None:
        """Wake who waits, or the next who would."""
        self._unseen = True
        # One that was cancelled a moment ago hears nothing any more.
        self._rung = all(waiter.cancelled() for waiter in self._waiters)
        self._wake()

    def expect(self, at: int) -> None:
        """Something is due at `at`, or before what was known to be."""
        if at <= self._clock():
            self.ring()
        elif self._due_at is None or at < self._due_at:
            self._due_at = at
            # Who waits does so for a later instant: waking early is allowed, and they ask again.
            self._wake()

    def seen(self, due_at: int | None) -> None:
        """A claim took all that was due; `due_at` is when the next is, which may be now."""
        self._rung = self._unseen = False
        self._due_at = None
        if due_at is not None:
            self.expect(due_at)

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self, until_at: int | None) -> None:
        """Return when rung, when something is due, at `until_at`, or now and then."""
        if self._rung:
            self._rung = False
            return
        instants = [at for at in (until_at, self._due_at) if at is not None]
        seconds = min([_LONGEST, *((at - self._clock()) / 1000 for at in instants)])
        if seconds > 0:
            await self._sleep(seconds)
        if self._due_at is not None and self._due_at <= self._clock():
            # Told once: a lane that is held must not be told of it again and again.
            self._due_at = None
            self._unseen = True

    async def _sleep(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiters.add(waiter)
        timer = loop.call_later(seconds, _end, waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            # A ring that reached only this waiter belongs to the next.
            self._rung = self._rung or not waiter.cancelled()
            raise
        finally:
            self._waiters.discard(waiter)
            timer.cancel()


def _end(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class Bells:
    """The bells of all upstreams."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._bells: dict[str, Bell] = {}

    def of(self, upstream: str) -> Bell:
        """Return an upstream's bell."""
        bell = self._bells.get(upstream)
        if bell is None:
            bell = self._bells[upstream] = Bell(self._clock)
        return bell
