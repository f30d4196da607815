"""Octets that a disk changed are found, and neither sent nor sent to anybody else."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from relay.spool.contract import SpoolError
from relay.spool.database import Database
from relay.spool.examination import examine
from relay.spool.finding import Finding
from relay.spool.place import place_of
from relay.spool.records import Claim, RecipientState
from relay.spool.salvage import salvage
from tests.contract.conftest import Store

_FIRST, _LAST = b"Creatinine 84 umol/l\r\n", b"Creatinine 384 umol/l\r\n"


def spoil(store: Store, statement: str, *ids: str) -> None:
    with closing(Database(store.url).connect()) as connection:
        connection.exec_driver_sql(statement.format(*ids)).close()


def kinds_in(store: Store) -> dict[str, tuple[str, ...]]:
    """What `relay spool check` finds, and in which messages."""
    found = examine(place_of(store.url, store.state_dir, None, None), ("office365",), 0)
    return {one.kind: one.ids for one in found if isinstance(one, Finding) and one.kind != "little_room"}


async def octets_of(claim: Claim) -> bytes:
    return b"".join([chunk async for chunk in claim.content.chunks()])


async def reopened(store: Store) -> None:
    """What was put is read from the database from now on."""
    await store.spool.aclose()
    store.spool = await store.open()


@pytest.mark.parametrize("size", [4_000, 100_000, 700_000])
async def test_changed_content_is_found_and_not_sent(store: Store, size: int) -> None:
    ids = [await store.put(content=_FIRST * (size // len(_FIRST))) for _ in range(2)]
    await reopened(store)
    change = "CAST(replace(octets, '84', '94') AS BLOB)" if "sqlite" in store.url else "set_byte(octets, 11, 57)"
    last = "(SELECT max(number) FROM chunks)"
    spoil(store, "UPDATE chunks SET octets = {1} WHERE content = '{0}' AND number = {2}", ids[0], change, last)
    assert kinds_in(store) == {"content_damaged": (ids[0],)}
    damaged, sound = await store.claim()
    with pytest.raises(SpoolError, match="not what was accepted"):
        await octets_of(damaged)
    assert await octets_of(sound) == _FIRST * (size // len(_FIRST))


async def test_another_messages_content_in_its_place_is_found(store: Store) -> None:
    ids = [await store.put(content=one) for one in (_FIRST + b" ", _LAST)]
    await reopened(store)
    spoil(store, "UPDATE chunks SET content = '{0}-' WHERE content = '{0}'", ids[0])
    spoil(store, "INSERT INTO chunks SELECT '{0}', number, octets, checksum FROM chunks WHERE content = '{1}'", *ids)
    [wrong, sound] = await store.claim()
    with pytest.raises(SpoolError, match="not what was accepted"):
        await octets_of(wrong)
    assert await octets_of(sound) == _LAST


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE recipients SET forward_path = 'q' || substr(forward_path, 2) WHERE message = '{0}' AND position = 1",
        "UPDATE messages SET reverse_path = 'other@clinic.test' WHERE id = '{0}'",
        "UPDATE messages SET content = '{1}' WHERE id = '{0}'",
    ],
    ids=["recipient", "sender", "content"],
)
async def test_what_would_go_to_somebody_else_is_held(store: Store, change: str) -> None:
    ids = [await store.put(2, content=_LAST) for _ in range(2)]
    spoil(store, change, *ids)
    assert ids[0] in kinds_in(store)["illegible"]
    claims = await store.claim()
    paths = dict.fromkeys(ids, 2) | {ids[0]: 1 if "position" in change else 0}
    assert sum(len(claim.recipients) for claim in claims if claim.message.id == ids[0]) == paths[ids[0]]
    assert [len(claim.recipients) for claim in claims if claim.message.id == ids[1]] == [2]
    held = (await store.spool.inspection.counts()).recipients[("office365", RecipientState.HELD)]
    assert held == 2 - paths[ids[0]]


async def test_what_an_older_relay_wrote_goes_as_it_is(store: Store) -> None:
    await store.put(content=_FIRST)
    await reopened(store)
    spoil(store, "UPDATE chunks SET checksum = NULL")
    spoil(store, "UPDATE recipients SET checksum = NULL")
    assert kinds_in(store) == {}
    assert await octets_of(await store.claim_one()) == _FIRST


async def test_content_that_became_a_text_keeps_no_other_mail_back(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'queue.db'}", tmp_path)
    store.spool = await store.open()
    ids = [await store.put(content=one) for one in (_FIRST, b"\xe9\r\n", _FIRST)]
    await reopened(store)
    spoil(store, "UPDATE chunks SET octets = CAST(octets AS TEXT) WHERE content <> '{0}'", ids[2])
    *damaged, sound = await store.claim()
    for claim in damaged:
        with pytest.raises(SpoolError) as told:
            await octets_of(claim)
        assert "with text" not in str(told.value), "content must not stand in the log"
    assert await octets_of(sound) == _FIRST
    await store.spool.aclose()
    assert "content_damaged" in kinds_in(store)


async def test_salvage_takes_no_damaged_content_over(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'queue.db'}", tmp_path)
    store.spool = await store.open()
    ids = [await store.put(content=_FIRST) for _ in range(2)]
    await store.spool.aclose()
    spoil(store, "UPDATE chunks SET octets = x'{1}' WHERE content = '{0}'", ids[1], _LAST[: len(_FIRST)].hex())
    target = tmp_path / "salvaged.db"
    assert [lost.id for lost in salvage(place_of(store.url, tmp_path, None, None), target)] == [ids[1]]
    with closing(sqlite3.connect(target)) as connection:
        assert connection.execute("SELECT id FROM messages").fetchall() == [(ids[0],)]
