"""What waits costs nothing but room: counted in steps of SQLite's machine, which no load of the computer changes."""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import Connection

from relay.envelope import Notify
from relay.reply import reply
from relay.spool.contract import Change
from relay.spool.database import Database
from relay.spool.records import Claim, Gate, HoldReason, Priority, RecipientState, Selection
from relay.spool.store import Spool
from tests.contract.mail import Clock, arrival, deferred, relayed
from tests.rig.seeding import hold, seed

T = TypeVar("T")

LONG = 20_000
DAY = 86_400_000
STEPS = 20
"""Thousands, below which a statement does not depend on how many wait: each of those takes five steps at least."""


class Meter:
    """Counts statements, and thousands of steps, on every connection that is opened."""

    def __init__(self) -> None:
        self.statements = 0
        self.steps: Counter[str] = Counter()
        self._running = ""

    def watch(self, connection: sqlite3.Connection) -> None:
        connection.set_trace_callback(self._begun)
        connection.set_progress_handler(self._stepped, 1000)

    def _begun(self, sql: str) -> None:
        self.statements += 1
        self._running = sql

    def _stepped(self) -> int:
        self.steps[self._running] += 1
        return 0

    async def of(self, work: Awaitable[T]) -> T:
        """Do it, and fail where it went through what waits."""
        self.steps.clear()
        result = await work
        assert sum(self.steps.values()) < STEPS, self.steps.most_common(3)
        return result


