"""The database behind the spool: connections, and the few things in which SQLite and PostgreSQL differ."""

from __future__ import annotations

import operator
import os
import re
import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain, count
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, NullPool, create_engine, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.sql.expression import ClauseElement

from relay.spool.contract import SpoolError
from relay.spool.remedy import remedy_for

_BUSY_MILLISECONDS: Final = 10_000
_WAL_PAGES: Final = 4_000
_SHORT_WAL_PAGES: Final = 250
_LEAST_SQLITE: Final = (3, 35, 0)
_POSTGRESQL_FULL: Final = "53100"
_POSTGRESQL_COLLISION: Final = {"40001", "40P01"}
_NO_OFFSET: Final = " OFFSET ?"
_ROWS: Final = 32
"""Rows of the longest INSERT or UPDATE, and keys of the longest IN."""

_PREPARED: Final = 512
"""Statements that SQLite keeps prepared: those of one row or key to `_ROWS`, about ten, and the others."""

_THEMSELVES: Final[dict[type, Callable[[Any], Any]]] = {type(None): {}.get, bool: operator.index, bytes: bytes}
"""What gives a value back as it is. Without, sqlite3 makes and drops an AttributeError for each that it binds."""

KEYS: Final = "?keys"
"""Stands in the statements of `Cursor.among` for as many keys as there are. SQLite takes 12 us more for each array."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement compiled once; its values are given in the order of `names`."""

    sql: str
    names: tuple[str, ...]


class Database:
    """Opens connections to one database. Raises SpoolError where that is impossible."""

    def __init__(self, url: str, password: str | None = None) -> None:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
        self.sqlite = backend == "sqlite"
        self.log_in_use = threading.Lock()
        # Where it is a link, SQLite keeps the log beside the file itself.
        self.path = Path(os.path.realpath(parsed.database)) if self.sqlite and parsed.database else None
        if self.sqlite:
            if sqlite3.sqlite_version_info < _LEAST_SQLITE:
                raise SpoolError(f"SQLite {sqlite3.sqlite_version} is too old; 3.35 is the least")
            for kind, same in _THEMSELVES.items():
                sqlite3.register_adapter(kind, same)
            self.engine: Engine = create_engine(
                parsed,
                poolclass=NullPool,
                isolation_level="AUTOCOMMIT",
                connect_args={"check_same_thread": False, "cached_statements": _PREPARED},
            )
        else:
            if password is not None:
                parsed = parsed.set(password=password)
            # The driver's name is fixed: a bare postgresql:// would mean psycopg2.
            self.engine = create_engine(
                parsed.set(drivername="postgresql+psycopg"),
                poolclass=NullPool,
                isolation_level="AUTOCOMMIT",
                paramstyle="format",
                connect_args={"connect_timeout": 10, "application_name": "relay"},
            )

    def connect(self, *, reading: bool = False) -> Connection:
        """Open a connection in which every statement is its own transaction until `begin`.

        `reading` writes nothing, so that a spool on a full disk can be looked at. Raises SpoolError.
        """
        try:
            connection = self.engine.connect()
            if self.sqlite:
                self._prepare(connection, reading=reading)
            else:
                connection.exec_driver_sql(_WAIT_FOR_THE_DISK).close()
        except SQLAlchemyError as error:
            raise trouble(error) from error
        return connection

    @staticmethod
    def _prepare(connection: Connection, *, reading: bool) -> None:
        for pragma in (
            f"busy_timeout = {_BUSY_MILLISECONDS}",
            # A write, even where it is so already.
            *(() if reading else ("auto_vacuum = INCREMENTAL",)),
            "journal_mode = WAL",
            "synchronous = FULL",
            "secure_delete = FAST",
            "foreign_keys = ON",
            "temp_store = MEMORY",
            f"wal_autocheckpoint = {_WAL_PAGES}",
            "journal_size_limit = 67108864",
        ):
            connection.exec_driver_sql(f"PRAGMA {pragma}").close()

    def compile(self, statement: ClauseElement) -> Statement:
        """Return the statement in this database's SQL."""
        compiled: Any = statement.compile(dialect=self.engine.dialect)
        sql, names = str(compiled), tuple(compiled.positiontup or ())
        # SQLAlchemy gives SQLite an OFFSET of nothing with every LIMIT.
        return Statement(sql.replace(_NO_OFFSET, ""), tuple(name for name in names if not name.startswith("param_")))

    def broken(self, connection: Connection, error: BaseException) -> bool:
        """Return True where the connection should be opened anew after `error`."""
        cause = _cause(error)
        if self.sqlite:
            code = getattr(cause, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
            return environmental(error) and code not in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY}
        driver: Any = connection.connection.driver_connection
        return connection.invalidated or driver is None or bool(driver.closed)

    def hopeless(self, connection: Connection, error: BaseException) -> bool:
        """Return True where trying each unit of a failed group alone is of no use: locked, cut off, or not synced."""
        if self.sqlite:
            locked = getattr(_cause(error), "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF == sqlite3.SQLITE_BUSY
            return locked or self.unsynced(error)
        return self.broken(connection, error)

    def unsynced(self, error: BaseException) -> bool:
        """Return True where the disk did not take what was written: nothing may be added to the log as it is.

        Linux says so once, and counts as written what the disk did not take, of earlier transactions too. What stands
        behind a gap in the log is lost with the power, however well it is synced itself.
        """
        return self.sqlite and getattr(_cause(error), "sqlite_errorcode", None) == sqlite3.SQLITE_IOERR_FSYNC

    def begin_log_anew(self, connection: Connection) -> None:
        """Bring all that the log holds into the file, synced, and the log to nothing. Raises where that can't be."""
        with self.log_in_use:
            busy = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()[0]
        if busy:
            raise SpoolError("the write-ahead log cannot begin anew: another program reads the file; fuser names it")

    def keep_in_memory(self, connection: Connection, octets: int) -> None:
        """Say how much of the file this connection may keep in memory."""
        if self.sqlite:
            connection.exec_driver_sql(f"PRAGMA cache_size = -{octets // 1024}").close()

    def limit_log(self, connection: Connection, *, short: bool) -> None:
        """Say how long the write-ahead log may become before it is written back."""
        if self.sqlite:
            pages = _SHORT_WAL_PAGES if short else _WAL_PAGES
            connection.exec_driver_sql(f"PRAGMA wal_autocheckpoint = {pages}").close()

    def empty_log(self, connection: Connection) -> None:
        """Write the log back into the file and cut it to nothing; does nothing where somebody reads it.

        Not while the writer commits, nor the other way round: before 3.51.3 SQLite could damage the file where a
        commit begins the log anew at the instant in which another connection writes it back (sqlite.org/wal.html).
        """
        with self.log_in_use:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").close()

    def relieve(self, connection: Connection, error: BaseException) -> bool:
        """Where a full disk leaves the write-ahead log no room to grow, write it back; True where it can begin anew."""
        if not self.sqlite or not trouble(error).full:
            return False
        try:
            row = connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)").one()
        except SQLAlchemyError:
            return False
        busy, logged, written = row
        return not busy and logged > 0 and logged == written

    def dispose(self) -> None:
        """Forget the engine."""
        self.engine.dispose()


