"""A row that can't be read keeps no other mail back."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from relay.spool.contract import SpoolError
from relay.spool.database import Database
from relay.spool.examination import examine
from relay.spool.finding import Finding
from relay.spool.place import Place, place_of
from relay.spool.records import Priority, RecipientState, Selection
from relay.spool.salvage import salvage
from tests.contract.conftest import Store
from tests.contract.mail import relayed


def spoil(store: Store, sql: str) -> None:
    with closing(Database(store.url).connect()) as connection:
        connection.exec_driver_sql(sql).close()


async def ids_in_sight(store: Store) -> tuple[set[str], set[str]]:
    """The messages that operators see in the queue and in the trace."""
    inspection = store.spool.inspection
    queue = await inspection.queue(Selection(), None, 9)
    trace = await inspection.trace(Selection(), None, None, 9)
    return {entry.message.id for entry in queue}, {entry.message.id for entry in trace}


@pytest.mark.parametrize(
    "spoilt",
    [
        "UPDATE recipients SET candidates = '[' WHERE message = '{0}'",
        "UPDATE messages SET body = '9BITMIME' WHERE id = '{0}'",
    ],
)
async def test_what_cannot_be_read_is_held_and_the_rest_goes(
    store: Store, spoilt: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = [await store.put(2) for _ in range(3)]
    spoil(store, spoilt.format(ids[1]))
    assert [claim.message.id for claim in await store.claim()] == [ids[0], ids[2]]
    assert await store.claim() == []
    inspection = store.spool.inspection
    in_flight = {("office365", RecipientState.IN_FLIGHT): 4}
    assert (await inspection.counts()).recipients == in_flight | {("office365", RecipientState.HELD): 2}
    assert f'"id": "{ids[1]}"' in capsys.readouterr().err
    # Operators still see the others, and can end it.
    queue, trace = await ids_in_sight(store)
    assert queue & trace >= {ids[0], ids[2]}
    assert await inspection.change("release", Selection(id=ids[1])) == 1
    assert {row.candidates for row in await store.spool.outgoing.queued("office365", Priority.NORMAL, None, None, 9)}
    assert await store.claim() == []
    assert await inspection.change("remove", Selection(id=ids[1])) == 1
    assert (await inspection.counts()).recipients == in_flight
    assert store.rows("chunks") == 2


async def test_of_a_message_only_the_recipients_that_cannot_be_read_are_held(store: Store) -> None:
    id_ = await store.put(3)
    spoil(store, "UPDATE recipients SET candidates = '' WHERE position = 1")
    claim = await store.claim_one()
    assert [row.position for row in claim.recipients] == [0, 2]
    assert [octets async for octets in claim.content.chunks()] != []
    [entry] = await store.spool.inspection.queue(Selection(id=id_), None, 1)
    assert [row.position for row in entry.recipients] == [0, 2]


async def test_content_that_is_longer_than_what_was_accepted_is_not_sent(store: Store) -> None:
    await store.put(content=b"x" * 5000)
    spoil(store, "UPDATE messages SET size = size - 1")
    claim = await store.claim_one()
    with pytest.raises(SpoolError, match="longer"):
        [octets async for octets in claim.content.chunks()]


async def test_a_damaged_event_hides_no_other_one(store: Store) -> None:
    ids = [await store.put(), await store.put()]
    for claim in await store.claim():
        await store.spool.outgoing.settle(claim, relayed(claim), [])
    spoil(store, "UPDATE events SET positions = 'x' WHERE message = (SELECT min(message) FROM events)")
    newest, damaged = await store.spool.inspection.trace(Selection(), None, None, 9)
    assert [event.event for event in newest.events] == ["accepted", "relayed"]
    assert (damaged.message.id, [event.event for event in damaged.events]) == (ids[0], ["accepted"])


class TestSqlite:
    @pytest.fixture
    async def sqlite(self, tmp_path: Path) -> Store:
        store = Store(f"sqlite:///{tmp_path / 'queue.db'}", tmp_path)
        store.spool = await store.open()
        return store

    async def test_one_bit_of_an_address_keeps_no_other_mail_back(self, sqlite: Store) -> None:
        ids = [await sqlite.put() for _ in range(3)]
        spoilt = "UPDATE recipients SET forward_path = CAST(x'616CE9634061' AS TEXT) WHERE message = '{0}'"
        spoil(sqlite, spoilt.format(ids[1]))
        assert [claim.message.id for claim in await sqlite.claim()] == [ids[0], ids[2]]
        assert sqlite.spool.health() is None
        assert await ids_in_sight(sqlite) == (set(ids), set(ids))
        await sqlite.put()
        assert len(await sqlite.claim()) == 1
        await sqlite.spool.aclose()

    async def test_what_is_in_a_state_that_does_not_exist_is_salvaged_with_its_content(self, sqlite: Store) -> None:
        id_ = await sqlite.put()
        spoil(sqlite, "UPDATE recipients SET state = 'queuee'")
        await sqlite.spool.aclose()
        salvaged = sqlite.state_dir / "salvaged"
        assert list(salvage(Place("", sqlite.state_dir / "queue.db"), salvaged)) == []
        with closing(sqlite3.connect(salvaged)) as connection:
            assert connection.execute("SELECT content FROM chunks").fetchall() == [(id_,)]


_IN_TEXTS = ("lost", "5, 'x'", "meta", "counts VALUES")


@pytest.mark.parametrize(
    ("spoilt", "kind"),
    [
        ("INSERT INTO gates VALUES ('gmail', 'lost', 5, NULL, NULL, 0)", "register_illegible"),
        ("INSERT INTO gates VALUES ('gmail', 'auth', 5, 'x', NULL, 0)", "register_illegible"),
        ("INSERT INTO gates VALUES ('gmail', 'auth', 'x', NULL, NULL, 0)", "register_illegible"),
        ("INSERT INTO pauses VALUES ('office365', 'x', 5)", "register_illegible"),
        ("INSERT INTO uses VALUES ('office365', 'x', 1, 1)", "register_illegible"),
        ("UPDATE meta SET value = 'x' WHERE substr(name, 1, 11) = 'identifiers'", "register_illegible"),
        ("INSERT INTO counts VALUES ('upstream', 'office365', 'x', 1)", "miscounted"),
        ("UPDATE counts SET total = 'x'", "miscounted"),
        ("UPDATE recipients SET next_attempt_at = 'x' WHERE message = '{0}'", "illegible"),
        ("UPDATE recipients SET give_up_at = 'x' WHERE message = '{0}'", "illegible"),
    ],
)
async def test_a_damaged_register_is_named_and_the_mail_goes_on(store: Store, spoilt: str, kind: str) -> None:
    ids = [await store.put(), await store.put()]
    if store.url.startswith("postgresql") and not any(word in spoilt for word in _IN_TEXTS):
        with pytest.raises(DBAPIError):
            spoil(store, spoilt.format(ids[0]))
        return
    spoil(store, spoilt.format(ids[0]))
    await store.restart()
    place = place_of(store.url, store.state_dir, None, None)
    assert kind in {found.kind for found in examine(place, ("office365",), 0) if isinstance(found, Finding)}
    claimed = [claim.message.id for claim in await store.claim()]
    assert claimed == (ids[1:] if kind == "illegible" else ids)
    await store.spool.outgoing.uses("office365", 0)
    assert ("gmail" in store.spool.inspection.gates()) is ("gates" in spoilt)
    if "gates" in spoilt:
        await store.spool.outgoing.release("gmail")
        assert not store.spool.inspection.gates()
