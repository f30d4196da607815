"""The statements that run for every message use an index, however long the queue is."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.event import listen, remove

from relay.spool.database import KEYS, Cursor, Database
from relay.spool.listing import queue_counts, waiting_ids
from relay.spool.moves import queued
from relay.spool.overdue import overdue
from relay.spool.records import Priority, Selection
from relay.spool.statements import Statements
from relay.spool.upgrade import prepare

_LONG = 100_000

_MESSAGES = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :rows)
INSERT INTO messages (id, content, listener, client, peer, helo, body, smtputf8, header_from, message_id, size,
                      eight_bit, priority, accepted_at, notice)
SELECT i, i, 'l', 'c', 'p', 'h', '7BIT', :no, 'f', 'm', 1, :no, 1, i, :no FROM n
"""
_RECIPIENTS = """
INSERT INTO recipients (message, position, forward_path, state, upstream, candidates, priority, attempts, uncertain,
                        next_attempt_at, give_up_at, delay_told)
SELECT id, 0, 'a@b.test', CASE WHEN accepted_at % 2 = 0 THEN 'queued' ELSE 'relayed' END,
       'up' || (accepted_at % 20), '["up"]', accepted_at % 3, 0, 0, accepted_at, 0, :no FROM messages
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """A long queue."""
    postgresql = request.param == "postgresql"
    url = str(request.getfixturevalue("empty_postgres_url")) if postgresql else f"sqlite:///{tmp_path / 'queue.db'}"
    database = Database(url)
    prepare(database)
    with database.connect() as connection:
        connection.exec_driver_sql("BEGIN")
        fill = _MESSAGES.replace("SELECT i, i,", "SELECT CAST(i AS TEXT), CAST(i AS TEXT),")
        connection.execute(text(fill), {"rows": _LONG, "no": False})
        connection.execute(text(_RECIPIENTS), {"no": False})
        connection.exec_driver_sql("COMMIT")
        if not database.sqlite:
            # As PostgreSQL does by itself; nobody does it on SQLite.
            connection.exec_driver_sql("ANALYZE")
    return database


def plan(
    connection: Connection, database: Database, name: str, values: tuple[object, ...], keys: list[str] | None = None
) -> str:
    sql = getattr(Statements(database), name).sql
    if keys is not None:
        sql = sql.replace(KEYS, ", ".join("?" * len(keys)))
        values = (*keys, *values) if database.sqlite else (keys, *values)
    explain = "EXPLAIN QUERY PLAN " if database.sqlite else "EXPLAIN "
    cursor = connection.connection.cursor()
    cursor.execute(explain + sql, values)
    return "\n".join(str(row[-1]) for row in cursor.fetchall())


def test_no_statement_reads_a_whole_table(database: Database) -> None:
    asked: dict[str, tuple[object, ...]] = {
        "due": ("up4", 1, _LONG, 20),
        "next_due": ("up4", "up4", "up4"),
        "take": ("token", "5", 0),
        "settle": ("queued", "up4", 0, 5, None, None, None, False, "5", 0),
    }
    among: dict[str, tuple[object, ...]] = {"due_among": ("up4", "queued", _LONG), "waiting": (), "endings": ()}
    with database.connect() as connection:
        plans = {name: plan(connection, database, name, values) for name, values in asked.items()}
        for count in (1, 2, 32):
            keys = [str(key) for key in range(count)]
            for name, values in among.items():
                plans[f"{name} {count}"] = plan(connection, database, name, values, keys)
    for name, said in plans.items():
        whole = "SCAN recipients" if database.sqlite else "Seq Scan"
        assert whole not in said, f"{name}:\n{said}"
        assert "SCAN messages" not in said
        assert "TEMP B-TREE FOR ORDER BY" not in said, f"{name}:\n{said}"
    for name in ("due", "next_due"):
        assert "recipients_due" in plans[name], f"{name}:\n{plans[name]}"


def test_what_waits_is_found_by_an_index(database: Database) -> None:
    asked: list[tuple[str, Any]] = []

    def remember(*event: Any) -> None:
        asked.append((event[2], event[3]))

    with database.connect() as connection:
        connection.execute(
            text("INSERT INTO counts SELECT 'upstream', upstream, 'queued', COUNT(*) FROM recipients GROUP BY upstream")
        )
        listen(connection, "before_cursor_execute", remember)
        assert waiting_ids(connection, Selection(), "5", 10)
        assert queue_counts(connection).oldest_at
        assert overdue(connection, "up4", "", _LONG, 0)[0]
        remove(connection, "before_cursor_execute", remember)
        for sql, values in asked:
            if "recipients" not in sql:
                continue
            explain = "EXPLAIN QUERY PLAN " if database.sqlite else "EXPLAIN "
            said = "\n".join(str(row[-1]) for row in connection.exec_driver_sql(explain + sql, values))
            assert "recipients_waiting" in said, f"{sql}:\n{said}"
            assert "TEMP B-TREE" not in said, f"{sql}:\n{said}"
            assert "Seq Scan on recipients" not in said, f"{sql}:\n{said}"
    assert len(asked) > 20


def test_what_is_queued_is_paged_by_an_index(database: Database) -> None:
    asked: list[tuple[str, Any]] = []

    def remember(*event: Any) -> None:
        asked.append((event[2], event[3]))

    with database.connect() as connection:
        listen(connection, "before_cursor_execute", remember)
        first = queued(connection, "up4", Priority.NORMAL, None, _LONG, 20)
        assert len(queued(connection, "up4", Priority.NORMAL, first[-1].place, None, 20)) == 20
        remove(connection, "before_cursor_execute", remember)
        for sql, values in asked:
            explain = "EXPLAIN QUERY PLAN " if database.sqlite else "EXPLAIN "
            said = "\n".join(str(row[-1]) for row in connection.exec_driver_sql(explain + sql, values))
            assert "recipients_due" in said, f"{sql}:\n{said}"
            assert "TEMP B-TREE" not in said, f"{sql}:\n{said}"
            assert "Sort" not in said, f"{sql}:\n{said}"
    assert len(asked) >= 2


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_claim_from_a_long_queue_is_quick(database: Database) -> None:
    """Of rows, not of seconds: SQLite counts the steps of its machine."""
    statements = Statements(database)
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    with database.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.set_progress_handler(step, 100)
        cursor = Cursor(connection)
        cursor.begin_rows(statements.due, ("up4", 1, _LONG, 20))
        assert len(cursor.more_rows(20)) == 20
    assert steps < 50
