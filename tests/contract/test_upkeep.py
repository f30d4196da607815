import asyncio
from pathlib import Path

import pytest

from relay.spool import upkeep
from relay.spool.records import Selection
from relay.spool.store import Spool
from tests.contract.conftest import Store, until
from tests.contract.mail import Clock, arrival, relayed


async def test_what_a_node_left_that_never_came_back(store: Store, other: Spool) -> None:
    draft = other.intake.draft()
    await draft.write(b"x" * 1_000_000)
    ours = store.spool.intake.draft()
    await ours.write(b"y" * 300_000)
    await until(lambda: store.rows("chunks") == 4)
    await other.aclose()
    store.clock.forward(23 * 3600)
    await store.spool.purge()
    assert store.rows("unnamed") == 2
    store.clock.forward(2 * 3600)
    await store.spool.purge()
    await until(lambda: store.rows("unnamed") == 0)
    assert store.rows("chunks") == 0


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
async def test_what_other_nodes_do_is_learned(store: Store, other: Spool) -> None:
    assert await store.claim() == []
    waiting = asyncio.create_task(store.spool.outgoing.wait_for_work("office365", None))
    await other.intake.put(arrival(other.intake.next_id(), store.clock()))
    async with asyncio.timeout(10):
        await waiting
    assert store.spool.intake.waiting("careright") == 1
    assert len(await store.claim()) == 1


class TestSqlite:
    async def test_the_file_shrinks_when_its_content_is_gone(self, tmp_path: Path, clock: Clock) -> None:
        spool = await Spool.open("", tmp_path, reserve=0, clock=clock)
        try:
            for _ in range(30):
                await spool.intake.put(arrival(spool.intake.next_id(), clock(), content=b"x" * 1_000_000))
            for claim in await spool.outgoing.claim("office365", 30, 1):
                await spool.outgoing.settle(claim, relayed(claim), [])
            await spool.purge()
            assert len(await spool.inspection.trace(Selection(), None, None, 100)) == 30
        finally:
            await spool.aclose()
        # Closing brought the log back into the file.
        assert (tmp_path / "queue.db").stat().st_size < 10_000_000

    async def test_the_log_is_emptied_in_a_quiet_moment(
        self, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(upkeep, "_QUIET", 0.0)
        spool = await Spool.open("", tmp_path, reserve=0, clock=clock)
        log = tmp_path / "queue.db-wal"
        try:
            await spool.intake.put(arrival(spool.intake.next_id(), clock(), content=b"x" * 1_000_000))
            assert log.stat().st_size > 1_000_000
            await until(lambda: log.stat().st_size == 0)
            assert len(await spool.outgoing.claim("office365", 1, 1)) == 1
        finally:
            await spool.aclose()

    async def test_nothing_is_committed_while_the_log_is_emptied(self, tmp_path: Path, clock: Clock) -> None:
        spool = await Spool.open("", tmp_path, reserve=0, clock=clock)
        try:
            with spool._database.log_in_use:
                put = asyncio.ensure_future(spool.intake.put(arrival(spool.intake.next_id(), clock())))
                emptied = asyncio.ensure_future(spool._reader.read(spool._database.empty_log))
                done, _ = await asyncio.wait([put, emptied], timeout=0.2)
                assert not done
            await put
            await emptied
        finally:
            await spool.aclose()
