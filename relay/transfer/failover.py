"""Failover: watches how the upstreams stand, and has what waits go another way, and back.

docs/message-path.md says by which rules.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from relay.config.client_settings import ClientSettings
from relay.reply import Reply, reply
from relay.spool.contract import SpoolError
from relay.spool.records import Claim, Place, QueuedRecipient, SpooledRecipient
from relay.transfer.alerts import Alerts
from relay.transfer.detour import Detour, detours, way_for
from relay.transfer.lane import Lane
from relay.transfer.outage import Condition, Outage
from relay.transfer.passage import Passage, Way
from relay.transfer.refused_senders import RefusedSenders
from relay.transfer.sender_rights import may_carry
from relay.transfer.standing import Standing, State
from relay.transfer.surroundings import Surroundings

_EVERY: Final = 0.5
_ERROR_PAUSE: Final = 5.0


class Failover:
    """One task. `lanes` are those of the upstreams that there are now."""

    def __init__(self, surroundings: Surroundings, lanes: Callable[[], Mapping[str, Lane]], alerts: Alerts) -> None:
        self._around = surroundings
        self._lanes = lanes
        self._alerts = alerts
        self._outages: dict[str, Outage] = {}
        self._passages: dict[str, Passage] = {}
        self._homes = _homes_of(surroundings.settings.client.values())
        self._told: dict[str, Sequence[Detour]] = {}
        self._looked = False
        self._refused = RefusedSenders()
        self._conditions: dict[str, Condition] = {}

    @property
    def detours(self) -> list[tuple[Detour, int]]:
        """The clients whose mail goes another way just now, and since when the upstream is out that they name first."""
        found = detours(self._around.settings.client, self._conditions)
        return [(one, self._outages[one.upstream].since_at or 0) for one in found]

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            try:
                await self.look()
            except SpoolError:
                # Its writer tells of that, and nothing can be moved meanwhile.
                await asyncio.sleep(_ERROR_PAUSE)
            except Exception as error:  # a task root
                self._around.journal.failed("failover", error)
                await asyncio.sleep(_ERROR_PAUSE)
            await asyncio.sleep(_EVERY)

    def stop(self) -> None:
        """Begin no more pages."""
        for passage in self._passages.values():
            passage.stopped = True

    async def look(self) -> None:
        """See how the upstreams stand, tell what changed, and move what has to be moved. Raises SpoolError."""
        lanes = self._lanes()
        for lane in lanes.values():
            await lane.look_for_silence(self._around.clock())
        standings = {name: lane.standing for name, lane in lanes.items()}
        self._see(standings)
        await self._tell(standings)
        self._looked = True
        for name, condition in self._conditions.items():
            if condition is Condition.OUT:
                await self._leave(name, standings[name].state)
            elif condition is not Condition.STOPPED:
                await self._return(name, standings)

    def _see(self, standings: Mapping[str, Standing]) -> None:
        at, upstreams = self._around.clock(), self._around.settings.upstream
        self._outages = {name: self._outages.get(name) or Outage() for name in standings if name in upstreams}
        self._conditions = {
            name: outage.look(standings[name].sight, at, upstreams[name].failover_after)
            for name, outage in self._outages.items()
        }

    # ---- moving ------------------------------------------------------------------------------------------

    async def _leave(self, name: str, state: State) -> None:
        targets = frozenset(
            other
            for other in companions_of(name, self._around.settings.client.values())
            if other in self._conditions and self._conditions[other].takes
        )
        if targets:
            for target in targets:
                self._homes.setdefault(target, set()).add(name)
            reason = "held" if state.state == "held" else "unreachable"
            await self._passage(name).go(Way(True, targets, reason, lambda _: _left(name, state)), self._conditions)

    async def _return(self, name: str, standings: Mapping[str, Standing]) -> None:
        homes = self._homes.get(name, set())
        well = frozenset(home for home in homes if home != name and self._conditions.get(home) is Condition.WELL)
        if not well:
            return
        # Where no more than a login has worked, a message finds out before the others follow.
        most = None if all(standings[home].sight.delivers for home in well) else 1
        way = Way(False, well, "well", lambda home: _returned(name, home), most)
        if not await self._passage(name).go(way, self._conditions):
            homes -= well

    def _passage(self, name: str) -> Passage:
        passage = self._passages.get(name)
        if passage is None:
            passage = self._passages[name] = Passage(name, self._around, self._may_carry)
        return passage

    def elsewhere(self, claim: Claim, row: SpooledRecipient) -> str | None:
        """Return another upstream for a recipient whose From this one may not send; None where there is none.

        It need not be out for that, and gets no such mail back for as long as it would be tried in vain.
        """
        here, message = claim.upstream, claim.message
        if row.uncertain or len(row.candidates) < 2:
            return None
        until_at = self._around.clock() + round(1000 * self._around.settings.queue.retry_most)
        self._refused.note(here, message.header_from, until_at)
        place = Place(row.next_attempt_at, message.id, row.position)
        path, author, client = message.reverse_path, message.header_from, message.origin.client
        queued = QueuedRecipient(place, client, path, author, message.notice, row.candidates, row.uncertain)
        conditions = {**self._conditions, here: Condition.OUT}
        other = way_for(row.candidates, here, conditions, lambda name: self._may_carry(name, queued))
        return other if other != here else None

    def _may_carry(self, upstream: str, row: QueuedRecipient) -> bool:
        if self._refused.holds(upstream, row.header_from, self._around.clock()):
            return False
        settings = self._around.settings
        return may_carry(settings, upstream, row.client, row.reverse_path, row.header_from, notice=row.notice)

    # ---- telling -----------------------------------------------------------------------------------------

    async def _tell(self, standings: Mapping[str, Standing]) -> None:
        ways: dict[str, list[Detour]] = {}
        for one in detours(self._around.settings.client, self._conditions):
            if one.by is not None:
                ways.setdefault(one.upstream, []).append(one)
        journal = self._around.journal
        for upstream in [*self._told]:
            if self._conditions.get(upstream) in {Condition.WELL, None}:
                del self._told[upstream]
                journal.failover_over(upstream)
        for upstream, found in ways.items():
            if self._told.get(upstream) == found:
                continue
            first = upstream not in self._told
            self._told[upstream] = found
            since_at = self._outages[upstream].since_at or 0
            journal.failing_over(upstream, {one.client: one.by for one in found if one.by}, since_at)
            if first:
                state = standings[upstream].state
                await self._alerts.failing_over(upstream, found, since_at, state.reply, known=not self._looked)


def companions_of(name: str, clients: Iterable[ClientSettings]) -> set[str]:
    """Return who may stand in for an upstream: of a million messages none is looked at that can go nowhere else."""
    return {other for client in clients if name in client.upstreams for other in client.upstreams} - {name}


def _homes_of(clients: Iterable[ClientSettings]) -> dict[str, set[str]]:
    """Return from which upstreams each may have mail that an earlier process moved."""
    homes: dict[str, set[str]] = {}
    for client in clients:
        before: set[str] = set()
        for entry in client.upstream:
            names = {entry} if isinstance(entry, str) else set(entry)
            for name in names:
                homes.setdefault(name, set()).update(before, names - {name})
            before |= names
    return homes


def _left(name: str, state: State) -> Reply:
    if state.state == "held":
        return reply(451, "4.3.2", f"From {name}, which is held ({state.reason})")
    return reply(451, "4.4.1", f"From {name}, which cannot be reached")


def _returned(name: str, home: str) -> Reply:
    return reply(250, "2.0.0", f"From {name}, since {home} works again")
