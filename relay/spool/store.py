"""The spool: opens everything behind the three faces, and closes it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Self

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from relay.spool.bells import Bells
from relay.spool.claims import Claiming, free_leases, next_due_at
from relay.spool.contents import RecentContent, chunk_reader
from relay.spool.contract import SpoolError
from relay.spool.counts import Counts, countable
from relay.spool.database import Database, trouble
from relay.spool.gates import Gates
from relay.spool.handover import Handover
from relay.spool.identifiers import Identifiers, mark_name, mark_of
from relay.spool.inspection import StoreInspection
from relay.spool.intake import StoreIntake
from relay.spool.jobs import write
from relay.spool.node import node_name
from relay.spool.outgoing import StoreOutgoing
from relay.spool.reader import Reader
from relay.spool.records import Space
from relay.spool.removal import Removal
from relay.spool.room import Room
from relay.spool.schema import counts, leases, meta, unnamed
from relay.spool.statements import Statements
from relay.spool.transaction import CountKey, Transaction
from relay.spool.upgrade import prepare
from relay.spool.upkeep import Upkeep
from relay.spool.writer import Writer, probe

_RESERVE: Final = 16 * 1024 * 1024
_KEEP_TRACE: Final = 90 * 86400.0
_DAMAGE: Final = ("not a database", "malformed")


def _now() -> int:
    return time.time_ns() // 1_000_000


class Spool:
    """Mail that Relay is responsible for. Made by `open`; `intake`, `outgoing` and `inspection` are its faces."""

    def __init__(
        self,
        database: Database,
        identifiers: Identifiers,
        room: Room,
        keep_trace: float,
        clock: Callable[[], int],
        elapsed: Callable[[], float],
    ) -> None:
        self._database = database
        self._node = identifiers.node
        self._bells = Bells(clock)
        self._counts = Counts()
        self._gates = Gates(self._bells)
        self._reader = Reader(database, "spool-reader")
        self._searches = Reader(database, "spool-searches")
        self._contents = Reader(database, "spool-contents")
        self._writer = Writer(database, Statements(database), identifiers, clock, self._committed, elapsed)
        self._removal = Removal(self._writer)
        self._room = room
        self._upkeep = Upkeep(
            database, self._writer, self._reader, room, clock, keep_trace, self._refresh, self._removal.add
        )
        self._recent = RecentContent()
        read_chunk = chunk_reader(self._contents)
        claiming = Claiming(self._node, self._recent, read_chunk, self._bells, lambda: self._writer.steady)
        handover = Handover(self._bells)
        self.intake = StoreIntake(
            self._writer, identifiers, self._counts, room, handover, read_chunk, self._removal.add, clock
        )
        self.outgoing = StoreOutgoing(
            self._writer, self._reader, self.intake, claiming, handover, self._gates, self._bells, self._counts
        )
        self.inspection = StoreInspection(self._writer, self._reader, self._searches, self._gates, read_chunk)

    @classmethod
    async def open(
        cls,
        url: str,
        state_dir: Path,
        *,
        node: str | None = None,
        password: str | None = None,
        reserve: int = _RESERVE,
        keep_trace: float = _KEEP_TRACE,
        serving: bool = True,
        clock: Callable[[], int] = _now,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> Self:
        """Open the spool at `url`, made where there is none; an empty `url` means queue.db in `state_dir`.

        `node` None: the name kept in `state_dir`. `reserve` in octets, `keep_trace` in seconds. `serving` False: for a
        command while no `serve` runs; leases stay as they are, and nothing is tidied up. `clock` is the time of day,
        `elapsed` seconds by a clock that nobody sets. Raises SpoolError.
        """
        database = Database(url or f"sqlite:///{state_dir / 'queue.db'}", password)
        name = node or node_name(state_dir)
        try:
            mark = await asyncio.to_thread(_prepared, database, name)
        except SpoolError as error:
            raise _with_cure(error, database) from error
        path = database.path
        room = Room(path.parent, reserve, Path(f"{path}-wal")) if path is not None else Room(None, reserve)
        spool = cls(database, Identifiers(name, mark, clock), room, keep_trace, clock, elapsed)
        try:
            await spool._refresh()
            if serving:
                await spool._begin()
        except BaseException:
            await spool.aclose()
            raise
        return spool

    async def _begin(self) -> None:
        """Take up what the last process of this node left."""
        node = self._node
        await write(self._writer, lambda transaction: free_leases(transaction, leases.c.node == node))
        left = select(unnamed.c.content).where(unnamed.c.node == node)
        for key in await self._reader.read(lambda connection: connection.execute(left).scalars().all()):
            self._removal.add(key)
        self._upkeep.start()

    async def aclose(self) -> None:
        """Write what waits, and close; callers still waiting get their answer first."""
        await self._upkeep.aclose()
        await self._removal.aclose()
        if self._writer.unsafe:
            with contextlib.suppress(SpoolError):
                await self._writer.submit(probe, None)
        await self._writer.aclose()
        await self._reader.aclose()
        await self._searches.aclose()
        await self._contents.aclose()
        self._database.dispose()

    def apply(self, reserve: int, keep_trace: float) -> None:
        """Go by another reserve in octets, and keep traces for so many seconds, from now on."""
        self._room.keep(reserve)
        self._upkeep.keep_trace = keep_trace

    def health(self) -> str | None:
        """Return why the spool can't take mail now, for /readyz; None when it can."""
        if not self._writer.alive:
            return "the spool's writer has ended"
        refusal = self.intake.refusal()
        return None if refusal is None else str(refusal)

    @property
    def writes(self) -> bool:
        """True while there is something that writes, whether the database lets it or not."""
        return self._writer.alive

    def space(self) -> Space | None:
        """Return what is free on the spool's disk; None where that isn't known."""
        return self._room.space()

    async def purge(self) -> int:
        """Forget at once the traces older than they are kept; return how many messages went. Raises SpoolError."""
        return await self._upkeep.purge()

    def _committed(self, transaction: Transaction) -> None:
        self._counts.apply(transaction.deltas)
        for key, octets in transaction.kept:
            self._recent.remember(key, octets)
        for upstream, at in transaction.due.items():
            self._bells.of(upstream).expect(at)
        for key in transaction.loose:
            self._removal.add(key)
        for follow in transaction.after:
            follow()

    async def _refresh(self) -> None:
        """Take over what the database says, for other nodes may have changed it."""
        await write(self._writer, self._read_state, lasting=False)

    def _read_state(self, transaction: Transaction) -> None:
        rows = transaction.execute(select(counts)).all()
        totals = [((row.kind, row.name, row.state), row.total) for row in rows if countable(row)]
        held = Gates.read(transaction.connection, transaction.now)
        for name in {name for (kind, name, _), total in totals if kind == "upstream" and total}:
            at = next_due_at(transaction, name)
            if at is not None:
                transaction.expect(name, at)
        transaction.after.append(lambda: self._take_over(totals, transaction.deltas))
        transaction.after.append(lambda: self._gates.replace(held))

    def _take_over(self, totals: list[tuple[CountKey, int]], deltas: Mapping[CountKey, int]) -> None:
        # The totals were read before this very transaction wrote its own differences.
        self._counts.replace(totals)
        self._counts.apply(deltas)


def _prepared(database: Database, node: str) -> int:
    """Bring the database up to date; return the node's highest number so far."""
    prepare(database)
    try:
        with contextlib.closing(database.connect()) as connection:
            kept = connection.execute(select(meta.c.value).where(meta.c.name == mark_name(node))).scalar()
            # One that can't be read: the clock gives numbers above all before, as it does where there is none.
            return mark_of(kept) or 0
    except SQLAlchemyError as error:
        raise trouble(error) from error


def _with_cure(error: SpoolError, database: Database) -> SpoolError:
    """Return the error with what it concerns, and what an operator can do about it."""
    text = str(error)
    if database.path is None:
        return SpoolError(f"queue.url: {text}; see that the database runs and lets relay in", full=error.full)
    if any(word in text for word in _DAMAGE):
        text += "; put a backup in its place, or move it away to begin with an empty queue"
    return SpoolError(text if str(database.path) in text else f"{database.path}: {text}", full=error.full)
