"""A database that can't be opened: what it is and what to do, for whoever reads the error."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from relay.spool.contract import SpoolError
from relay.spool.store import Spool


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
