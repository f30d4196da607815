"""A database that can't be opened: what it is and what to do, for whoever reads the error."""

import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from relay import logs
from relay.spool.contract import SpoolError
from relay.spool.jobs import each
from relay.spool.records import Claim
from relay.spool.store import Spool
from relay.spool.transaction import Transaction
from tests.contract.conftest import until
from tests.contract.mail import Clock, arrival, failed, relayed


def scribbled(path: Path) -> None:
    """Keep the first page, and with it what makes it a database; lose those that hold the tables."""
    octets = bytearray(path.read_bytes())
    octets[4096:] = hashlib.shake_256(b"damage").digest(len(octets) - 4096)
    path.write_bytes(octets)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:9000])


def replaced(path: Path) -> None:
    path.write_bytes(hashlib.shake_256(b"damage").digest(5000))


@pytest.mark.parametrize("damage", [scribbled, cut, replaced], ids=lambda damage: damage.__name__)
async def test_a_damaged_database_is_named_with_the_cure(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    spool = await Spool.open("", tmp_path, reserve=0)
    await spool.aclose()
    damage(tmp_path / "queue.db")
    with pytest.raises(SpoolError) as refused:
        await Spool.open("", tmp_path, reserve=0)
    assert str(refused.value).startswith(f"{tmp_path / 'queue.db'}: ")
    assert "put a backup in its place, or move it away" in str(refused.value)


async def test_a_database_server_that_is_not_there_is_named_by_its_key(tmp_path: Path) -> None:
    with pytest.raises(SpoolError, match=r"^queue\.url: .*; see that the database runs and lets relay in$"):
        await Spool.open("postgresql://relay@127.0.0.1:1/relay", tmp_path)


def logged(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err


async def test_a_file_that_lost_all_its_content_is_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json", "info", "masked")
    spool = await Spool.open("", tmp_path, reserve=0)
    await spool.aclose()
    assert "spool_damaged" not in logged(capsys)
    os.truncate(tmp_path / "queue.db", 0)
    spool = await Spool.open("", tmp_path, reserve=0)
    await spool.aclose()
    [line] = [json.loads(line) for line in logged(capsys).splitlines()]
    assert line["event"] == "spool_damaged"
    assert "mail that may have been in it is gone" in line["text"]


async def test_a_log_that_was_taken_away_is_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json", "info", "masked")
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    spool = await Spool.open("", before, reserve=0)
    await spool.intake.put(arrival(spool.intake.next_id(), Clock()()))
    # As a kill leaves it.
    shutil.copytree(before, after)
    await spool.aclose()
    (after / "queue.db-wal").unlink()
    spool = await Spool.open("", after, reserve=0)
    await spool.aclose()
    [line] = [json.loads(line) for line in logged(capsys).splitlines()]
    assert line["event"] == "spool_damaged"
    assert "queue.db-wal is missing" in line["text"]


def spoil(path: Path, text: bytes) -> None:
    """Overwrite the pages of the file that hold `text`."""
    octets = bytearray(path.read_bytes())
    at = octets.find(text)
    assert at >= 0
    while at >= 0:
        page = at // 4096 * 4096
        octets[page : page + 4096] = hashlib.shake_256(b"damage").digest(4096)
        at = octets.find(text)
    path.write_bytes(octets)


def _fail(_: Transaction) -> None:
    raise sqlite3.OperationalError("disk I/O error")


async def _content(claim: Claim) -> bytes | str:
    """The content, or why there is none."""
    try:
        return b"".join([chunk async for chunk in claim.content.chunks()])
    except SpoolError as error:
        return str(error)


async def test_one_damaged_content_keeps_no_other_message_back(tmp_path: Path) -> None:
    clock = Clock()
    spool = await Spool.open("", tmp_path, reserve=0, clock=clock)
    sent = {}
    for number in range(100):
        id_ = spool.intake.next_id()
        sent[id_] = f"text-{number:03}-".encode() * 200
        await spool.intake.put(arrival(id_, clock(), content=sent[id_]))
    await spool.aclose()
    with closing(sqlite3.connect(tmp_path / "queue.db")) as connection:
        first = connection.execute("SELECT min(id) FROM messages").fetchone()[0]
        # Without it the text may stand in pages that are free, too.
        connection.execute("VACUUM")
    spoil(tmp_path / "queue.db", sent[first][:20])

    spool = await Spool.open("", tmp_path, reserve=0, clock=clock)
    try:
        with pytest.raises(SpoolError, match="relay spool check names what is affected"):
            await spool.outgoing.claim("office365", 100, 1)
        await until(lambda: spool.health() is None)
        claims = await spool.outgoing.claim("office365", 100, 1)
        assert len(claims) == 100
        read = {claim.message.id: await _content(claim) for claim in claims}
        unread = {id_: why for id_, why in read.items() if isinstance(why, str)}
        assert first in unread
        assert len(unread) < 10
        assert all("relay spool check names what is affected" in why for why in unread.values())
        assert {id_: octets for id_, octets in sent.items() if id_ not in unread}.items() <= read.items()
        whole = [claim for claim in claims if claim.message.id not in unread]
        assert all([await spool.outgoing.settle(claim, relayed(claim), []) for claim in whole])
        # Given up in the end, they stand in nobody's way either, though their content can't be removed.
        for claim in claims:
            if claim.message.id in unread:
                assert await spool.outgoing.settle(claim, failed(claim), [])
        assert spool.intake.waiting("careright") == 0
        await until(lambda: not spool._removal._keys and spool.health() is None)
        await spool.intake.put(arrival(spool.intake.next_id(), clock()))
        assert len(await spool.outgoing.claim("office365", 100, 1)) == 1
    finally:
        await spool.aclose()


async def test_an_outcome_is_recorded_though_the_content_cannot_be_removed(tmp_path: Path) -> None:
    clock = Clock()
    spool = await Spool.open("", tmp_path, reserve=0, clock=clock)
    content = b"text-000-" * 200
    for _ in range(100):
        await spool.intake.put(arrival(spool.intake.next_id(), clock(), content=content))
    # Claimed whole, and then the page goes.
    claims = await spool.outgoing.claim("office365", 100, 1)
    await spool.inspection.counts()
    await spool._reader.read(spool._database.empty_log)
    try:
        with closing(sqlite3.connect(tmp_path / "queue.db")) as connection:
            [(root,)] = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'chunks'").fetchall()
        with (tmp_path / "queue.db").open("r+b") as file:
            file.seek((root - 1) * 4096)
            file.write(hashlib.shake_256(b"damage").digest(4096))
        # The writer has the page in memory until it opens anew.
        with pytest.raises(SpoolError):
            await spool._writer.submit(each, _fail)
        await until(lambda: spool.health() is None)
        with pytest.raises(SpoolError):
            await spool.outgoing.settle(claims[0], relayed(claims[0]), [])
        await until(lambda: spool.health() is None)
        assert all([await spool.outgoing.settle(claim, relayed(claim), []) for claim in claims])
        assert spool.intake.waiting("careright") == 0
    finally:
        await spool.aclose()
