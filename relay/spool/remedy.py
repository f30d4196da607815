"""What an operator does about a database that can't be written or read, for whoever is shown the error."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

_CAREFUL: Final = 600_000

_SQLITE: Final = {
    sqlite3.SQLITE_BUSY: "another program has locked the file; fuser names it",
    sqlite3.SQLITE_READONLY: (
        "the file or its file system is read-only; dmesg may say why, and mount -o remount,rw makes it writable"
    ),
    sqlite3.SQLITE_IOERR: "the disk could not be read or written, or is full; dmesg and df -h may say why",
    sqlite3.SQLITE_CORRUPT: "the file is damaged; relay spool check names what is affected",
    sqlite3.SQLITE_FULL: "free some space on its disk; df -h shows how much there is",
    sqlite3.SQLITE_CANTOPEN: "look at the owner and mode of its folder, and at df -h and df -i",
    sqlite3.SQLITE_NOTADB: "the file is damaged, or another program's; relay spool check tells",
}

_POSTGRESQL: Final = {
    "53100": "free some space on the database server's disk",
    "53300": "the database server has too many clients; raise its max_connections",
    "25006": "the database server takes no writes; queue.url has to name the primary",
    "XX001": "the database is damaged; pg_amcheck names what is affected",
    "XX002": "an index of the database is damaged; REINDEX makes it anew",
}


def remedy_for(cause: BaseException) -> str | None:
    """Return what to do about a driver's error; None where its text has to do."""
    error: Any = cause
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None:
        return _SQLITE.get(code & 0xFF)
    return _POSTGRESQL.get(getattr(error, "sqlstate", None) or "")


class Caution:
    """Whether a damaged content was met lately.

    SQLite lets a transaction that met damage write nothing more. For a while after it contents are neither read nor
    removed in the transactions of other work, so that what is damaged stands in nobody's way. Used by the writer alone.
    """

    def __init__(self) -> None:
        self._until = 0

    def begin(self, now: int) -> None:
        """Note that damage was met."""
        self._until = now + _CAREFUL

    def holds(self, now: int) -> bool:
        """Return True for ten minutes after that; `now` in milliseconds."""
        return now < self._until


def damaged(error: sqlite3.Error) -> bool:
    """Return True where a page of the SQLite file is not what it should be."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF == sqlite3.SQLITE_CORRUPT