_WAIT_FOR_THE_DISK: Final = (
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
)
"""A server, a database or a role may have it off, and what we said 250 to would be forgotten with the power."""


class Cursor:
    """Runs compiled statements straight through the driver, for a tenth of what SQLAlchemy takes for each."""

    def __init__(self, connection: Connection) -> None:
        driver: Any = connection.connection.driver_connection
        self._cursor = driver.cursor()
        self._sqlite = connection.dialect.name == "sqlite"
        self._lasting = True

    def begin(self, *, lasting: bool = True) -> None:
        """Begin a writing transaction; on SQLite it waits for the write lock at once.

        `lasting` False: its commit does not wait for the disk; the next that does makes both safe.
        """
        if not self._sqlite:
            self.say("BEGIN")
            if not lasting:
                self.say("SET LOCAL synchronous_commit = off")
            return
        if lasting is not self._lasting:
            self.say(f"PRAGMA synchronous = {'FULL' if lasting else 'NORMAL'}")
            self._lasting = lasting
        self.say("BEGIN IMMEDIATE")

    def run(self, statement: Statement, values: Sequence[Any] = ()) -> int:
        """Run once; return how many rows it touched."""
        self._cursor.execute(statement.sql, values)
        return int(self._cursor.rowcount)

    def rows(self, statement: Statement, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return all rows."""
        self._cursor.execute(statement.sql, values)
        return self._cursor.fetchall()  # type: ignore[no-any-return]

    def among(self, statement: Statement, keys: Sequence[str], values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a statement that is about several keys at once, in its first condition; return the rows, if any."""
        if not self._sqlite:
            self._cursor.execute(statement.sql, (list(keys), *values))
            return self._cursor.fetchall() if self._cursor.description else []
        rows: list[tuple[Any, ...]] = []
        for at in range(0, len(keys), _ROWS):
            some = keys[at : at + _ROWS]
            self._cursor.execute(_of_keys(statement.sql, len(some)), (*some, *values))
            rows += self._cursor.fetchall()
        return rows

    def begin_rows(self, statement: Statement, values: Sequence[Any] = ()) -> None:
        """Run a query whose rows `more_rows` fetches."""
        self._cursor.execute(statement.sql, values)

    def more_rows(self, limit: int) -> list[tuple[Any, ...]]:
        """Return the next rows."""
        return self._cursor.fetchmany(limit)  # type: ignore[no-any-return]

    def many(self, statement: Statement, rows: Iterable[Sequence[Any]]) -> None:
        """Run once for each of the rows."""
        self._cursor.executemany(statement.sql, rows)

    def insert(self, statement: Statement, rows: Sequence[Sequence[Any]]) -> None:
        """Insert the rows."""
        self._together(statement, rows, _of_rows, least=2)

    def update(self, statement: Statement, rows: Sequence[Sequence[Any]]) -> None:
        """Update by each of the rows."""
        self._together(statement, rows, _from_rows, least=3)

    def _together(
        self,
        statement: Statement,
        rows: Sequence[Sequence[Any]],
        joined: Callable[[str, int], str],
        least: int,
    ) -> None:
        """Run once for each of the rows; on SQLite several with each run, where that is faster."""
        if not self._sqlite or len(rows) < least:
            self._cursor.executemany(statement.sql, rows)
            return
        for at in range(0, len(rows), _ROWS):
            some = rows[at : at + _ROWS]
            self._cursor.execute(joined(statement.sql, len(some)), list(chain.from_iterable(some)))

    def say(self, sql: str) -> None:
        """Run a statement without values."""
        self._cursor.execute(sql)


@cache
def _of_rows(sql: str, rows: int) -> str:
    """Return an INSERT of one row as one of so many."""
    upto, values, rest = sql.partition(" VALUES ")
    row, end, conflict = rest.partition(")")
    return f"{upto}{values}{', '.join([row + end] * rows)}{conflict}"


@cache
def _from_rows(sql: str, rows: int) -> str:
    """Return an UPDATE by one row of values as one by so many, which stand in a table."""
    numbers = count(1)
    row = f"({', '.join('?' * sql.count('?'))})"
    table = f" FROM (VALUES {', '.join([row] * rows)}) WHERE "
    return re.sub(r"\?", lambda _: f"column{next(numbers)}", sql).replace(" WHERE ", table, 1)


@cache
def _of_keys(sql: str, count: int) -> str:
    """Return a statement about any keys as one about so many."""
    return sql.replace(KEYS, ", ".join("?" * count))


def environmental(error: BaseException) -> bool:
    """Return True where the database, and not what was asked of it, is at fault."""
    cause = _cause(error)
    if isinstance(cause, sqlite3.Error):
        return isinstance(cause, sqlite3.OperationalError) or type(cause) is sqlite3.DatabaseError
    # psycopg is imported only where it is used, so that its errors are told by their names.
    return isinstance(cause, OSError) or any(base.__name__ in _POSTGRESQL_TROUBLE for base in type(cause).__mro__)


_POSTGRESQL_TROUBLE: Final = {"OperationalError", "InterfaceError", "ReadOnlySqlTransaction"}


def trouble(error: BaseException) -> SpoolError:
    """Return what to tell the callers of a failed transaction."""
    if isinstance(error, SpoolError):
        return SpoolError(str(error), full=error.full)
    cause = _cause(error)
    full = (
        getattr(cause, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
        or getattr(cause, "sqlstate", None) == _POSTGRESQL_FULL
    )
    # PostgreSQL's further lines may quote a row, and Python's driver text that is not UTF-8.
    text = next(iter(str(cause).splitlines()), "").partition(" with text ")[0]
    remedy = remedy_for(cause)
    return SpoolError(f"{type(cause).__name__}: {text}{f'; {remedy}' if remedy else ''}", full=full)


def worth_repeating(error: BaseException) -> bool:
    """Return True where PostgreSQL ended a transaction for the sake of another node's."""
    return getattr(_cause(error), "sqlstate", None) in _POSTGRESQL_COLLISION


def _cause(error: BaseException) -> BaseException:
    if isinstance(error, DBAPIError) and isinstance(error.orig, BaseException):
        return error.orig
    return error
