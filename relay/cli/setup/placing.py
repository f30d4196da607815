"""A file put in the place of another: the old one kept as a backup, the new one there as a whole or not at all."""

from __future__ import annotations

import contextlib
import difflib
import os
import secrets
import signal
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

from relay.config.private_file import reasons
from relay.folder import put_in_place

SYSTEM_FOLDER: Final = Path("/etc/relay")
"""Here the file is read by a service whose user is made only when it starts (DynamicUser): by everybody."""

_HELD: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def difference(old: str, new: str, name: str) -> str:
    """Return what changes, as `diff -u` shows it; empty where nothing does."""
    lines = difflib.unified_diff(
        old.splitlines(), new.splitlines(), f"{name} (as it is)", f"{name} (to be)", lineterm=""
    )
    return "\n".join(lines)


def mode_for(path: Path, state_dir: Path) -> int:
    """Return the rights of a new file: its owner's alone, but where the relay runs as somebody else."""
    if path.parent == SYSTEM_FOLDER:
        return 0o644
    return 0o640 if _owner_of(state_dir) not in {None, os.geteuid()} else 0o600


def place(path: Path, text: str, state_dir: Path, now: datetime) -> Path | None:
    """Write the file, durably; return the backup of the one that was there. Raises ConfigError.

    Rights and owner stay those of the old one.
    """
    path = path.resolve()
    with reasons(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        old = path.stat() if path.exists() else None
        backup = _backup(path, now) if old is not None else None
        mode = old.st_mode & 0o777 if old is not None else mode_for(path, state_dir)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            _write(draft, text.encode(), mode)
            if old is not None and os.geteuid() == 0:
                os.chown(draft, old.st_uid, old.st_gid)
            elif mode == 0o640:
                os.chown(draft, -1, state_dir.stat().st_gid)
            put_in_place(draft, path)
        except OSError:
            draft.unlink(missing_ok=True)
            raise
    return backup


@contextlib.contextmanager
def unbroken() -> Iterator[None]:
    """Let Ctrl-C and the like wait until what is written together has been written."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _backup(path: Path, now: datetime) -> Path:
    octets, found = path.read_bytes(), path.stat()
    for number in range(1000):
        backup = path.with_name(f"{path.name}.before-{now:%Y%m%d-%H%M%S}{f'-{number}' if number else ''}")
        try:
            _write(backup, octets, found.st_mode & 0o777)
        except FileExistsError:
            continue
        if os.geteuid() == 0:
            os.chown(backup, found.st_uid, found.st_gid)
        return backup
    raise FileExistsError(f"{path.name}.before-...")


def _write(path: Path, octets: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(octets)
        file.flush()
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())


def _owner_of(folder: Path) -> int | None:
    return folder.stat().st_uid if folder.exists() else None
