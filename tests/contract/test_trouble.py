import asyncio
import signal
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Connection

from relay.spool import drafts
from relay.spool.contract import SpoolError
from relay.spool.database import Database
from relay.spool.jobs import each, write
from relay.spool.records import RecipientState, Selection
from relay.spool.store import Spool
from relay.spool.transaction import Transaction
from tests.contract.conftest import Store, until
from tests.contract.mail import Clock, arrival, relayed


async def puts_again(spool: Spool, clock: Clock) -> None:
    """Wait until the spool takes mail by itself."""
    async with asyncio.timeout(20):
        while True:
            try:
                await spool.intake.put(arrival(spool.intake.next_id(), clock()))
            except SpoolError:
                await asyncio.sleep(0.1)
            else:
                break
    assert spool.intake.refusal() is None
    assert spool.health() is None


async def test_killed_in_the_middle(store: Store) -> None:
    await store.spool.aclose()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.contract.crashing",
        store.url,
        str(store.state_dir),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    said: list[str] = []
    async with asyncio.timeout(30):
        while len(said) < 300:
            said.append((await process.stdout.readline()).decode())
    process.send_signal(signal.SIGKILL)
    said += (await process.stdout.read()).decode().splitlines(keepends=True)
    await process.wait()
    # The last line may be cut.
    words = [line.split() for line in said if line.endswith("\n")]
    put = {id_ for word, id_ in words if word == "put"}
    settled = {id_ for word, id_ in words if word == "settled"}
    assert put
    assert settled

    store.clock.now = Clock()()
    store.spool = await store.open()
    entries = await store.spool.inspection.trace(Selection(), None, None, 100_000)
    states = {entry.message.id: entry.recipients[0].state for entry in entries}
    assert put <= states.keys()
    assert {id_ for id_ in settled if states[id_] is not RecipientState.RELAYED} == set()
    assert set(states.values()) <= {RecipientState.QUEUED, RecipientState.RELAYED}
    waiting = {id_ for id_, state in states.items() if state is RecipientState.QUEUED}
    assert store.spool.intake.waiting("careright") == len(waiting)
    claimed = await store.claim(messages=100_000)
    assert {claim.message.id for claim in claimed} == waiting
    for claim in claimed:
        assert b"".join([chunk async for chunk in claim.content.chunks()]) == b"x" * 5000
    await until(lambda: not store.rows("unnamed") and store.rows("chunks") == len(waiting))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_writer_that_dies_is_started_again(store: Store) -> None:
    def die(_: Transaction) -> None:
        raise SystemExit

    writer = store.spool._writer
    lost = writer.submit(each, die)
    with pytest.raises(SpoolError):
        await lost
    await puts_again(store.spool, store.clock)


async def test_work_that_fails_tells_its_caller_alone(store: Store) -> None:
    def wrong(_: Transaction) -> None:
        raise TypeError("wrong")

    writer = store.spool._writer
    results = await asyncio.gather(
        store.put(), writer.submit(each, wrong), store.put(), writer.submit(each, lambda _: 5), return_exceptions=True
    )
    assert isinstance(results[1], SpoolError)
    assert results[3] == 5
    assert len(await store.claim()) == 2
    assert store.spool.health() is None


