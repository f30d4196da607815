"""A settlement is one transaction: outcomes, next times, notice and trace are recorded together or not at all."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from relay.spool import schema
from relay.spool.contract import SpoolError
from relay.spool.database import Database
from tests.contract.conftest import Store, until
from tests.contract.dying import Countdown
from tests.contract.outcomes import mixed
from tests.soak.audit import copied, faults_of

BEFORE = ["in_flight"] * 4
AFTER = ["relayed", "failed", "queued", "held"]
KEPT = frozenset({"messages", "recipients", "leases", "events", "chunks", "unnamed", "counts"})


@pytest.fixture
def countdown() -> Iterator[Countdown]:
    def fail() -> None:
        raise RuntimeError("interrupted by the test")

    counting = Countdown(fail)
    yield counting
    counting.undo()


async def test_what_fails_at_any_statement_changes_nothing(store: Store, countdown: Countdown) -> None:
    await store.put(recipients=4)
    claim = await store.claim_one()
    settlements = mixed(claim, store.clock() + 60_000)
    # Until then the writer has something of its own to write.
    await until(lambda: not store.spool._writer.unsafe)
    before = _everything(store)
    for number in range(1, 100):
        countdown.left = number
        try:
            assert await store.spool.outgoing.settle(claim, settlements, [store.arrival(client="notice")])
        except SpoolError:
            assert _everything(store) == before, f"changed by what failed at its statement {number}"
        else:
            break
    assert number > 6, "too few statements were interrupted for this to prove anything"
    assert [state.value for state in await store.states(claim.message.id)] == AFTER
    assert store.rows("messages") == 2
    assert store.rows("leases") == 0


async def test_a_lease_that_was_lost_settles_nothing(store: Store) -> None:
    await store.put(recipients=4)
    stale = await store.claim_one()
    store.clock.forward(61)
    claim = await store.claim_one()
    before = _everything(store)
    notice = store.arrival(client="notice")
    assert not await store.spool.outgoing.settle(stale, mixed(stale, store.clock() + 60_000), [notice])
    assert _everything(store) == before
    assert await store.spool.outgoing.settle(claim, mixed(claim, store.clock() + 60_000), [notice])


def test_killed_at_any_statement(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "tests.contract.dying", str(tmp_path)], timeout=100, check=False)
    assert done.returncode == 0
    spools = sorted(tmp_path.iterdir(), key=lambda path: int(path.name))
    assert len(spools) > 6
    for folder in spools:
        # Number 0 was killed behind its COMMIT; the last one's process lived.
        whole = folder in (spools[0], spools[-1])
        with copied(folder) as database:
            states = [row[0] for row in database.execute("SELECT state FROM recipients WHERE position < 4 LIMIT 4")]
            notices = database.execute("SELECT count(*) FROM messages WHERE client = 'notice'").fetchone()[0]
            assert (states, notices) == ((AFTER, 1) if whole else (BEFORE, 0)), folder.name
            assert faults_of(database) == []


def _everything(store: Store) -> dict[str, list[Any]]:
    """All rows of all tables but what every transaction marks."""
    database = Database(store.url)
    with database.connect() as connection:
        return {
            table.name: sorted(map(str, connection.execute(select(table)).all()))
            for table in schema.metadata.sorted_tables
            if table.name in KEPT
        }
