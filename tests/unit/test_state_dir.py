"""The state folder: its mode, and one relay at a time."""

import multiprocessing
import os
import stat
from multiprocessing.synchronize import Event
from pathlib import Path
from types import SimpleNamespace

import pytest

from relay.state_dir import StateDirError, holder_of, locked, prepare


def test_it_is_made_for_the_owner_alone(tmp_path: Path) -> None:
    prepare(tmp_path / "new" / "state")
    assert stat.S_IMODE((tmp_path / "new" / "state").stat().st_mode) == 0o700


def test_the_rights_of_others_are_taken_off(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    prepare(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


def test_a_file_in_its_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateDirError, match="file"):
        prepare(tmp_path / "file" / "state")


def test_a_file_system_that_is_read_only_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=os.ST_RDONLY))
    with pytest.raises(StateDirError, match=r"file system is read-only.* mount -o remount,rw"):
        prepare(tmp_path)


def _hold(folder: Path, taken: Event, let_go: Event) -> None:
    with locked(folder):
        taken.set()
        let_go.wait(20)


def test_a_second_is_refused_and_told_the_first_s_pid(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    taken, let_go = spawn.Event(), spawn.Event()
    other = spawn.Process(target=_hold, args=(tmp_path, taken, let_go))
    other.start()
    assert taken.wait(20)
    with pytest.raises(StateDirError, match=rf"pid {other.pid};"), locked(tmp_path):
        pass
    assert holder_of(tmp_path) == other.pid
    let_go.set()
    other.join(20)
    assert holder_of(tmp_path) is None
    with locked(tmp_path):
        assert (tmp_path / "relay.lock").read_text() == f"{os.getpid()}\n"


def test_a_full_disk_is_told_and_no_defect(tmp_path: Path) -> None:
    (tmp_path / "relay.lock").symlink_to("/dev/full")
    with pytest.raises(StateDirError, match=r"relay\.lock: No space left on device; free some"), locked(tmp_path):
        pass


def test_a_second_is_refused_though_the_lock_was_removed(tmp_path: Path) -> None:
    with locked(tmp_path):
        (tmp_path / "relay.lock").unlink()
        with pytest.raises(StateDirError, match=r"relay\.lock was removed"), locked(tmp_path):
            pass
    with locked(tmp_path):
        pass


def test_nobody_holds_a_folder_without_a_lock(tmp_path: Path) -> None:
    assert holder_of(tmp_path) is None
