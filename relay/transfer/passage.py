"""Moves what waits for one upstream to others, in the order of its queue and a page at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from relay.reply import Reply
from relay.spool.records import Place, Priority, QueuedRecipient, RecipientState
from relay.transfer.detour import room_at, way_for
from relay.transfer.outage import Condition
from relay.transfer.surroundings import Surroundings

_PAGE: Final = 200
"""Recipients looked at, and at most moved in one transaction."""

_ANEW: Final = 60_000
"""Milliseconds after which those that have to stay are looked at again, where they are more than a page."""

_PAGES: Final = 25
"""Pages looked at before others have their turn with the task."""

_BREATH: Final = 2
"""As many times as long as a page took others have their turn."""


@dataclass(frozen=True, slots=True)
class Way:
    """Why mail leaves an upstream: `leaving` because it is out; else it goes back to one of `targets`, which are well.

    `why` says it in the trace, for the upstream that mail goes to; `reason` is the metric's label. `most`: no more than
    so many recipients at once, whatever room there is.
    """

    leaving: bool
    targets: frozenset[str]
    reason: str
    why: Callable[[str], Reply]
    most: int | None = None


@dataclass(slots=True)
class _Progress:
    """How far all that waits was looked through. `kept` had to stay; `away` have another upstream for the first."""

    way: tuple[bool, frozenset[str]]
    behind: dict[Priority, Place] = field(default_factory=dict)
    kept: int = 0
    away: int = 0
    ended_at: int | None = None

    def over(self, at: int) -> bool:
        """True where it is time to begin anew: what comes back from an attempt takes the place that it had."""
        return self.kept < _PAGE or (self.ended_at is not None and at - self.ended_at >= _ANEW)


class Passage:
    """One upstream's. `stopped` ends it behind the page that it is at; `may_carry` tells who may send a recipient."""

    stopped = False

    def __init__(
        self, upstream: str, surroundings: Surroundings, may_carry: Callable[[str, QueuedRecipient], bool]
    ) -> None:
        self._upstream = upstream
        self._may_carry = may_carry
        self._around = surroundings
        self._progress: _Progress | None = None

    async def go(self, way: Way, conditions: Mapping[str, Condition]) -> bool:
        """Look through what waits, as far as there is room elsewhere; False where nothing is away from home any more.

        Raises SpoolError.
        """
        around, progress = self._around, self._progress
        if not around.outgoing.waiting_at(self._upstream, RecipientState.QUEUED):
            self._progress = None
            return bool(around.outgoing.waiting_at(self._upstream, RecipientState.IN_FLIGHT))
        now, meant = around.clock(), (way.leaving, way.targets)
        if progress is None or progress.way != meant or progress.over(now):
            progress = self._progress = _Progress(meant)
        through = True
        for priority in Priority:
            through = await self._go_through(priority, progress, way, conditions) and through
        if through and progress.ended_at is None:
            progress.ended_at = now
        return progress.away > 0 or not through

    async def _go_through(
        self, priority: Priority, progress: _Progress, way: Way, conditions: Mapping[str, Condition]
    ) -> bool:
        """Go on in one priority; False where there is more."""
        loop = asyncio.get_running_loop()
        for _ in range(_PAGES):
            if self.stopped:
                break
            began = loop.time()
            due_at = self._around.clock() if way.leaving else None
            behind = progress.behind.get(priority)
            page = await self._around.outgoing.queued(self._upstream, priority, behind, due_at, _PAGE)
            done = await self._move(page, priority, progress, way, conditions)
            if done:
                progress.behind[priority] = page[done - 1].place
            if done < len(page):
                return False
            if len(page) < _PAGE:
                return True
            await asyncio.sleep(_BREATH * (loop.time() - began))
        return False

    async def _move(
        self,
        page: Sequence[QueuedRecipient],
        priority: Priority,
        progress: _Progress,
        way: Way,
        conditions: Mapping[str, Condition],
    ) -> int:
        """Move what has to be; return how many of the page were dealt with."""
        # A reload may have taken one away since the look that named them.
        room = {name: self._room(name, way.most) for name in way.targets & self._around.settings.upstream.keys()}
        moves: dict[str, list[QueuedRecipient]] = {}
        done = 0
        for row in page:
            target = self._target(row, conditions)
            progress.away += row.candidates[0] != self._upstream and row.uncertain == 0
            if target == self._upstream:
                progress.kept += 1
            elif target in room:
                # What is urgent waits behind nobody else's mail.
                if room[target] <= 0 and (priority is not Priority.HIGH or way.most is not None):
                    break
                room[target] -= 1
                moves.setdefault(target, []).append(row)
            done += 1
        for target, rows in moves.items():
            await self._moved(target, rows, way)
        return done

    async def _moved(self, target: str, rows: Iterable[QueuedRecipient], way: Way) -> None:
        around, why = self._around, way.why(target)
        clients = {row.place.message: row.client for row in rows}
        places = [(row.place.message, row.place.position) for row in rows]
        moved = await around.outgoing.move(self._upstream, target, places, why)
        for message, positions in moved:
            around.journal.moved(message, clients[message], self._upstream, target, len(positions), way.reason, why)

    def _target(self, row: QueuedRecipient, conditions: Mapping[str, Condition]) -> str:
        # Nobody knows whether one that is uncertain was taken: another upstream would send it twice.
        if row.uncertain:
            return self._upstream
        return way_for(row.candidates, self._upstream, conditions, lambda name: self._may_carry(name, row))

    def _room(self, target: str, most: int | None) -> int:
        queued = self._around.outgoing.waiting_at(target, RecipientState.QUEUED)
        room = room_at(queued, self._around.settings.upstream[target].messages_per_minute)
        return room if most is None else min(room, most - queued)
