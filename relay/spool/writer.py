"""The one task that writes: everything that waits goes into one transaction, with one fsync and without a timer."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, TypeAlias

from sqlalchemy import Connection

from relay.logs import Log
from relay.spool.contract import SpoolError
from relay.spool.database import Cursor, Database, environmental, trouble, worth_repeating
from relay.spool.identifiers import Identifiers
from relay.spool.statements import Statements
from relay.spool.transaction import Transaction

_GROUP_OCTETS: Final = 8 * 1024 * 1024
_GROUP_UNITS: Final = 512
_PAUSE: Final = 1.0
_TRIES: Final = 3
_STEADY: Final = 60.0
_LEAP: Final = 10.0
_SAFE_AFTER: Final = 0.05
_PATIENCE: Final = 0.004
_REMIND: Final = 60.0


Kind: TypeAlias = Callable[[Transaction, list[Any]], Sequence[Any]]
"""A kind of work: does all of it that came into one group, and returns a result for each."""


@dataclass(slots=True, eq=False)
class Unit:
    """One caller's work. `order` puts content before messages that name it, and claims behind what they may take.

    `lasting` False: should the machine lose power within 50 ms, it may be forgotten. A claim may: a start frees
    the node's leases anyway, and so may a settlement, whose message is then sent twice, as it is when the power goes
    before it. A killed process forgets nothing.
    """

    order: int
    kind: Kind
    argument: Any
    octets: int
    lasting: bool
    future: asyncio.Future[Any]


Outcome: TypeAlias = tuple["asyncio.Future[Any]", Any, SpoolError | None]
"""What came of one unit: its result, or why nothing of it was kept."""


class Writer:
    """Runs units of work in a thread of its own, and tells the event loop of each group once.

    `short_log` keeps the write-ahead log short, which takes time, and room only where there is little. `elapsed` gives
    seconds by a clock that nobody sets.
    """

    def __init__(
        self,
        database: Database,
        statements: Statements,
        identifiers: Identifiers,
        clock: Callable[[], int],
        committed: Callable[[Transaction], None],
        elapsed: Callable[[], float] = monotonic,
    ) -> None:
        self._database = database
        self._statements = statements
        self._identifiers = identifiers
        self._clock = clock
        self._elapsed = elapsed
        self._ahead = self._lead()
        self._committed = committed
        self._loop = asyncio.get_running_loop()
        self._gathered: list[Unit] = []
        self._hurried = False
        self._handing: asyncio.Handle | None = None
        self._units: queue.SimpleQueue[list[Unit] | None] = queue.SimpleQueue()
        self._held_over: list[Unit] = []
        self._group: list[Unit] = []
        self._closing = threading.Event()
        self._log = Log("relay")
        self.trouble: SpoolError | None = None
        self.short_log = False
        self.commits = 0
        self.unsafe = False
        self._making_safe: asyncio.TimerHandle | None = None
        self._troubled_at = -_STEADY
        self._asked_at = monotonic()
        self._told = ""
        self._told_at = -_REMIND
        self._telling = False
        self.committed_at = monotonic()
        self._thread = self._start()

    def _start(self) -> threading.Thread:
        thread = threading.Thread(target=self._run, name="spool-writer", daemon=True)
        thread.start()
        return thread

    @property
    def alive(self) -> bool:
        """True while the thread runs."""
        return self._thread.is_alive()

    @property
    def steady(self) -> bool:
        """True where nothing failed for as long as a lease lasts: who had to wait with a settlement has written it.

        Where the clock leaps forward, as it does when a machine is woken, or this process stood still, leases ended
        that nobody had the time to renew. It is asked every few seconds.
        """
        now, ahead = monotonic(), self._lead()
        if ahead - self._ahead > _LEAP or now - self._asked_at > _LEAP:
            self._troubled_at = now
        self._ahead, self._asked_at = ahead, now
        return now - self._troubled_at > _STEADY

    def _lead(self) -> float:
        """Return the seconds by which the time of day is ahead of a clock that nobody sets."""
        return self._clock() / 1000 - self._elapsed()

    def revive(self) -> None:
        """Start the thread again, where it died."""
        if not self._thread.is_alive() and not self._closing.is_set():
            self._thread = self._start()

    def submit(
        self,
        kind: Kind,
        argument: Any,
        order: int = 1,
        octets: int = 0,
        *,
        lasting: bool = True,
        patient: bool = False,
    ) -> asyncio.Future[Any]:
        """Queue one unit; the future gets its result, or a SpoolError. Called in the event loop.

        `patient`: it waits some milliseconds for others to share a transaction with.
        """
        future = self._loop.create_future()
        if self._closing.is_set():
            future.set_exception(SpoolError("the spool is closed"))
            return future
        self._gathered.append(Unit(order, kind, argument, octets, lasting, future))
        if not patient and not self._hurried:
            self._hurried = True
            if self._handing is not None:
                self._handing.cancel()
            # Not before all that has come in by now was looked at: it may bring more.
            self._handing = self._loop.call_soon(self._hand_over)
        elif self._handing is None:
            self._handing = self._loop.call_later(_PATIENCE, self._hand_over)
        return future

    def _hand_over(self) -> None:
        """Give the thread what was gathered."""
        self._hurried, self._handing = False, None
        gathered, self._gathered = self._gathered, []
        if gathered:
            self._units.put(gathered)

    async def aclose(self) -> None:
        """Do what waits, then end the thread."""
        if not self._closing.is_set():
            self._closing.set()
            self._hand_over()
            self._units.put(None)
        if self._making_safe is not None:
            self._making_safe.cancel()
        await asyncio.get_running_loop().run_in_executor(None, self._thread.join)

    def _run(self) -> None:
        # What a thread that died was at, nobody else answers.
        self._refuse(self._group, SpoolError("the spool's writer ended"))
        unsynced = False
        while True:
            try:
                connection = self._database.connect()
                try:
                    if unsynced:
                        self._database.begin_log_anew(connection)
                        unsynced = False
                    # With less, what is removed soon after it was put would have to be read first.
                    self._database.keep_in_memory(connection, _GROUP_OCTETS)
                    self._work(connection)
                finally:
                    connection.close()
            except Exception as error:  # task root: logged, and started again after a pause
                self.trouble = trouble(error)
                self._troubled_at = monotonic()
                unsynced = unsynced or self._database.unsynced(error)
                self._tell(error, self.trouble)
                self._refuse(self._group, self.trouble)
                self._refuse_waiting(self.trouble)
                if self._closing.wait(_PAUSE):
                    self._refuse_waiting(self.trouble)
                    return
            else:
                return

    def _work(self, connection: Connection) -> None:
        cursor = Cursor(connection)
        short_log = False
        # Nothing of a group stays referenced while the next is waited for: it may be megabytes.
        while self._collect():
            if self.short_log != short_log:
                short_log = self.short_log
                self._database.limit_log(connection, short=short_log)
            error = self._write(connection, cursor, self._group)
            if error is not None and len(self._group) > 1 and not self._database.hopeless(connection, error):
                # One of them may be at fault; none may suffer for another.
                for unit in self._group:
                    error = self._write(connection, cursor, [unit])
                    if error is not None:
                        self._refuse([unit], error)
            elif error is not None:
                self._refuse(self._group, error)
            self._group.clear()
            if error is not None and self._database.broken(connection, error):
                raise error

    def _write(self, connection: Connection, cursor: Cursor, group: list[Unit]) -> Exception | None:
        """Run one transaction, anew where another node or the log was in its way; return why it failed."""
        error: Exception | None = None
        relieved = False
        for _ in range(_TRIES):
            with self._database.log_in_use:
                outcome = self._attempt(connection, cursor, group)
            if not isinstance(outcome, Exception):
                if self.trouble is not None:
                    self._well_again()
                self._post(*outcome)
                return None
            error = outcome
            if not relieved and self._database.relieve(connection, error):
                relieved = True
            elif not worth_repeating(error):
                break
        return error

    def _collect(self) -> bool:
        """Take what waits, at least one unit and as much as a group may be; False at the end."""
        some: list[Unit] | None = self._held_over or self._units.get()
        self._held_over = []
        group, octets = self._group, 0
        while some is not None:
            for at, unit in enumerate(some):
                octets += unit.octets
                if group and (octets > _GROUP_OCTETS or len(group) >= _GROUP_UNITS):
                    self._held_over = some[at:]
                    return True
                group.append(unit)
            if self._units.empty():
                return True
            some = self._units.get()
        if group:
            self._units.put(None)
        return bool(group)

    def _attempt(
        self, connection: Connection, cursor: Cursor, group: list[Unit]
    ) -> tuple[list[Outcome], Transaction] | Exception:
        transaction = Transaction(connection, cursor, self._statements, self._identifiers, self._clock())
        outcomes: list[Outcome] = []
        lasting = any(unit.lasting for unit in group)
        try:
            cursor.begin(lasting=lasting)
            for kind, units in _by_kind(group):
                results = kind(transaction, [unit.argument for unit in units])
                outcomes += [(unit.future, result, None) for unit, result in zip(units, results, strict=True)]
            transaction.finish()
            cursor.say("COMMIT")
        except Exception as error:  # root of a unit of work: its caller is told
            self._roll_back(cursor)
            return error
        self.commits += 1
        self.unsafe = not lasting
        self.committed_at = monotonic()
        return outcomes, transaction

    def _roll_back(self, cursor: Cursor) -> None:
        try:
            cursor.say("ROLLBACK")
        except Exception as error:  # nothing was begun, or the connection is gone: the next attempt shows which
            self._log.write(logging.DEBUG, "rollback_failed", {"error": type(error).__name__})

    def _refuse(self, units: list[Unit], error: Exception) -> None:
        """Tell callers that nothing of their work was kept."""
        if not units:
            return
        told = trouble(error)
        if environmental(error):
            self.trouble = told
            self._troubled_at = monotonic()
        self._tell(error, told)
        # An exception of its own for each: they are raised in many places at once.
        outcomes: list[Outcome] = [(unit.future, None, trouble(error)) for unit in units]
        if units is self._group:
            units.clear()
        self._post(outcomes, None)

    def _tell(self, error: Exception, told: SpoolError) -> None:
        """Log trouble, and the same again only after a while."""
        text, now = str(told)[:300], monotonic()
        if text == self._told and now - self._told_at < _REMIND:
            return
        self._told, self._told_at, self._telling = text, now, True
        self._log.write(logging.ERROR, "spool_failed", {"error": type(error).__name__, "text": text})

    def _well_again(self) -> None:
        self.trouble = None
        if self._telling:
            self._telling = False
            self._log.write(logging.INFO, "spool_recovered", {})

    def _refuse_waiting(self, error: Exception) -> None:
        units, self._held_over = self._held_over, []
        while True:
            try:
                some = self._units.get_nowait()
            except queue.Empty:
                break
            if some is None:
                self._units.put(None)
                break
            units += some
        self._refuse(units, error)

    def _post(self, outcomes: list[Outcome], transaction: Transaction | None) -> None:
        try:
            self._loop.call_soon_threadsafe(self._resolve, outcomes, transaction)
        except RuntimeError:
            # The loop is closed: nobody is left to be told.
            self._closing.set()

    def _resolve(self, outcomes: list[Outcome], transaction: Transaction | None) -> None:
        if transaction is not None:
            self._committed(transaction)
        for future, result, error in outcomes:
            if future.done():
                continue
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)
        if self.unsafe and self._making_safe is None and not self._closing.is_set():
            self._making_safe = self._loop.call_later(_SAFE_AFTER, self._make_safe)

    def _make_safe(self) -> None:
        """Have a commit wait for the disk where none did since the last that didn't."""
        self._making_safe = None
        if self.unsafe and not self._closing.is_set():
            # Where it fails, the next commit that lasts does its work.
            self.submit(probe, None).add_done_callback(lambda done: done.cancelled() or done.exception())


def probe(transaction: Transaction, arguments: Sequence[Any]) -> Sequence[Any]:
    """Write something: to see whether it can be done again, and to make safe what came before."""
    transaction.cursor.run(transaction.statements.mark, ("probe", str(transaction.now)))
    return arguments


def _by_kind(group: list[Unit]) -> list[tuple[Kind, list[Unit]]]:
    if len(group) == 1:
        return [(group[0].kind, group)]
    kinds: dict[tuple[int, Kind], list[Unit]] = {}
    for unit in group:
        kinds.setdefault((unit.order, unit.kind), []).append(unit)
    return [(kind, units) for (_, kind), units in sorted(kinds.items(), key=lambda item: item[0][0])]
