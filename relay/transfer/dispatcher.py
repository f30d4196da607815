"""All lanes: one an upstream. Starts and stops them, renews the leases, tells how the upstreams stand."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass

from relay.config.settings import Settings
from relay.journal import Journal
from relay.spool.contract import Outgoing, SpoolError
from relay.spool.records import Load
from relay.transfer.alerts import Alerts, Hook, Post
from relay.transfer.custody import RENEW_EVERY, Custody
from relay.transfer.detour import Detour
from relay.transfer.direct import Direct
from relay.transfer.direct_record import Records
from relay.transfer.explanation import diagnosis_of_gate
from relay.transfer.failover import Failover
from relay.transfer.lane import Lane
from relay.transfer.postmaster import Postmaster
from relay.transfer.settling import Settling
from relay.transfer.standing import State
from relay.transfer.surroundings import Surroundings
from relay.transfer.throttle import Quota
from relay.upstream.contract import Upstream

_TO_SETTLE = 0.2
"""Part of the time for draining that is kept for settling what was sent."""


@dataclass(frozen=True, slots=True)
class UpstreamState:
    """What `relay status` shows of one upstream; instants in milliseconds. `direct`: messages whose clients wait."""

    state: State
    connections: int
    quotas: Mapping[str, Quota]
    direct: int


class Dispatcher:
    """The transfer stage. `upstreams` are opened and closed by whoever made them.

    `post` puts alerts into the queue, `hook` hands them to the webhook.
    """

    def __init__(
        self,
        settings: Settings,
        outgoing: Outgoing,
        upstreams: Mapping[str, Upstream],
        journal: Journal,
        post: Post | None = None,
        hook: Hook = lambda shape: None,
    ) -> None:
        self._around = Surroundings(settings, outgoing, journal)
        self._custody = Custody(outgoing, self._around.clock)
        self.alerts = Alerts(self._around, self.usable, post, hook)
        postmaster = Postmaster(self._around, self.usable)
        self._failover = Failover(self._around, lambda: dict(self._lanes), self.alerts)
        self._settling = Settling(self._around, self._custody, postmaster, self.alerts, self._failover.elsewhere)
        self.direct = Direct(self._around, self._lane_of, Records(self._around, postmaster, self.alerts))
        self._upstreams = dict(upstreams)
        self._lanes: dict[str, Lane] = {}
        self._leaving: set[Lane] = set()
        self._tasks: dict[Lane, asyncio.Task[None]] = {}
        self._renewal: asyncio.Task[None] | None = None
        self._failing_over: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to work; returns at once."""
        self._renewal = asyncio.create_task(self._renew())
        for upstream in self._upstreams.values():
            self._open(upstream)
        self._failing_over = asyncio.create_task(self._failover.run())

    async def apply(self, settings: Settings, upstreams: Mapping[str, Upstream]) -> None:
        """Go on with another configuration. Lanes come and go; what is being sent goes on.

        An upstream that is another object, or has other settings, is tried at once where it was held or unreachable.
        """
        before = self._around.settings.upstream
        self._around.apply(settings)
        self._upstreams = dict(upstreams)
        for name in self._lanes.keys() - upstreams.keys():
            lane = self._lanes.pop(name)
            self._leaving.add(lane)
            lane.stop()
        for name, upstream in upstreams.items():
            lane_now = self._lanes.get(name)
            if lane_now is None:
                self._open(upstream)
            elif lane_now.attempts.upstream is not upstream or settings.upstream[name] != before.get(name):
                lane_now.change(upstream, settings.upstream[name])

    def read_texts(self) -> None:
        """Read the files with disclaimers again: one of the watched files has changed."""
        self._around.apply(self._around.settings)

    async def finish(self, upstream: Upstream) -> None:
        """Return once nothing is sent by this object any more, which `apply` replaced or removed: it may be closed."""
        for lane in [*self._lanes.values(), *self._leaving]:
            await lane.attempts.finish(upstream)

    def _lane_of(self, upstream: str) -> Lane | None:
        return self._lanes.get(upstream)

    @property
    def detours(self) -> list[tuple[Detour, int]]:
        """The clients whose mail goes another way just now, and since when."""
        return self._failover.detours

    def load(self, upstream: str) -> Load:
        """Return how busy an upstream is."""
        lane = self._lanes.get(upstream)
        return lane.load if lane is not None else Load(open=False)

    def usable(self, upstream: str) -> bool:
        """True where mail goes out by it just now: neither held nor unreachable."""
        lane = self._lanes.get(upstream)
        return lane is not None and not lane.standing.closed

    def state(self, upstream: str) -> UpstreamState | None:
        """Return how an upstream stands; None where there is none of this name."""
        lane = self._lanes.get(upstream)
        if lane is None:
            return None
        attempts = lane.attempts
        return UpstreamState(lane.standing.state, attempts.upstream.connections, lane.meter.quotas(), attempts.direct)

    def nudge(self, upstream: str) -> None:
        """Try at once: mail was released or is to be retried, a login or a secret was renewed."""
        lane = self._lanes.get(upstream)
        if lane is not None:
            lane.nudge()

    async def admit(self, upstream: str) -> None:
        """Wait until the upstream's limits admit a message to one recipient that goes past the queue, and count it."""
        lane = self._lanes.get(upstream)
        if lane is not None:
            await lane.meter.admit(1)

    async def drain(self, seconds: float) -> None:
        """Stop within so many seconds: claim no more, give back what was not begun, let what is being sent end.

        Towards the end what cannot have been taken yet is broken off and given back; last of all what waits for the
        answer to its final dot, which is then settled as uncertain. Leases of what is left run out by themselves.
        """
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + seconds
        lanes = [*self._lanes.values(), *self._leaving]
        self._failover.stop()
        for lane in lanes:
            lane.stop()
        await self._wait_for_attempts(lanes, ends_at - 2 * _TO_SETTLE * seconds)
        for lane in lanes:
            lane.attempts.interrupt(past_dot=False)
        await self._wait_for_attempts(lanes, ends_at - _TO_SETTLE * seconds)
        for lane in lanes:
            lane.attempts.interrupt(past_dot=True)
        await self._wait_for_attempts(lanes, ends_at)
        await self.direct.settled(max(0.5, ends_at - loop.time()))
        left = {*self._running(lanes), *(task for task in (self._renewal, self._failing_over) if task is not None)}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _open(self, upstream: Upstream) -> None:
        settings = self._around.settings.upstream[upstream.name]
        lane = Lane(upstream, settings, self._around, self._custody, self._settling, self.alerts)
        for before in self._leaving:
            if before.name == lane.name:
                # The provider counts what is still sent by the lane that an earlier reload ended.
                lane.attempts.begin_after(before.attempts.over())
        gate = lane.standing.gate
        if gate is not None:
            self.alerts.known(gate)
            self._around.journal.upstream_held(gate, diagnosis_of_gate(gate, self._around.settings.upstream))
        self._lanes[upstream.name] = lane
        self._around.outgoing.hand_to(upstream.name, lane)
        self._tasks[lane] = asyncio.create_task(lane.run(), name=f"lane {upstream.name}")

    def _running(self, lanes: list[Lane]) -> set[asyncio.Task[None]]:
        tasks = {self._tasks[lane] for lane in lanes if not self._tasks[lane].done()}
        return tasks.union(*(lane.attempts.tasks for lane in lanes), *(lane.attempts.returning for lane in lanes))

    async def _wait_for_attempts(self, lanes: list[Lane], until: float) -> None:
        loop = asyncio.get_running_loop()
        while (running := self._running(lanes)) and loop.time() < until:
            await asyncio.wait(running, timeout=until - loop.time())

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_EVERY)
            # Leases that can't be renewed run out, which Custody knows by the clock.
            with contextlib.suppress(SpoolError):
                await self._custody.renew()
            for lane in self._lanes.values():
                lane.meter.tell()
                self._around.journal.upstream_connections(lane.name, lane.attempts.upstream.connections)
            self._leaving = {lane for lane in self._leaving if self._running([lane])}
