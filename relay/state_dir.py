"""The folder that holds the queue, the sealed store and the tokens: 0700, one `serve` at a time, its owner's."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from relay.config.private_file import refusal_of
from relay.folder import keep_names


class StateDirError(Exception):
    """The folder can't be used; the text says why and what to do, in one line."""


def prepare(state_dir: Path) -> None:
    """Make the folder, or take the rights of others off it. Raises StateDirError."""
    try:
        made = [folder for folder in (state_dir, *state_dir.parents) if not folder.exists()]
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in made:
            # A folder that may be written to and not read can't be synced by its name.
            with contextlib.suppress(PermissionError):
                keep_names(folder.parent)
        if os.statvfs(state_dir).f_flag & os.ST_RDONLY:
            raise StateDirError(
                f"{state_dir}: its file system is read-only; dmesg may say why, mount -o remount,rw makes it writable"
            )
        found = state_dir.stat()
        if found.st_mode & 0o077 and found.st_uid == os.geteuid():
            state_dir.chmod(0o700)
    except OSError as error:
        raise StateDirError(f"{state_dir}: {error.strerror}; make it, owned by the user that runs relay") from error
    if not os.access(state_dir, os.W_OK | os.X_OK, effective_ids=True):
        raise StateDirError(f"{state_dir}: not writable; it belongs to the user that runs relay (chown)")


@contextlib.contextmanager
def locked(state_dir: Path) -> Iterator[None]:
    """Keep every other `serve` off this folder; relay.lock says our pid. Raises StateDirError naming the other's.

    The folder is locked too: a relay.lock that somebody removed would keep nobody off, and its mail be sent twice.
    """
    path = state_dir / "relay.lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        folder = os.open(state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise StateDirError(refusal_of(path, error)) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
            raise StateDirError(
                f"{state_dir}: a relay is running on it already, pid {holder}; stop it first, or set another state_dir"
            ) from error
        _lock_folder(state_dir, folder)
        _say_who(path, descriptor)
        yield
    finally:
        os.close(folder)
        os.close(descriptor)


def _say_who(path: Path, descriptor: int) -> None:
    said = f"{os.getpid()}\n".encode("ascii")
    try:
        # Not emptied first: on a full disk another program would take the room.
        os.pwrite(descriptor, said, 0)
        os.ftruncate(descriptor, len(said))
    except OSError as error:
        raise StateDirError(refusal_of(path, error)) from error


def _lock_folder(state_dir: Path, folder: int) -> None:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StateDirError(
            f"{state_dir}: a relay is running on it already, though its relay.lock was removed; stop it first "
            f"(pgrep -af relay shows it), or set another state_dir"
        ) from error
    except OSError:
        # NFS and its like may not lock folders; relay.lock has to do.
        return


def holder_of(state_dir: Path) -> int | None:
    """Return the pid of the `serve` that runs on this folder, or None."""
    try:
        descriptor = os.open(state_dir / "relay.lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return int(os.pread(descriptor, 20, 0).strip() or b"0")
    finally:
        os.close(descriptor)
    return None


@contextlib.contextmanager
def as_owner(state_dir: Path) -> Iterator[None]:
    """Be the folder's owner where we are root, so that no file in it becomes unreadable for the relay.

    Where the owner can't reach it from here (systemd keeps the folders of dynamic users in one of root's) we stay root,
    and what we made is the owner's afterwards.
    """
    found = state_dir.stat() if os.geteuid() == 0 and state_dir.exists() else None
    if found is None or found.st_uid == 0:
        yield
        return
    group = os.getegid()
    _become(found.st_uid, found.st_gid)
    if not os.access(state_dir, os.W_OK | os.X_OK, effective_ids=True):
        _become(0, group)
        try:
            yield
        finally:
            _give_to(found.st_uid, found.st_gid, state_dir)
        return
    try:
        yield
    finally:
        _become(0, group)


def _become(user: int, group: int) -> None:
    # Only root may change the group: it goes first on the way down, last on the way up.
    if user == 0:
        os.seteuid(user)
        os.setegid(group)
    else:
        os.setegid(group)
        os.seteuid(user)


def _give_to(user: int, group: int, folder: Path) -> None:
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(place, name)
            if os.lstat(path).st_uid != user:
                os.lchown(path, user, group)
