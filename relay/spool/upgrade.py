"""The schema's revision: a new database is made whole, an older one is upgraded, a newer one is refused."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection, insert, inspect, select

from relay.spool.contract import SpoolError
from relay.spool.database import Database
from relay.spool.schema import REVISION, meta, metadata

_NAME = "revision"


def prepare(database: Database) -> None:
    """Bring the database to this code's revision. Raises SpoolError."""
    with closing(database.connect()) as connection:
        found = revision_of(connection)
        if found is None:
            _make(database, connection)
            return
    if found == REVISION:
        return
    if found > REVISION:
        raise SpoolError(f"the queue was written by a newer Relay (revision {found}; this one knows {REVISION})")
    if database.path is not None:
        back_up(database.path, database.path.with_name(f"{database.path.name}.before-{REVISION}"))
    _upgrade(database)


def revision_of(connection: Connection) -> str | None:
    """Return the revision, None for a database without our tables."""
    if not inspect(connection).has_table(meta.name):
        return None
    return connection.execute(select(meta.c.value).where(meta.c.name == _NAME)).scalar()


def _make(database: Database, connection: Connection) -> None:
    connection.exec_driver_sql(database.begin)
    # Looked at again under the lock: another process may have been faster.
    if database.sqlite and revision_of(connection) is not None:
        connection.exec_driver_sql("ROLLBACK")
        return
    metadata.create_all(connection)
    connection.execute(insert(meta).values(name=_NAME, value=REVISION))
    connection.exec_driver_sql("COMMIT")


def back_up(source: Path, target: Path) -> None:
    """Copy a SQLite database, in use or not."""
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)


def _upgrade(database: Database) -> None:
    raise SpoolError("not built yet")
