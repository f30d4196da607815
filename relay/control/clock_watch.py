"""Looks whether the system's clock was set back: what waits goes by it, and would wait that much longer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from relay.journal import Journal
from relay.transfer.clock import Clock, steady_clock, wall_clock

_EVERY: Final = 5.0

_NOTICED: Final = 60_000
"""Milliseconds from which on a step back matters; smaller ones are soon made up for."""


class ClockWatch:
    """One task. `retry` makes due all that is queued, has held upstreams probed, and returns the number of messages.

    `steady` is a clock that nothing sets back.
    """

    def __init__(
        self,
        retry: Callable[[], Awaitable[int]],
        journal: Journal,
        clock: Clock = wall_clock,
        steady: Clock | None = None,
    ) -> None:
        self._retry = retry
        self._journal = journal
        self._clock = clock
        self._steady = steady or steady_clock()
        self._behind = self._steady() - clock()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(_EVERY)
            await self.look()

    async def look(self) -> None:
        """Look once. Raises SpoolError; then the next look finds the same again."""
        behind = self._steady() - self._clock()
        back = behind - self._behind
        if back >= _NOTICED:
            messages = await self._retry()
            self._journal.warned("clock_set_back", seconds=back // 1000, messages=messages)
        self._behind = behind
