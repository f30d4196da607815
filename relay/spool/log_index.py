"""The index of SQLite's write-ahead log (https://sqlite.org/walformat.html), as far as it tells of a loss."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

_FRAMES_AT: Final = 16
_WRITTEN_AT: Final = 96
_LENGTH: Final = 100


def log_lost(path: Path) -> bool:
    """Return True where the log of the database at `path` was taken away before it was written back.

    Nobody may have the database open. A log that is there and empty says nothing: after a power failure the index,
    which is never synced, may be older than it.
    """
    try:
        if Path(f"{path}-wal").exists():
            return False
        with Path(f"{path}-shm").open("rb") as file:
            index = file.read(_LENGTH)
    except OSError:
        return False
    frames, written = (int.from_bytes(index[at : at + 4], sys.byteorder) for at in (_FRAMES_AT, _WRITTEN_AT))
    return len(index) == _LENGTH and frames > written
