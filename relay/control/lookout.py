"""Looks now and then at what ends and how much of the daily limits is used, and has people told when it is time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from relay.config.settings import Settings
from relay.control.alert_memory import AlertMemory, Told
from relay.control.expiry import Expiry
from relay.control.marks import mark_due, nearly_used, quota_due
from relay.transfer.clock import Clock, wall_clock
from relay.transfer.dispatcher import UpstreamState

_EVERY = 5.0


class Watched(Protocol):
    """Who knows what ends and how the upstreams stand."""

    async def expiring(self) -> Sequence[Expiry]:
        """Return what ends, whether or not the day is known."""
        ...

    def upstream(self, name: str) -> UpstreamState | None:
        """Return how an upstream stands."""
        ...


class Teller(Protocol):
    """Who tells people, as `relay.transfer.alerts.Alerts` does."""

    def has_way(self) -> bool:
        """Return whether a mail would leave now, or none is wanted."""
        ...

    async def ends(self, what: str, kind: str, upstream: str | None, expires_at: int, *, by_mail_only: bool) -> bool:
        """Something ends, or has ended; False where its mail is still to be sent."""
        ...

    async def renewed(self, what: str, kind: str, upstream: str | None, expires_at: int, before_at: int) -> None:
        """What was told to end, at `before_at`, was renewed."""
        ...

    async def nearly_used(self, upstream: str, quota: str, used: int, limit: int) -> None:
        """A daily limit is nearly used up."""
        ...


class Lookout:
    """One task; it is told first and remembered then: a crash in between tells it twice rather than never."""

    def __init__(
        self,
        settings: Callable[[], Settings],
        watched: Watched,
        alerts: Teller,
        memory: AlertMemory,
        clock: Clock = wall_clock,
    ) -> None:
        self._settings = settings
        self._watched = watched
        self._alerts = alerts
        self._memory = memory
        self._clock = clock

    async def run(self) -> None:
        """Look until cancelled."""
        await asyncio.to_thread(self._memory.load)
        while True:
            await self.look()
            await asyncio.sleep(_EVERY)

    async def look(self) -> None:
        """Look once, and tell what is due."""
        for expiry in await self._watched.expiring():
            if expiry.expires_at is not None:
                await self._look_at(expiry, expiry.expires_at)
        for name in self._settings().upstream:
            state = self._watched.upstream(name)
            if state is not None:
                await self._look_at_limits(name, {quota: (one.used, one.limit) for quota, one in state.quotas.items()})

    async def _look_at(self, expiry: Expiry, expires_at: int) -> None:
        known, warning = self._memory.ends, self._settings().alerts.expiry_warning
        left = (expires_at - self._clock()) / 1000
        told = known.get(expiry.what)
        if told is not None and told.expires_at != expires_at:
            if mark_due(left, warning, None) is None:
                await self._alerts.renewed(expiry.what, expiry.kind, expiry.upstream, expires_at, told.expires_at)
            del known[expiry.what]
            told = None
        mark = mark_due(left, warning, told.mark if told else None)
        if mark is not None:
            mailed = await self._tell(expiry, expires_at, by_mail_only=False)
            known[expiry.what] = Told(expires_at, mark, mailed)
        elif told is not None and not told.mailed and self._alerts.has_way():
            mailed = await self._tell(expiry, expires_at, by_mail_only=True)
            known[expiry.what] = Told(expires_at, told.mark, mailed)
        await self._save()

    async def _tell(self, expiry: Expiry, expires_at: int, *, by_mail_only: bool) -> bool:
        return await self._alerts.ends(expiry.what, expiry.kind, expiry.upstream, expires_at, by_mail_only=by_mail_only)

    async def _look_at_limits(self, upstream: str, quotas: Mapping[str, tuple[int, int]]) -> None:
        known = self._memory.quotas
        for quota, (used, limit) in quotas.items():
            key, now = f"{upstream} {quota}", self._clock()
            if nearly_used(quota, used, limit) and quota_due(known.get(key), now):
                await self._alerts.nearly_used(upstream, quota, used, limit)
                known[key] = now
                await self._save()

    async def _save(self) -> None:
        if self._memory.changed:
            await asyncio.to_thread(self._memory.save)
