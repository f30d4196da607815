"""The spool to be examined: where it is, who runs on it, and a connection by which nothing can be changed."""

from __future__ import annotations

import shlex
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, NullPool, create_engine, make_url
from sqlalchemy.exc import SQLAlchemyError

from relay.spool.database import Database, trouble


@dataclass(frozen=True, slots=True)
class Place:
    """`path` is the SQLite file, None on PostgreSQL; `holder` the pid of the relay that runs on it, None for none."""

    url: str
    path: Path | None
    password: str | None = None
    holder: int | None = None

    def __str__(self) -> str:
        return str(self.path or make_url(self.url).render_as_string(hide_password=True))

    @property
    def log(self) -> Path:
        """The write-ahead log of a SQLite file."""
        return Path(f"{self.path}-wal")

    def connect(self) -> Connection:
        """Open a connection that only reads. Raises SpoolError."""
        try:
            if self.path is not None:
                return self._opened(self.path)
            connection = Database(self.url, self.password).connect()
            connection.exec_driver_sql("SET default_transaction_read_only = on").close()
        except SQLAlchemyError as error:
            raise trouble(error) from error
        return connection

    def _opened(self, path: Path) -> Connection:
        # Without a log nobody writes it: then not even the files that SQLite keeps beside it are made.
        alone = self.holder is None and not (self.log.exists() and self.log.stat().st_size)
        uri = f"file:{quote(str(path))}?mode=ro{'&immutable=1' if alone else ''}"

        def open_() -> sqlite3.Connection:
            return sqlite3.connect(uri, uri=True, timeout=10, isolation_level=None, check_same_thread=False)

        engine = create_engine("sqlite://", creator=open_, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        connection = engine.connect()
        connection.exec_driver_sql("PRAGMA cache_size = -65536").close()
        return connection

    def statement(self, sql: str) -> str:
        """Return the line that runs a statement by the database's own program."""
        text = " ".join(sql.split())
        if self.path is not None:
            return f"sqlite3 {shlex.quote(str(self.path))} {shlex.quote(text)}"
        return f"psql {shlex.quote(make_url(self.url).render_as_string())} -c {shlex.quote(text)}"


def place_of(url: str, state_dir: Path, password: str | None, holder: int | None) -> Place:
    """Return the place of the spool that the settings name."""
    database = Database(url or f"sqlite:///{state_dir / 'queue.db'}", password)
    return Place(url, database.path, password, holder)
