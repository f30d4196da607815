"""The spool's database looked at without Relay: what must hold at every moment, and what at the end."""

import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

_VIEW = "CREATE TEMP VIEW waiting AS SELECT * FROM recipients WHERE state IN ('queued', 'in_flight', 'held')"
_COUNTED = "SELECT kind, name, state, total FROM counts WHERE total <> 0"
_RECOUNTED = """
    SELECT 'upstream', upstream, state, count(*) FROM waiting GROUP BY upstream, state
    UNION ALL
    SELECT 'client', client, '', count(*) FROM messages WHERE id IN (SELECT message FROM waiting) GROUP BY client
"""
_MUST_BE_NOTHING = {
    "content of a message that waits is missing": """
        SELECT id FROM messages WHERE id IN (SELECT message FROM waiting)
        AND size <> (SELECT coalesce(sum(length(octets)), 0) FROM chunks WHERE chunks.content = messages.content)""",
    "content that nobody waits for": """
        SELECT DISTINCT content FROM chunks WHERE content NOT IN (SELECT content FROM unnamed)
        AND content NOT IN (SELECT content FROM messages JOIN waiting ON message = id)""",
    "content both named and unnamed": """
        SELECT content FROM unnamed WHERE content IN (SELECT content FROM messages JOIN waiting ON message = id)""",
    "in flight without a lease": """
        SELECT message FROM recipients
        WHERE state = 'in_flight' AND (lease IS NULL OR lease NOT IN (SELECT token FROM leases))""",
    "a lease on what is not in flight": """
        SELECT message FROM recipients WHERE state <> 'in_flight' AND lease IS NOT NULL""",
    "a lease of nothing": """
        SELECT token FROM leases WHERE token NOT IN (SELECT lease FROM recipients WHERE lease IS NOT NULL)""",
    "a recipient of no message": "SELECT message FROM recipients WHERE message NOT IN (SELECT id FROM messages)",
    "a message to nobody": "SELECT id FROM messages WHERE id NOT IN (SELECT message FROM recipients)",
    "an event of no message": "SELECT message FROM events WHERE message NOT IN (SELECT id FROM messages)",
}
_NOTHING_LEFT = {
    "content left over": "SELECT content FROM chunks",
    "unnamed content left over": "SELECT content FROM unnamed",
    "leases left over": "SELECT token FROM leases",
    "recipients not relayed": "SELECT message FROM recipients WHERE state <> 'relayed'",
}


@contextmanager
def copied(state_dir: Path) -> Iterator[sqlite3.Connection]:
    """A copy of the database as the process left it: looking at the file itself would mend it."""
    with TemporaryDirectory(prefix="relay-audit-") as folder:
        for name in ("queue.db", "queue.db-wal"):
            if (state_dir / name).exists():
                shutil.copy(state_dir / name, Path(folder) / name)
        with closing(sqlite3.connect(Path(folder) / "queue.db")) as connection:
            yield connection


def faults_of(connection: sqlite3.Connection, *, ended: bool = False) -> list[str]:
    """What is wrong with the spool; `ended` where nothing may be left in it."""
    connection.execute(_VIEW)
    found = [f"integrity_check: {row[0]}" for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"]
    counted, recounted = (set(connection.execute(query)) for query in (_COUNTED, _RECOUNTED))
    if counted != recounted:
        found.append(f"counts say {sorted(counted - recounted)}, a recount {sorted(recounted - counted)}")
    for what, query in (_MUST_BE_NOTHING | (_NOTHING_LEFT if ended else {})).items():
        rows = connection.execute(query).fetchall()
        if rows:
            found.append(f"{what}: {len(rows)}, {[row[0] for row in rows[:3]]}")
    return found


def identifiers_in(connection: sqlite3.Connection) -> set[str]:
    """The IDs of all messages."""
    return {row[0] for row in connection.execute("SELECT id FROM messages")}


def excuses_in(connection: sqlite3.Connection) -> Counter[str]:
    """By forward-path, how many attempts may have been taken without our knowing: interrupted, or without an answer."""
    paths = {
        (message, str(position)): path
        for message, position, path in connection.execute("SELECT message, position, forward_path FROM recipients")
    }
    found = Counter(dict.fromkeys(paths.values(), 0))
    query = "SELECT message, positions FROM events WHERE event IN ('interrupted', 'uncertain')"
    for message, positions in connection.execute(query):
        found.update(paths[message, position] for position in positions.split())
    return found
