"""Names in a folder: written to disk apart from the files, and lost with the power where nobody sees to them."""

from __future__ import annotations

import os
from pathlib import Path


def put_in_place(finished: Path, path: Path) -> None:
    """Give a file that is on disk its name, for good once this returns; another of that name goes. Raises OSError."""
    finished.replace(path)
    keep_names(path.parent)


def keep_names(folder: Path) -> None:
    """Return when what the folder's files are called is on disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
