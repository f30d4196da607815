from pathlib import Path

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
