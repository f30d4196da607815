import os
from pathlib import Path

import pytest

import relay.spool.room
from relay.spool.room import Room


def test_enough(tmp_path: Path) -> None:
    assert Room(tmp_path, 1).refusal() is None


def test_too_little(tmp_path: Path) -> None:
    refusal = Room(tmp_path, 1 << 62).refusal()
    assert refusal is not None
    assert refusal.full


def test_a_folder_that_went_is_not_full(tmp_path: Path) -> None:
    refusal = Room(tmp_path / "gone", 1).refusal()
    assert refusal is not None
    assert not refusal.full


def test_it_is_looked_at_once_a_second(tmp_path: Path) -> None:
    folder = tmp_path / "there"
    folder.mkdir()
    room = Room(folder, 1)
    assert room.refusal() is None
    folder.rmdir()
    assert room.refusal() is None


def test_somebody_elses_disk() -> None:
    assert Room(None, 1 << 62).refusal() is None


def test_what_is_taken_counts_before_the_next_look(tmp_path: Path) -> None:
    system = os.statvfs(tmp_path)
    room = Room(tmp_path, system.f_bavail * system.f_frsize - 100_000_000)
    assert room.refusal() is None
    room.take(60_000_000)
    refusal = room.refusal()
    assert refusal is not None
    assert refusal.full


def test_what_arrived_is_seen_on_the_disk_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay.spool.room, "_AGAIN", 0.0)
    system = os.statvfs(tmp_path)
    room = Room(tmp_path, system.f_bavail * system.f_frsize - 100_000_000)
    room.take(60_000_000)
    assert room.refusal() is not None
    room.arrived(60_000_000)
    assert room.refusal() is None


def test_the_database_may_yet_grow_by_what_the_log_holds(tmp_path: Path) -> None:
    log = tmp_path / "queue.db-wal"
    with log.open("wb") as file:
        file.truncate(200_000_000)
    system = os.statvfs(tmp_path)
    reserve = system.f_bavail * system.f_frsize - 100_000_000
    assert Room(tmp_path, reserve).refusal() is None
    assert Room(tmp_path, reserve, log).refusal() is not None
