"""Files of a spool as an accident leaves them, looked at without a database."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from relay.spool import file_state
from relay.spool.file_state import file_findings, folder_findings
from relay.spool.log_index import log_lost
from relay.spool.place import Place

MIB = 1024 * 1024


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A sound file of some pages."""
    path = tmp_path / "queue.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE t (x)")
        connection.execute("INSERT INTO t VALUES (zeroblob(100000))")
        connection.commit()
    path.chmod(0o600)
    (tmp_path / "node").touch()
    return path


def kinds(path: Path, holder: int | None = None) -> tuple[list[str], bool]:
    findings, worth_opening = file_findings(path, Place("", path, None, holder))
    return [finding.kind for finding in findings], worth_opening


def folder_kinds(path: Path, reserve: int = 0, holder: int | None = None) -> dict[str, bool]:
    found = folder_findings(path, Place("", path, None, holder), reserve)
    return {finding.kind: finding.damage for finding in found if finding.kind != "little_room"}


def test_a_sound_file_is_opened(path: Path) -> None:
    assert kinds(path) == ([], True)
    assert folder_kinds(path) == {}


def test_no_file(path: Path) -> None:
    path.unlink()
    assert kinds(path) == (["missing"], False)
    (path.parent / "node").unlink()
    assert kinds(path) == (["no_spool"], False)
    assert kinds(path.parent / "not_mounted" / path.name) == (["no_folder"], False)


@pytest.mark.parametrize(
    ("content", "kind"),
    [(b"", "empty"), (b"short", "not_a_database"), (b"PK\x03\x04" * 5000, "not_a_database")],
)
def test_another_content(path: Path, content: bytes, kind: str) -> None:
    path.write_bytes(content)
    assert kinds(path) == ([kind], False)


def test_a_file_that_was_cut_off(path: Path) -> None:
    os.truncate(path, 9000)
    assert kinds(path) == (["cut"], True)
    # While relay runs, the header may be ahead of the file.
    Path(f"{path}-wal").touch()
    assert kinds(path, holder=7) == ([], True)


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    assert kinds(tmp_path) == (["unreadable"], False)


def test_another_file_was_put_in_its_place_under_a_running_relay(path: Path) -> None:
    Path(f"{path}-wal").touch()
    with path.open("rb"):
        copy = path.with_name("backup")
        copy.write_bytes(path.read_bytes())
        assert kinds(path, os.getpid()) == ([], True)
        copy.rename(path)
        assert kinds(path, os.getpid()) == (["deleted"], False)


def test_the_log_was_deleted_under_a_running_relay(path: Path) -> None:
    findings, worth_opening = file_findings(path, Place("", path, None, 4711))
    assert not worth_opening
    assert [finding.kind for finding in findings] == ["log_deleted"]
    assert findings[0].actions[0].startswith("kill -TERM 4711")


def test_the_log_is_missing_before_it_was_written_back(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("INSERT INTO t VALUES (1)")
        connection.commit()
        for end in ("", "-shm"):
            Path(f"{copy}{end}").write_bytes(Path(f"{path}{end}").read_bytes())
    copy.chmod(0o600)
    Path(f"{copy}-shm").chmod(0o600)
    assert log_lost(copy)
    assert folder_kinds(copy) == {"log_missing": True}
    assert folder_kinds(copy, holder=1) == {}
    # An empty one is no sign of a loss: after a power failure the index may be older.
    Path(f"{copy}-wal").touch(0o600)
    assert not log_lost(copy)


def test_a_log_that_was_written_back_is_not_missed(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO t VALUES (1)")
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        Path(f"{copy}-shm").write_bytes(Path(f"{path}-shm").read_bytes())
    assert not log_lost(copy)


def test_modes_and_copies(path: Path) -> None:
    path.chmod(0o644)
    path.with_name("queue.db.before-0002").touch()
    path.with_name("queue.db.before-0003.part").touch()
    assert folder_kinds(path) == {"readable_by_others": True, "copy_kept": False, "copy_unfinished": False}


def test_an_owner_that_is_not_the_folder_s(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stat = Path.stat

    def others(self: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        found = stat(self, follow_symlinks=follow_symlinks)
        if self == path:
            values = list(found)
            values[4] = found.st_uid + 1
            return os.stat_result(values)
        return found

    monkeypatch.setattr(Path, "stat", others)
    assert folder_kinds(path) == {"owner": True}


@pytest.mark.parametrize(
    ("flag", "free", "files", "kind"),
    [
        (os.ST_RDONLY, 900 * MIB, 5, "read_only"),
        (0, 10 * MIB, 5, "no_room"),
        (0, 100 * MIB, 5, "little_room"),
        (0, 900 * MIB, 0, "no_inodes"),
    ],
)
def test_the_disk(path: Path, monkeypatch: pytest.MonkeyPatch, flag: int, free: int, files: int, kind: str) -> None:
    system = SimpleNamespace(f_bavail=free, f_frsize=1, f_flag=flag, f_files=100, f_favail=files)
    monkeypatch.setattr(file_state, "os", SimpleNamespace(statvfs=lambda _: system, ST_RDONLY=os.ST_RDONLY))
    found = list(folder_findings(path, Place("", path), 16 * MIB))
    assert [(finding.kind, finding.damage) for finding in found] == [(kind, kind != "little_room")]