@pytest.fixture
def meter(monkeypatch: pytest.MonkeyPatch) -> Iterator[Meter]:
    """Of what the spool does from now on."""
    meter, connect = Meter(), Database.connect

    def watched(database: Database, *, reading: bool = False) -> Connection:
        connection = connect(database, reading=reading)
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        meter.watch(driver)
        return connection

    with monkeypatch.context() as patched:
        patched.setattr(Database, "connect", watched)
        yield meter


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory with mail that waits for a held upstream."""
    folder = tmp_path_factory.mktemp("long") / "state"
    seed(folder, LONG, size=100)
    hold(folder)
    return folder


async def started(folder: Path, meter: Meter) -> int:
    """Open and close the spool as `serve` does; how many statements that took."""
    meter.statements = 0
    spool = await meter.of(Spool.open("", folder, reserve=0))
    await spool.aclose()
    return meter.statements


async def test_a_start_does_not_look_at_what_waits(tmp_path: Path, seeded: Path, meter: Meter) -> None:
    empty = tmp_path / "empty"
    await asyncio.to_thread(seed, empty, 1)
    await asyncio.to_thread(hold, empty)
    assert await started(seeded, meter) == await started(empty, meter)


async def test_a_start_after_a_crash_touches_what_was_in_flight_only(seeded: Path, meter: Meter) -> None:
    spool = await Spool.open("", seeded, reserve=0)
    before = await spool.inspection.counts()
    assert len(await spool.outgoing.claim("away", 20, 100)) == 20
    await spool.aclose()
    spool = await meter.of(Spool.open("", seeded, reserve=0))
    assert (await meter.of(spool.inspection.counts())).recipients == before.recipients
    await spool.aclose()


async def test_other_mail_comes_and_goes(seeded: Path, meter: Meter) -> None:
    spool = await Spool.open("", seeded, reserve=0)
    clock = Clock()
    for _ in range(3):
        await meter.of(spool.intake.put(arrival(spool.intake.next_id(), clock(), upstream=("open",))))
    for upstream in ("open", "away"):
        first, second = (await meter.of(spool.outgoing.claim(upstream, 2, 100)))[:2]
        await meter.of(spool.outgoing.renew([first, second]))
        await meter.of(spool.outgoing.give_back([second]))
        await meter.of(spool.outgoing.settle(first, deferred(first, clock()), []))
    last = (await spool.outgoing.claim("open", 1, 100))[0]
    await meter.of(spool.outgoing.settle(last, relayed(last), []))
    await spool.aclose()


async def test_gates_open_and_close(seeded: Path, meter: Meter) -> None:
    spool = await Spool.open("", seeded, reserve=0)
    assert await meter.of(spool.outgoing.release("away"))
    gate = Gate("away", HoldReason.OPERATOR, Clock()(), None, None)
    await meter.of(spool.outgoing.hold(gate))
    await spool.aclose()


@pytest.mark.parametrize(
    "selection",
    [Selection(), Selection(upstream="away"), Selection(client="any"), Selection(client="nobody")],
    ids=["all", "upstream", "client", "nobody"],
)
async def test_operators_look_at_a_page(seeded: Path, meter: Meter, selection: Selection) -> None:
    spool = await Spool.open("", seeded, reserve=0)
    page = await meter.of(spool.inspection.queue(selection, None, 100))
    assert len(page) == (0 if selection.client == "nobody" else 100)
    if page:
        await meter.of(spool.inspection.queue(selection, page[50].message.id, 100))
        id_ = page[0].message.id
        for one in (Selection(id=id_), Selection(id=id_, upstream="away")):
            for change in ("hold", "release", "retry"):
                assert await meter.of(spool.inspection.change(change, one)) == 1
        await meter.of(spool.inspection.trace(Selection(id=id_), None, None, 1))
    assert len(await meter.of(spool.inspection.trace(Selection(), None, None, 5))) == 5
    await spool.aclose()


async def test_mail_goes_another_way_a_page_at_a_time(tmp_path: Path, meter: Meter) -> None:
    """However much waits, and wherever among it one is; the writer sees the page only."""
    await asyncio.to_thread(seed, tmp_path, LONG, size=100)
    spool = await Spool.open("", tmp_path, reserve=0)
    behind, due_at, why = None, Clock()() + DAY, reply(451, "4.4.1", "From away")
    for _ in range(LONG // 200 // 2):
        page = await meter.of(spool.outgoing.queued("away", Priority.NORMAL, behind, due_at, 200))
        behind = page[-1].place
    places = [(row.place.message, row.place.position) for row in page]
    meter.steps.clear()
    assert len(await spool.outgoing.move("away", "next", places, why)) == 200
    assert max(meter.steps.values()) < STEPS, meter.steps.most_common(2)
    assert len(await meter.of(spool.outgoing.queued("away", Priority.NORMAL, behind, due_at, 200))) == 200
    assert await meter.of(spool.outgoing.queued("away", Priority.HIGH, None, due_at, 200)) == []
    assert spool.outgoing.waiting_at("next", RecipientState.QUEUED) == 200
    await spool.aclose()


@pytest.mark.parametrize("change", ["hold", "release", "remove"])
async def test_a_change_of_very_many_comes_in_transactions_of_a_few(
    tmp_path: Path, meter: Meter, change: Change
) -> None:
    """None of their statements goes through more than its batch, so that other mail has its turn in between."""
    await asyncio.to_thread(seed, tmp_path, 3000, size=100)
    spool = await Spool.open("", tmp_path, reserve=0)
    if change == "release":
        await spool.inspection.change("hold", Selection())
    meter.steps.clear()
    assert await spool.inspection.change(change, Selection(upstream="away")) == 3000
    assert max(meter.steps.values()) < STEPS * 2, meter.steps.most_common(2)
    commits = spool._writer.commits
    counts = await spool.inspection.counts()
    assert counts.total(RecipientState.QUEUED) == (3000 if change == "release" else 0)
    assert commits >= 15
    await spool.aclose()


async def test_a_relay_that_was_away_finds_what_is_beyond_its_time_in_steps(tmp_path: Path, meter: Meter) -> None:
    clock = Clock()
    yesterday = clock() - DAY
    late = partial(seed, size=100, accepted_at=yesterday, give_up_after=DAY // 2, priority=Priority.BULK)
    await asyncio.to_thread(seed, tmp_path, 12_000, size=100, accepted_at=yesterday)
    await asyncio.to_thread(seed, tmp_path, 70, size=100, accepted_at=clock() - 5 * DAY, notify=Notify.DELAY)
    await asyncio.to_thread(late, tmp_path, 60)
    spool = await Spool.open("", tmp_path, reserve=0)
    found: list[Claim] = []
    steps = 0
    after: str | None = ""
    while after is not None:
        meter.steps.clear()
        claims, after = await spool.outgoing.claim_overdue("away", 100, after, clock(), clock() - 4 * DAY)
        found += claims
        steps += 1
        assert max(meter.steps.values(), default=0) < 200, meter.steps.most_common(2)
    assert sum(claim.message.priority is Priority.BULK for claim in found) == 60
    assert len(found) == 130
    assert steps >= 4
    await spool.aclose()


async def test_tidying_up(seeded: Path, meter: Meter) -> None:
    spool = await Spool.open("", seeded, reserve=0)
    assert await meter.of(spool.purge()) == 0
    await spool.aclose()


async def test_what_waits_for_longer_than_traces_are_kept_is_not_looked_at_by_the_writer(seeded: Path) -> None:
    spool = await Spool.open("", seeded, reserve=0, keep_trace=0.0)
    before = await spool.inspection.counts()
    commits = spool._writer.commits
    await spool.purge()
    assert spool._writer.commits - commits < 10
    assert (await spool.inspection.counts()).recipients == before.recipients
    await spool.aclose()
