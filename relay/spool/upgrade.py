"""The schema's revision: a new database is made whole, an older one is upgraded, a newer one is refused.

Revisions are numbers of four digits, so that they compare as text; Alembic's table says which one a database has.
Alembic itself is loaded only for an upgrade.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from sqlalchemy import Column, Connection, MetaData, String, Table, insert, inspect, select
from sqlalchemy.exc import SQLAlchemyError

from relay.config.private_file import refusal_of
from relay.folder import put_in_place
from relay.logs import Log
from relay.spool.contract import SpoolError
from relay.spool.database import Cursor, Database, trouble
from relay.spool.log_index import log_lost
from relay.spool.schema import REVISION, metadata, partial_on_postgresql

SCRIPTS: Final = Path(__file__).parent / "migrations"

# Any number will do that no other program on the database takes.
_POSTGRESQL_LOCK: Final = "SELECT pg_advisory_xact_lock(7308324466023395)"

_version = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))


def prepare(database: Database, head: str = REVISION, scripts: Path = SCRIPTS) -> None:
    """Bring the database to revision `head`. Raises SpoolError."""
    if database.path is not None:
        with contextlib.suppress(OSError):
            _warn(database.path)
        _touch(database.path)
    with closing(database.connect()) as connection:
        try:
            found = revision_of(connection)
            if found == head:
                return
            if found is not None and found > head:
                raise SpoolError(_newer(database, found, head))
            if found is not None and database.path is not None:
                before = database.path.with_name(f"{database.path.name}.before-{head}")
                _announce(database.path, before, head)
                back_up(database.path, before)
            _change(database, connection, head, scripts)
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            raise trouble(error) from error


def _newer(database: Database, found: str, head: str) -> str:
    text = (
        f"the queue was written by a newer Relay: revision {found}, this one knows {head}; install the newer one again"
    )
    before = sorted(database.path.parent.glob(f"{database.path.name}.before-????")) if database.path else []
    if not before:
        return text
    return f"{text}, or put {before[-1].name} in its place, which lacks all mail since"


def _warn(path: Path) -> None:
    """Log what a relay that begins here may not know: that there was mail which is not there any more."""
    log = Log("relay")
    if log_lost(path):
        text = f"{path}-wal is missing, and had not been written back: the newest mail and outcomes were in it"
        log.write(logging.ERROR, "spool_damaged", {"text": text})
    elif path.exists() and not path.stat().st_size:
        text = f"{path} has no content: it is made anew, and mail that may have been in it is gone"
        log.write(logging.WARNING, "spool_damaged", {"text": text})


def _announce(path: Path, before: Path, head: str) -> None:
    """Log why it takes so long until mail is taken: what is in the queue is copied twice."""
    size = path.stat().st_size // 2**20
    text = f"{path} ({size} MiB) is brought to revision {head}, which may take minutes; {before.name} is as it was"
    Log("relay").write(logging.WARNING, "spool_upgrade", {"text": text})


def _touch(path: Path) -> None:
    """Make the file readable for its owner alone; SQLite gives the log beside it the same mode."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise SpoolError(refusal_of(path, error)) from error


def revision_of(connection: Connection) -> str | None:
    """Return the revision, None for a database without our tables."""
    if not inspect(connection).has_table(_version.name):
        return None
    return connection.execute(select(_version.c.version_num)).scalar()


def back_up(source: Path, target: Path) -> None:
    """Copy a SQLite database, in use or not; the copy stands under its name only when it is whole."""
    unfinished = target.with_name(f"{target.name}.part")
    unfinished.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(unfinished)) as new:
            old.backup(new)
    except sqlite3.Error:
        # The room that it takes is what is missing.
        unfinished.unlink(missing_ok=True)
        unfinished.with_name(f"{unfinished.name}-journal").unlink(missing_ok=True)
        raise
    unfinished.chmod(source.stat().st_mode)
    put_in_place(unfinished, target)


def _change(database: Database, connection: Connection, head: str, scripts: Path) -> None:
    Cursor(connection).begin()
    try:
        if not database.sqlite:
            connection.exec_driver_sql(_POSTGRESQL_LOCK)
        # Looked at again under the lock: another process may have been faster.
        found = revision_of(connection)
        if found is None:
            if not database.sqlite:
                partial_on_postgresql()
            metadata.create_all(connection)
            _version.create(connection)
            connection.execute(insert(_version).values(version_num=REVISION))
        elif found != head:
            _upgrade(connection, head, scripts)
    except BaseException:
        # On a full disk SQLite has done so already; what is told is why.
        with contextlib.suppress(SQLAlchemyError):
            connection.exec_driver_sql("ROLLBACK")
        raise
    connection.exec_driver_sql("COMMIT")


def _upgrade(connection: Connection, head: str, scripts: Path) -> None:
    from alembic import command
    from alembic.config import Config

    configuration = Config()
    configuration.set_main_option("script_location", str(scripts))
    configuration.attributes["connection"] = connection
    command.upgrade(configuration, head)
