"""What the store does by itself: tries again after trouble, frees expired leases, forgets old traces, shrinks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from time import monotonic
from typing import Final

from sqlalchemy import Connection, delete, select

from relay.logs import Log
from relay.spool import quotas
from relay.spool.claims import free_leases
from relay.spool.contract import SpoolError
from relay.spool.database import Database
from relay.spool.identifiers import first_id_at
from relay.spool.jobs import write
from relay.spool.listing import oldest_waiting_at
from relay.spool.reader import Reader
from relay.spool.room import Room
from relay.spool.schema import WAITING, events, leases, messages, pauses, recipients, unnamed
from relay.spool.transaction import Transaction
from relay.spool.writer import Writer, probe

_SECOND: Final = 1.0
_LEASES: Final = 2.0
_TIDY: Final = 3600.0
_FIRST_TIDY: Final = 60.0
_QUIET: Final = 10.0
_CALM: Final = 3.0
_DAY: Final = 86_400_000
_BATCH: Final = 100
_LOOKED_AT: Final = 2_000
_FREE_PAGES: Final = 2_000
_PAGES: Final = 500
_STEPS: Final = 20
_BREATH: Final = 0.05


class Upkeep:
    """One task for all that is periodic."""

    def __init__(
        self,
        database: Database,
        writer: Writer,
        reader: Reader,
        room: Room,
        clock: Callable[[], int],
        keep_trace: float,
        refresh: Callable[[], Awaitable[None]],
        remove: Callable[[str], None],
    ) -> None:
        self._database = database
        self._writer = writer
        self._reader = reader
        self._room = room
        self._clock = clock
        self.keep_trace = keep_trace
        self._refresh = refresh
        self._remove = remove
        self._log = Log("relay")
        self._swept = self._tidied = monotonic()
        self._tidied += _FIRST_TIDY - _TIDY
        self._truncated = 0
        self._refusing = self._gone = False
        self._task: asyncio.Task[None] | None = None
        self._tidying: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._writer.short_log = self._room.tight
        self._task = asyncio.get_running_loop().create_task(self._run(), name="spool-upkeep")

    async def aclose(self) -> None:
        """Stop."""
        tasks = [task for task in (self._task, self._tidying) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_SECOND)
            try:
                await self._round()
            except Exception as error:  # task root: logged, and tried again a second later
                if isinstance(error, SpoolError) and self._writer.trouble is not None:
                    continue  # the writer has told of it
                self._complain(error)

    async def _round(self) -> None:
        self._writer.revive()
        self._tell_of_room()
        self._writer.short_log = self._room.tight
        if self._writer.trouble is not None:
            await self._writer.submit(probe, None)
        now = monotonic()
        if not self._database.sqlite:
            await self._refresh()
        if now - self._swept >= _LEASES and self._writer.steady:
            self._swept = now
            expired = select(leases.c.token).where(leases.c.expires_at < self._clock()).limit(1)
            if await self._reader.read(lambda connection: connection.execute(expired).first()):
                await write(self._writer, lambda tx: free_leases(tx, leases.c.expires_at < tx.now))
        if now - self._tidied >= _TIDY:
            self._tidied = now
            self._tidying = self._tidying or asyncio.get_running_loop().create_task(self._tidy(), name="spool-tidying")
        await self._shrink()
        await self._truncate()

    def _tell_of_room(self) -> None:
        """Log when there begins to be too little, and when there has been enough for a while: it comes and goes."""
        self._room.look_for_files()
        gone = self._room.gone
        if gone is not None and not self._gone:
            self._log.write(logging.ERROR, "spool_damaged", {"text": str(gone)})
        self._gone = gone is not None
        self._room.refusal()
        refusing = monotonic() - self._room.refused_at < _CALM
        if refusing == self._refusing:
            return
        self._refusing = refusing
        if refusing:
            self._log.write(logging.ERROR, "spool_full", {"text": str(self._room.refused)})
        else:
            self._log.write(logging.INFO, "spool_recovered", {})

    async def _tidy(self) -> None:
        """Beside the rounds, for it takes minutes after many messages went."""
        try:
            await self.purge()
        except Exception as error:  # task root: logged, and tried again an hour later
            self._complain(error)
        finally:
            self._tidying = None

    def _complain(self, error: Exception) -> None:
        self._log.write(logging.WARNING, "upkeep_failed", {"error": type(error).__name__, "text": str(error)})

    async def _shrink(self) -> None:
        """Where room is scarce, give back at once what the file and the log do not need."""
        if not self._database.sqlite or not self._room.tight:
            return
        keep = 0 if self._room.refusal() is not None else _PAGES
        for _ in range(_STEPS):
            if not await write(self._writer, lambda tx: give_pages_back(tx, keep)):
                break
            await asyncio.sleep(_BREATH)
        await self._reader.read(self._database.empty_log)

    async def purge(self) -> int:
        """Forget what was kept long enough, and give free pages back; return of how many messages the trace went."""
        cutoff_at = self._clock() - int(self.keep_trace * 1000)
        gone = 0
        after: str | None = ""
        while after is not None:
            ids, after = await self._reader.read(partial(forgettable, cutoff_at=cutoff_at, after=after))
            if ids:
                gone += await write(self._writer, partial(forget, ids=ids))
            await asyncio.sleep(_BREATH)
        await write(self._writer, quotas.sum_up)
        await write(self._writer, forget_pauses)
        await self._remove_forgotten()
        more = self._database.sqlite
        while more:
            more = await write(self._writer, give_pages_back)
            await asyncio.sleep(_BREATH)
        return gone

    async def _remove_forgotten(self) -> None:
        """Remove the content that nodes left behind which never started again."""
        old = select(unnamed.c.content).where(unnamed.c.since_at < self._clock() - _DAY)
        for key in await self._reader.read(lambda connection: connection.execute(old).scalars().all()):
            self._remove(key)

    async def _truncate(self) -> None:
        """Bring the write-ahead log down to nothing in a quiet moment, so that a restart has nothing to read."""
        commits, at = self._writer.commits, self._writer.committed_at
        if not self._database.sqlite or commits == self._truncated or monotonic() - at < _QUIET:
            return
        self._truncated = commits
        await self._reader.read(self._database.empty_log)


def forgettable(connection: Connection, cutoff_at: int, after: str) -> tuple[list[str], str | None]:
    """Return some messages accepted before `cutoff_at` of which nothing waits, and behind which ID to go on."""
    m, r = messages.c, recipients.c
    old = select(m.id).where(m.id > after, m.id < first_id_at(cutoff_at), m.accepted_at < cutoff_at)
    ids = connection.execute(old.order_by(m.id).limit(_LOOKED_AT)).scalars().all()
    if not ids:
        return [], None
    among = select(r.message).where(r.message.between(ids[0], ids[-1]), WAITING)
    waiting = set(connection.execute(among).scalars())
    found = [id_ for id_ in ids if id_ not in waiting]
    if len(found) > _BATCH:
        return found[:_BATCH], found[_BATCH - 1]
    return found, ids[-1] if len(ids) == _LOOKED_AT else None


def forget(transaction: Transaction, ids: Sequence[str]) -> int:
    """Forget those of the messages of which nothing waits; return how many."""
    among = select(recipients.c.message).where(recipients.c.message.in_(ids), WAITING)
    waiting = set(transaction.execute(among).scalars())
    gone = [id_ for id_ in ids if id_ not in waiting]
    for column in (events.c.message, recipients.c.message, messages.c.id):
        transaction.execute(delete(column.table).where(column.in_(gone)))
    return len(gone)


def forget_pauses(transaction: Transaction) -> None:
    """Forget the pauses that were over before anything that waits was accepted."""
    p = pauses.c
    for upstream in transaction.execute(select(p.upstream).distinct()).scalars().all():
        oldest_at = oldest_waiting_at(transaction.connection, upstream)
        # The oldest is found by its ID, which is given some time before a message is accepted.
        before_at = transaction.now if oldest_at is None else oldest_at - _DAY
        transaction.execute(delete(pauses).where(p.upstream == upstream, p.until_at <= before_at))


def give_pages_back(transaction: Transaction, keep: int = _FREE_PAGES) -> bool:
    """Shorten the file by some free pages, but for a few that are used again soon; True while there are more."""
    free = transaction.connection.exec_driver_sql("PRAGMA freelist_count").scalar() or 0
    if free <= keep:
        return False
    for _ in range(min(_PAGES, free - keep)):
        # Python's driver takes one step of it only, which is one page.
        transaction.cursor.say("PRAGMA incremental_vacuum(1)")
    left = transaction.connection.exec_driver_sql("PRAGMA freelist_count").scalar() or 0
    return keep < left < free
