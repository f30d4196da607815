import os
from pathlib import Path

from relay.config.watch import Watch


def test_files_that_come_change_are_replaced_or_go(tmp_path: Path) -> None:
    names = ("kept", "written", "replaced", "removed", "made")
    files = [tmp_path / name for name in names]
    for file in files[:4]:
        file.write_text("before")
    watch = Watch(files)
    assert watch.changed() == frozenset()
    (tmp_path / "written").write_text("afterwards")
    (tmp_path / "new").write_text("before")
    stamp = (tmp_path / "replaced").stat()
    os.utime(tmp_path / "new", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    (tmp_path / "new").replace(tmp_path / "replaced")
    (tmp_path / "removed").unlink()
    (tmp_path / "made").write_text("x")
    assert {file.name for file in watch.changed()} == {"written", "replaced", "removed", "made"}
    assert watch.changed() == frozenset()
