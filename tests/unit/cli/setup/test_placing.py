"""A file in the place of another: rights, backup, whole or not at all."""

import os
import signal
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from relay.cli.setup.placing import SYSTEM_FOLDER, difference, mode_for, place, unbroken
from relay.config.problems import ConfigError

NOW = datetime(2026, 11, 22, 12, 30, 5, tzinfo=UTC)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_is_its_owner_s_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "relay.toml"
    assert place(path, "a = 1\n", tmp_path, NOW) is None
    assert (path.read_text(), mode(path)) == ("a = 1\n", 0o600)
    assert list(path.parent.iterdir()) == [path]


def test_rights_stay_and_the_old_file_is_kept_each_time(tmp_path: Path) -> None:
    path = tmp_path / "relay.toml"
    path.write_text("first\n")
    path.chmod(0o640)
    backups = [place(path, text, tmp_path, NOW) for text in ("second\n", "third\n")]
    assert [backup.read_text() for backup in backups if backup] == ["first\n", "second\n"]
    assert [mode(each) for each in (path, *filter(None, backups))] == [0o640] * 3
    assert backups[0] == tmp_path / "relay.toml.before-20261122-123005"
    assert path.read_text() == "third\n"


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    target, link = tmp_path / "real" / "relay.toml", tmp_path / "relay.toml"
    target.write_text("first\n")
    link.symlink_to(target)
    backup = place(link, "second\n", tmp_path, NOW)
    assert link.is_symlink()
    assert target.read_text() == "second\n"
    assert backup is not None
    assert backup.parent == target.parent


def test_what_cannot_be_written_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "relay.toml"
    path.write_text("first\n")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="free some space"):
        place(path, "second\n", tmp_path, NOW)
    assert path.read_text() == "first\n"


def test_the_service_can_read_a_file_in_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert mode_for(SYSTEM_FOLDER / "relay.toml", tmp_path) == 0o644
    assert mode_for(tmp_path / "relay.toml", tmp_path) == 0o600
    assert mode_for(tmp_path / "relay.toml", tmp_path / "nowhere") == 0o600
    monkeypatch.setattr(os, "geteuid", lambda: os.stat(tmp_path).st_uid + 1)
    assert mode_for(tmp_path / "relay.toml", tmp_path) == 0o640


def test_a_signal_waits_until_all_is_written() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    try:
        with unbroken():
            signal.raise_signal(signal.SIGINT)
            assert heard == []
        assert heard == [signal.SIGINT]
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_difference_is_shown_as_diff_shows_it() -> None:
    shown = difference("a\nb\n", "a\nc\n", "relay.toml").splitlines()
    assert shown[:2] == ["--- relay.toml (as it is)", "+++ relay.toml (to be)"]
    assert shown[-2:] == ["-b", "+c"]
    assert difference("a\n", "a\n", "x") == ""
