"""`relay spool check` on either database: each fault is found and named, and what it says to type mends it."""

import hashlib
import shlex
import sqlite3
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Connection, text

from relay.spool.database import Database
from relay.spool.examination import examine
from relay.spool.finding import Finding, Holdings
from relay.spool.integrity import damaged_tables
from relay.spool.place import Place, place_of
from relay.spool.salvage import Lost, salvage
from tests.contract.conftest import Store
from tests.contract.mail import relayed
from tests.soak.audit import faults_of

UPSTREAMS = ("office365",)


def place_at(store: Store) -> Place:
    return place_of(store.url, store.state_dir, None, None)


def found_in(place: Place, upstreams: tuple[str, ...] = UPSTREAMS) -> list[Finding]:
    """The findings, but for what the machine's own disk looks like."""
    found = examine(place, upstreams, 0)
    return [one for one in found if isinstance(one, Finding) and one.kind != "little_room"]


@contextmanager
def changing(store: Store) -> Iterator[Connection]:
    """A connection that changes what it likes."""
    database = Database(store.url)
    with closing(database.connect()) as connection:
        yield connection
    database.dispose()


async def _with_mail(store: Store) -> list[str]:
    """Two messages that wait, a large one, one in flight, one relayed; the IDs in this order."""
    ids = [await store.put(recipients=2), await store.put(client="lab")]
    draft = store.spool.intake.draft()
    await draft.write(b"x" * 2_000_000)
    large = replace(store.arrival(), content=draft, size=2_000_000)
    await store.spool.intake.put(large)
    flying, over = await store.put(upstream=("gmail",)), await store.put(upstream=("ses",))
    [claim] = await store.claim("ses")
    await store.spool.outgoing.settle(claim, relayed(claim), [])
    assert len(await store.claim("gmail")) == 1
    return [*ids, large.id, flying, over]


ALL = ("office365", "gmail", "ses")

FAULTS = {
    "content_missing": ("DELETE FROM chunks WHERE content = '{0}'", "{0}"),
    "content_wrong_size": ("UPDATE messages SET size = size + 1 WHERE id = '{1}'", "{1}"),
    "recipient_without_message": ("DELETE FROM messages WHERE id = '{4}'; DELETE FROM events", "{4}"),
    "message_without_recipient": ("DELETE FROM recipients WHERE message = '{4}'", "{4}"),
    "state_unknown": ("UPDATE recipients SET state = 'lost' WHERE message = '{4}'", "{4}"),
    "in_flight_without_lease": ("DELETE FROM leases", "{3}"),
    "lease_not_in_flight": ("UPDATE recipients SET lease = 'x' WHERE message = '{4}'", "{4}"),
    "lease_without_recipient": (
        "INSERT INTO leases (token, node, message, upstream, expires_at) VALUES ('t', 'n', '{0}', 'gmail', 1)",
        "{0}",
    ),
    "event_without_message": ("UPDATE events SET message = 'gone'", "gone"),
    "content_damaged": ("UPDATE chunks SET checksum = checksum - 1 WHERE number = 3", "{2}"),
    "content_unclaimed": ("INSERT INTO chunks (content, number, octets) VALUES ('nobody', 0, 'x')", "nobody"),
    "illegible": ("UPDATE recipients SET candidates = '[' WHERE message = '{1}'", "{1}"),
}


async def test_a_sound_spool_is_in_order(store: Store) -> None:
    await _with_mail(store)
    assert found_in(place_at(store), ALL) == []
    [holdings] = [one for one in examine(place_at(store), ALL, 0) if isinstance(one, Holdings)]
    assert holdings.rows["messages"] == 5
    assert holdings.waiting == {"queued": 4, "in_flight": 1}


@pytest.mark.parametrize("kind", FAULTS)
async def test_each_fault_is_found_and_nothing_else(store: Store, kind: str) -> None:
    ids = await _with_mail(store)
    sql, affected = FAULTS[kind]
    with changing(store) as connection:
        for statement in sql.format(*ids).split("; "):
            connection.exec_driver_sql(statement).close()
    [finding] = found_in(place_at(store), ALL)
    assert finding.kind == kind
    assert finding.ids == (affected.format(*ids),)
    assert finding.messages == 1
    assert finding.damage == (kind not in {"lease_without_recipient", "event_without_message", "content_unclaimed"})
    assert finding.what
    assert finding.meaning
    if finding.damage:
        assert finding.actions
    known = {"content_missing": "careright", "content_wrong_size": "lab", "illegible": "lab"}
    assert kind not in known or finding.clients == {known[kind]: 1}


