"""A relay that has little patience, and where no small disk can be had, believes that it is on one.

`python pretence.py FOLDER SIZE PYTHON -m relay ARGUMENT...`; SIZE 0: the disk is as it seems.
"""

import sqlite3
import sys
from pathlib import Path
from types import SimpleNamespace

READ_ONLY = "read-only"


def free(folder: Path, size: int) -> int:
    """Octets left on a disk that has nothing but this folder."""
    used = 0
    for path in folder.iterdir():
        try:
            used += path.stat().st_size
        except FileNotFoundError:
            continue
    return max(0, size - used)


def pretend(folder: Path, size: int) -> None:
    """Make the spool's view of its disk ours."""
    from sqlalchemy import Connection

    from relay.spool import room
    from relay.spool.database import Cursor, Database

    def statvfs(_: object) -> SimpleNamespace:
        return SimpleNamespace(f_bavail=free(folder, size), f_frsize=1)

    connect, say = Database.connect, Cursor.say

    def said(cursor: Cursor, sql: str) -> None:
        if sql == "COMMIT" and not free(folder, size):
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        say(cursor, sql)

    def connected(database: Database, *, reading: bool = False) -> Connection:
        connection = connect(database, reading=reading)
        if (folder / READ_ONLY).exists():
            connection.exec_driver_sql("PRAGMA query_only = ON").close()
        return connection

    vars(room)["os"] = SimpleNamespace(statvfs=statvfs)
    setattr(Cursor, "say", said)  # noqa: B010 - mypy lets no method be assigned
    setattr(Database, "connect", connected)  # noqa: B010 - mypy lets no method be assigned


def main(folder: str, size: str, *arguments: str) -> None:
    """Run the command."""
    from relay import daemon

    # A test can't wait for a minute to see that it goes on.
    vars(daemon)["_SPOOL_PATIENCE"] = 1.0
    if int(size):
        pretend(Path(folder), int(size))
    sys.argv = ["relay", *arguments[3:]]
    from relay.__main__ import main as relay

    relay()


if __name__ == "__main__":
    main(*sys.argv[1:])
