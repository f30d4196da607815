"""A new spool from what can still be read of a damaged one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from relay.folder import put_in_place
from relay.spool.contract import SpoolError
from relay.spool.database import Database, trouble
from relay.spool.invariants import RECOUNT
from relay.spool.place import Place
from relay.spool.remains import Remains, Row, known_ids, remains
from relay.spool.schema import metadata
from relay.spool.upgrade import prepare

_OF_MESSAGES: Final = ("messages", "recipients", "chunks", "events")
_MADE_ANEW: Final = ("leases", "unnamed", "counts")
_TOGETHER: Final = 500


@dataclass(frozen=True, slots=True)
class Lost:
    """A message that may have waited and could not be taken over; what is known of it."""

    id: str
    client: str | None
    sender: str | None
    recipients: tuple[str, ...]


def salvage(place: Place, target: Path) -> Iterator[Lost]:
    """Write a new spool with every message that can be read whole; give those that can't. Raises SpoolError.

    What was in flight is queued: whether it was taken, nobody knows.
    """
    if place.path is None:
        raise SpoolError(
            "only a SQLite file can be salvaged; a damaged PostgreSQL database is restored by its own means"
        )
    if place.holder is not None:
        raise SpoolError(f"a relay is running (pid {place.holder}); stop it first")
    if target.exists():
        raise SpoolError(f"{target} is there already; name a new file")
    unfinished = target.with_name(f"{target.name}.part")
    _remove(unfinished)
    try:
        yield from _write(place, unfinished)
    except sqlite3.Error as error:
        raise trouble(error) from error
    else:
        put_in_place(unfinished, target)
    finally:
        # Under its name it stands only when it is whole: what was broken off lacks mail, and has some in it.
        _remove(unfinished)


def _write(place: Place, target: Path) -> Iterator[Lost]:
    prepare(Database(f"sqlite:///{target}"))
    with closing(place.connect()) as opened, closing(sqlite3.connect(target, isolation_level=None)) as new:
        old: Any = opened.connection.driver_connection
        new.execute("BEGIN")
        for number, id_ in enumerate(known_ids(old)):
            left = remains(old, id_)
            if left.sendable:
                _take_over(new, left)
            else:
                yield _lost(id_, left)
            if number % _TOGETHER == 0:
                new.execute("COMMIT")
                new.execute("BEGIN")
        _take_over_the_rest(old, new)
        new.execute(f"INSERT INTO counts (kind, name, state, total) {RECOUNT}")
        new.execute("COMMIT")
        new.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _remove(database: Path) -> None:
    for remnant in ("", "-wal", "-shm", "-journal"):
        database.with_name(f"{database.name}{remnant}").unlink(missing_ok=True)


def _take_over(new: sqlite3.Connection, left: Remains) -> None:
    for row in left.rows.get("recipients", ()):
        if row["state"] == "in_flight":
            row["state"] = "queued"
        row["lease"] = None
    for table in _OF_MESSAGES:
        for row in left.rows.get(table, ()):
            _insert(new, table, row)


def _take_over_the_rest(old: sqlite3.Connection, new: sqlite3.Connection) -> None:
    """Copy what is known besides messages, as far as it can be read."""
    for table in metadata.tables:
        if table in _OF_MESSAGES or table in _MADE_ANEW:
            continue
        with suppress(sqlite3.DatabaseError):
            cursor = old.execute(f"SELECT * FROM {table}")
            names = [description[0] for description in cursor.description]
            for values in cursor:
                _insert(new, table, dict(zip(names, values, strict=True)))


def _insert(new: sqlite3.Connection, table: str, row: Row) -> None:
    marks = ", ".join("?" * len(row))
    new.execute(f"INSERT OR REPLACE INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))


def _lost(id_: str, left: Remains) -> Lost:
    message = left.rows.get("messages") or [{}]
    paths = tuple(str(row["forward_path"]) for row in left.rows.get("recipients", ()))
    return Lost(id_, left.client, message[0].get("reverse_path"), paths)