CURED = ("recipient_without_message", "state_unknown", "in_flight_without_lease", "lease_not_in_flight")


@pytest.mark.parametrize("kind", [*CURED, "content_unclaimed", "miscounted"])
async def test_what_it_says_to_type_mends_it(store: Store, kind: str) -> None:
    ids = await _with_mail(store)
    sql = "UPDATE counts SET total = total + 1" if kind == "miscounted" else FAULTS[kind][0]
    with changing(store) as connection:
        for statement in sql.format(*ids).split("; "):
            connection.exec_driver_sql(statement).close()
    [finding] = found_in(place_at(store), ALL)
    assert finding.kind == kind
    await store.spool.aclose()
    typed = [shlex.split(action) for action in finding.actions if action.startswith(("sqlite3 ", "psql "))]
    assert len(typed) == 1
    assert finding.actions[0] == "systemctl stop relay"
    if typed[0][0] == "sqlite3":
        with closing(sqlite3.connect(typed[0][1])) as connection:
            connection.executescript(typed[0][2])
    else:
        assert typed[0][2] == "-c"
        with psycopg.connect(store.url, autocommit=True) as connection:
            connection.execute(typed[0][3].encode())
    assert found_in(place_at(store), ALL) == []
    # It serves again, and what was in flight is offered anew.
    store.spool = await store.open()


async def test_of_many_the_first_are_named_and_all_are_counted(store: Store) -> None:
    ids = [await store.put(client=("careright", "lab")[number % 3 == 0]) for number in range(60)]
    with changing(store) as connection:
        connection.exec_driver_sql("DELETE FROM chunks").close()
    [finding] = found_in(place_at(store))
    assert finding.messages == 60
    assert finding.clients == {"careright": 40, "lab": 20}
    assert set(finding.ids) <= set(ids)
    assert len(finding.ids) == 20


async def test_mail_for_an_upstream_that_is_gone_is_noted(store: Store) -> None:
    await _with_mail(store)
    [finding] = found_in(place_at(store), ("office365", "ses"))
    assert (finding.kind, finding.damage) == ("upstream_unknown", False)
    assert finding.actions == ("relay queue reroute --upstream gmail TO",)


@pytest.mark.parametrize(("revision", "kind", "damage"), [("9999", "newer", True), ("0000", "older", False)])
async def test_another_revision_is_named(store: Store, revision: str, kind: str, damage: bool) -> None:
    with changing(store) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})
    [finding] = found_in(place_at(store))
    assert (finding.kind, finding.damage) == (kind, damage)
    assert revision in finding.what


async def test_what_the_schema_lacks_is_named(store: Store) -> None:
    with changing(store) as connection:
        connection.exec_driver_sql("DROP INDEX recipients_due").close()
        connection.exec_driver_sql("DROP TABLE gates").close()
    [finding] = found_in(place_at(store))
    assert finding.kind == "tables_missing"
    assert "gates" in finding.what
    assert "recipients_due" in finding.what


async def test_an_empty_database_has_no_tables(empty_postgres_url: str, tmp_path: Path) -> None:
    [finding] = found_in(place_of(empty_postgres_url, tmp_path, None, None))
    assert (finding.kind, finding.damage) == ("no_tables", True)


