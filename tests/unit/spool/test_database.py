import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from relay.spool import database
from relay.spool.database import Database
from relay.spool.upgrade import prepare


def test_a_full_disk_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening a connection to read writes nothing: a lock that lets nobody write stands for the full disk."""
    monkeypatch.setattr(database, "_BUSY_MILLISECONDS", 0)
    spool = Database(f"sqlite:///{tmp_path / 'queue.db'}")
    prepare(spool)
    with closing(sqlite3.connect(tmp_path / "queue.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with spool.connect(reading=True) as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM messages").scalar() == 0
