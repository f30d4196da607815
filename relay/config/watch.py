"""Which of the watched files have changed."""

from collections.abc import Iterable
from pathlib import Path

Stamp = tuple[int, int, int]


class Watch:
    """Looks at files when asked: size, time and inode. A file that comes or goes has changed too."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._stamps = {file: _stamp(file) for file in files}

    def changed(self) -> frozenset[Path]:
        """Return the files that changed since the last look."""
        now = {file: _stamp(file) for file in self._stamps}
        changed = frozenset(file for file, stamp in now.items() if stamp != self._stamps[file])
        self._stamps = now
        return changed


def _stamp(file: Path) -> Stamp | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