class TestSqlite:
    """Damage inside the file."""

    @pytest.fixture
    async def sqlite(self, tmp_path: Path) -> Store:
        store = Store(f"sqlite:///{tmp_path / 'queue.db'}", tmp_path)
        store.spool = await store.open()
        for number in range(400):
            await store.put(content=f"text-{number:04}-".encode() * 60, client=("careright", "lab")[number % 2])
        await store.spool.aclose()
        with closing(sqlite3.connect(tmp_path / "queue.db")) as connection:
            connection.execute("VACUUM")
        return store

    def _spoil(self, store: Store, table: str, after: int = 8) -> None:
        """Overwrite some pages of a table that are not its first."""
        path = store.state_dir / "queue.db"
        with closing(sqlite3.connect(path)) as connection:
            root, page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone(), 0
        octets = bytearray(path.read_bytes())
        # The children that a page of an inner kind names: https://sqlite.org/fileformat2.html#b_tree_pages
        at = (root[0] - 1) * 4096
        assert octets[at] in (2, 5)
        cells = int.from_bytes(octets[at + 3 : at + 5], "big")
        for number in range(0, cells, after):
            cell = int.from_bytes(octets[at + 12 + 2 * number : at + 14 + 2 * number], "big")
            page = int.from_bytes(octets[at + cell : at + cell + 4], "big")
            octets[(page - 1) * 4096 : page * 4096] = hashlib.shake_256(b"damage").digest(4096)
        assert page
        path.write_bytes(octets)

    @pytest.mark.parametrize("table", ["messages", "recipients", "chunks"])
    async def test_damage_is_named_with_the_messages_it_takes(self, sqlite: Store, table: str) -> None:
        self._spoil(sqlite, table)
        tables, messages = found_in(place_at(sqlite))
        assert tables.kind == "tables_damaged"
        assert table in tables.what
        assert "relay spool salvage" in " ".join(tables.actions)
        assert messages.kind == "messages_damaged"
        assert 0 < messages.messages < 400
        assert len(messages.ids) == min(20, messages.messages)
        if table != "messages":
            assert set(messages.clients) == {"careright", "lab"}

    async def test_an_index_that_lacks_rows_is_named(self, sqlite: Store) -> None:
        path = sqlite.state_dir / "queue.db"
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA writable_schema = ON")
            sql = "UPDATE sqlite_master SET sql = replace(sql, '''queued''', '''held''') WHERE name = 'recipients_due'"
            connection.execute(sql)
            connection.commit()
        findings = found_in(place_at(sqlite))
        assert [finding.kind for finding in findings] == ["index_damaged"]
        assert "REINDEX" in findings[0].actions[1]

    @pytest.mark.parametrize("table", ["messages", "recipients", "chunks"])
    async def test_what_can_be_read_is_salvaged(self, sqlite: Store, table: str) -> None:
        self._spoil(sqlite, table, after=4)
        place, target = place_at(sqlite), sqlite.state_dir / "salvaged.db"
        [_, damage] = found_in(place)
        lost = list(salvage(place, target))
        assert [type(one) for one in lost] == [Lost] * damage.messages
        assert {one.id for one in lost} >= set(damage.ids)
        new = Store(f"sqlite:///{target}", sqlite.state_dir)
        assert found_in(place_at(new)) == []
        with closing(sqlite3.connect(target)) as connection:
            assert faults_of(connection) == []
            kept = connection.execute("SELECT count(*) FROM messages").fetchone()[0]
        assert kept <= 400 - len(lost)
        assert kept > 50
        new.spool = await new.open()
        try:
            claims = await new.claim(messages=400)
            assert len(claims) == kept
            for claim in claims:
                content = b"".join([chunk async for chunk in claim.content.chunks()])
                assert content == content[:10] * 60
        finally:
            await new.spool.aclose()

    async def test_a_sound_spool_is_salvaged_whole(self, tmp_path: Path) -> None:
        store = Store(f"sqlite:///{tmp_path / 'queue.db'}", tmp_path)
        store.spool = await store.open()
        ids = await _with_mail(store)
        await store.spool.aclose()
        target = tmp_path / "salvaged.db"
        assert list(salvage(place_at(store), target)) == []
        new = Store(f"sqlite:///{target}", tmp_path)
        assert found_in(place_at(new), ALL) == []
        new.spool = await new.open(node="node-1")
        try:
            # What was in flight may have been taken: nobody knows, and it is tried again.
            assert await new.states(ids[3]) == ["queued"]
            assert await new.states(ids[4]) == ["relayed"]
            assert await new.events(ids[4]) == ["accepted", "relayed"]
            assert new.spool.intake.next_id() > max(ids)
        finally:
            await new.spool.aclose()

    async def test_a_salvage_that_is_broken_off_leaves_no_spool_that_lacks_mail(self, sqlite: Store) -> None:
        self._spoil(sqlite, "chunks", after=4)
        place, target = place_at(sqlite), sqlite.state_dir / "salvaged.db"
        salvaging = salvage(place, target)
        assert isinstance(salvaging, Generator)
        next(salvaging)
        assert not target.exists()
        salvaging.close()
        assert list(sqlite.state_dir.glob("salvaged.db*")) == []
        # What a killed one leaves is in nobody's way.
        for remnant in ("", "-wal", "-journal"):
            target.with_name(f"salvaged.db.part{remnant}").write_bytes(b"half of a spool")
        assert list(salvage(place, target))
        assert list(sqlite.state_dir.glob("salvaged.db*")) == [target]

    async def test_nothing_is_damaged_in_a_sound_file(self, sqlite: Store) -> None:
        with closing(place_at(sqlite).connect()) as connection:
            assert damaged_tables(connection) == {}