class TestSqlite:
    @pytest.fixture
    def limited(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A disk for 60 pages of the database."""
        connect = Database.connect

        def limited(database: Database, *, reading: bool = False) -> Connection:
            connection = connect(database, reading=reading)
            connection.exec_driver_sql("PRAGMA max_page_count = 60").close()
            return connection

        monkeypatch.setattr(Database, "connect", limited)

    async def test_a_full_disk_takes_no_mail_while_settlements_go_on(
        self, limited: None, tmp_path: Path, clock: Clock
    ) -> None:
        spool = await Spool.open("", tmp_path, reserve=0, clock=clock)
        try:
            with pytest.raises(SpoolError) as refused:
                await _fill(spool, clock)
            assert refused.value.full
            assert spool.intake.waiting("careright") > 3
            refusal = spool.intake.refusal()
            assert refusal is not None
            assert refusal.full
            assert "full" in str(spool.health())
            (claim,) = await spool.outgoing.claim("office365", 1, 1)
            assert await spool.outgoing.settle(claim, relayed(claim), [])
            await puts_again(spool, clock)
        finally:
            await spool.aclose()

    async def test_too_little_free_space(self, tmp_path: Path, clock: Clock) -> None:
        spool = await Spool.open("", tmp_path, reserve=1 << 60, clock=clock)
        try:
            refusal = spool.intake.refusal()
            assert refusal is not None
            assert refusal.full
            assert "reserve" in str(spool.health())
            with pytest.raises(SpoolError) as refused:
                await spool.intake.put(arrival(spool.intake.next_id(), clock()))
            assert refused.value.full
            # What is under way goes on.
            assert await spool.outgoing.claim("office365", 1, 1) == []
        finally:
            await spool.aclose()

    async def test_a_database_that_turns_read_only_is_broken_not_full(self, tmp_path: Path, clock: Clock) -> None:
        spool = await Spool.open("", tmp_path, reserve=0, clock=clock)
        try:
            await spool._writer.submit(each, _turn_read_only)
            results = await asyncio.gather(
                *(spool.intake.put(arrival(spool.intake.next_id(), clock())) for _ in range(3)), return_exceptions=True
            )
            assert [isinstance(result, SpoolError) and not result.full for result in results] == [True] * 3
            refusal = spool.intake.refusal()
            assert refusal is not None
            assert not refusal.full
            await puts_again(spool, clock)
        finally:
            await spool.aclose()

    async def test_a_damaged_database_is_refused_at_the_start(self, tmp_path: Path) -> None:
        (tmp_path / "queue.db").write_bytes(b"this is no database, but as long as one" * 100)
        with pytest.raises(SpoolError, match="not a database"):
            await Spool.open("", tmp_path)

    async def test_its_files_are_the_owners_alone(self, tmp_path: Path, clock: Clock) -> None:
        spool = await Spool.open("", tmp_path, reserve=0)
        try:
            await spool.intake.put(arrival(spool.intake.next_id(), clock()))
            modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.glob("queue.db*")}  # noqa: ASYNC240
        finally:
            await spool.aclose()
        assert modes == dict.fromkeys(("queue.db", "queue.db-wal", "queue.db-shm"), 0o600)

    async def test_a_folder_that_is_not_there_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(SpoolError, match=r"queue\.db: No such file or directory"):
            await Spool.open("", tmp_path / "nowhere", node="node")

    async def test_a_lock_held_by_somebody_else_only_delays(self, tmp_path: Path, clock: Clock) -> None:
        spool = await Spool.open("", tmp_path, reserve=0, clock=clock)
        other = sqlite3.connect(tmp_path / "queue.db", isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            put = asyncio.create_task(spool.intake.put(arrival(spool.intake.next_id(), clock())))
            # Reading goes on meanwhile.
            assert (await spool.inspection.counts()).recipients == {}
            assert not put.done()
            other.execute("COMMIT")
            async with asyncio.timeout(10):
                await put
        finally:
            other.close()
            await spool.aclose()

    async def test_after_a_failed_sync_the_log_begins_anew(self, tmp_path: Path, clock: Clock) -> None:
        # What a sync failed to write, of settlements that did not wait for one too, the kernel counts as written.
        spool = await Spool.open("", tmp_path, reserve=0, clock=clock)
        try:
            await spool.intake.put(arrival(spool.intake.next_id(), clock()))
            before = _log_of(tmp_path)
            put = spool.intake.put(arrival(spool.intake.next_id(), clock()))
            results = await asyncio.gather(put, write(spool._writer, _fail_to_sync), return_exceptions=True)
            assert [type(result) for result in results] == [SpoolError, SpoolError]
            assert _log_of(tmp_path) == before
            await puts_again(spool, clock)
            assert _log_of(tmp_path) != before
            assert len(await spool.outgoing.claim("office365", 10, 10)) == 2
        finally:
            await spool.aclose()

    async def test_a_database_behind_a_link_has_its_log_beside_itself(self, tmp_path: Path, clock: Clock) -> None:
        (tmp_path / "disk").mkdir()
        (tmp_path / "queue.db").symlink_to(tmp_path / "disk" / "queue.db")
        spool = await Spool.open("", tmp_path, reserve=0, clock=clock)
        try:
            spool._room.look_for_files()
            await spool.intake.put(arrival(spool.intake.next_id(), clock()))
            assert (tmp_path / "disk" / "queue.db-wal").stat().st_size > 0
        finally:
            await spool.aclose()

    async def test_how_the_database_is_opened(self, tmp_path: Path) -> None:
        spool = await Spool.open("", tmp_path)
        pragmas = ["journal_mode", "synchronous", "auto_vacuum", "secure_delete", "foreign_keys"]
        try:
            values = await spool._writer.submit(each, lambda tx: [_pragma(tx, name) for name in pragmas])
        finally:
            await spool.aclose()
        assert values == ["wal", 2, 2, 2, 1]


async def _fill(spool: Spool, clock: Clock) -> None:
    while True:
        await spool.intake.put(arrival(spool.intake.next_id(), clock(), content=b"x" * 10_000))


def _turn_read_only(transaction: Transaction) -> None:
    transaction.connection.exec_driver_sql("PRAGMA query_only = ON").close()


def _fail_to_sync(_: Transaction) -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
    raise error


def _log_of(folder: Path) -> bytes:
    """Which log it is: another two numbers each time that it begins anew."""
    return (folder / "queue.db-wal").read_bytes()[16:24]


def _pragma(transaction: Transaction, name: str) -> object:
    return transaction.connection.exec_driver_sql(f"PRAGMA {name}").scalar()


class TestPostgresql:
    async def test_lost_connections_are_made_again(self, empty_postgres_url: str, tmp_path: Path, clock: Clock) -> None:
        spool = await Spool.open(empty_postgres_url, tmp_path, node="node-1", clock=clock)
        try:
            await spool.intake.put(arrival(spool.intake.next_id(), clock()))
            await spool.inspection.counts()
            with psycopg.connect(empty_postgres_url, autocommit=True) as connection:
                ended = connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                ).fetchall()
            assert len(ended) >= 2
            await puts_again(spool, clock)
            with pytest.raises(SpoolError):
                await spool.inspection.counts()
            counts = await spool.inspection.counts()
            assert counts.recipients["office365", RecipientState.QUEUED] >= 2
        finally:
            await spool.aclose()

    async def test_what_is_put_waits_for_the_disk_whatever_the_server_s_default(
        self, empty_postgres_url: str, tmp_path: Path, clock: Clock
    ) -> None:
        seen = "SELECT DISTINCT setting FROM seen WHERE what = %s"
        with psycopg.connect(empty_postgres_url, autocommit=True) as connection:
            name = connection.info.dbname
            connection.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
            try:
                spool = await Spool.open(empty_postgres_url, tmp_path, node="node-1", clock=clock)
                connection.execute(_NOTE_SETTING)
                try:
                    draft = spool.intake.draft()
                    await draft.write(b"x" * 600_000)
                    await spool.intake.put(arrival(spool.intake.next_id(), clock()))
                    await spool.intake.put(arrival(spool.intake.next_id(), clock(), content=draft, size=600_000))
                finally:
                    await spool.aclose()
            finally:
                connection.execute(f'ALTER DATABASE "{name}" RESET synchronous_commit')
            assert connection.execute(seen, ("messages",)).fetchall() == [("on",)]

    async def test_a_server_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(SpoolError) as refused:
            await Spool.open("postgresql://relay@127.0.0.1:1/relay", tmp_path, password="hidden-word")
        assert "hidden-word" not in str(refused.value)

    async def test_the_password_is_given_apart_from_the_url(self, empty_postgres_url: str, tmp_path: Path) -> None:
        spool = await Spool.open(empty_postgres_url, tmp_path, password="p:a@s/s%")
        await spool.aclose()


_NOTE_SETTING = """
    CREATE TABLE seen (what text, setting text);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN INSERT INTO seen VALUES (TG_TABLE_NAME, current_setting('synchronous_commit')); RETURN NEW; END $$;
    CREATE TRIGGER note BEFORE INSERT ON messages FOR EACH ROW EXECUTE FUNCTION note();
"""


async def test_a_draft_of_which_a_chunk_failed_cannot_be_put_and_leaves_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = drafts.write_chunks

    def failing(transaction: Transaction, written: Sequence[tuple[str, drafts.Chunk]]) -> list[None]:
        if any(chunk[1] == 0 for _, chunk in written):
            raise SpoolError("no room", full=True)
        return write(transaction, written)

    monkeypatch.setattr(drafts, "write_chunks", failing)
    draft = store.spool.intake.draft()
    with pytest.raises(SpoolError):
        await draft.write(b"x" * 2_000_000)
    with pytest.raises(SpoolError):
        await store.spool.intake.put(
            arrival(store.spool.intake.next_id(), store.clock(), content=draft, size=2_000_000)
        )
    assert store.rows("messages") == 0
    await draft.discard()
    await until(lambda: not store.rows("chunks") and not store.rows("unnamed"))


async def test_after_an_outage_a_settlement_comes_before_its_lease_is_taken_away(store: Store) -> None:
    await store.put()
    claim = await store.claim_one()

    def no_room(_: Transaction, __: Sequence[object]) -> Sequence[object]:
        raise sqlite3.OperationalError("disk I/O error")

    # As long as an outage that no lease outlives.
    with pytest.raises(SpoolError):
        await store.spool._writer.submit(no_room, None)
    await until(lambda: store.spool._writer.trouble is None)
    store.clock.now += 600_000
    assert await store.claim() == []
    assert await store.spool.outgoing.settle(claim, relayed(claim), [])


async def test_a_settlement_is_made_safe_from_a_power_failure_soon(store: Store) -> None:
    await store.put()
    claim = await store.claim_one()
    assert await store.spool.outgoing.settle(claim, relayed(claim), [])
    # Nothing else is written meanwhile; it may have shared the transaction that makes safe the claim.
    await until(lambda: not store.spool._writer.unsafe)
