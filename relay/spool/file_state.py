"""What can be said of a SQLite file and its folder without opening it as a database."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from relay.spool.finding import Finding
from relay.spool.integrity import salvage
from relay.spool.log_index import log_lost
from relay.spool.place import Place

_MAGIC: Final = b"SQLite format 3\0"
_HEADER: Final = 100
_ROOM_LEFT: Final = 256 * 1024 * 1024


def file_findings(path: Path, place: Place) -> tuple[list[Finding], bool]:
    """Return what is found in file and log, and whether it makes sense to open it."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            header = file.read(_HEADER)
    except FileNotFoundError:
        return [_missing(path) if place.holder is None else _deleted(path, place.holder)], False
    except OSError as error:
        return [_unreadable(path, error)], False
    if place.holder is not None and _replaced(path, place.holder):
        return [_deleted(path, place.holder)], False
    if not size:
        return [_empty(path)], False
    if len(header) < _HEADER or not header.startswith(_MAGIC):
        return [_foreign(path, place)], False
    log = _log_gone(place)
    if log is not None:
        return [log], False
    cut = _cut(path, place, header, size)
    return ([cut] if cut is not None else []), True


def _missing(path: Path) -> Finding:
    if not path.parent.is_dir():
        return Finding(
            "no_folder",
            True,
            f"{path.parent} is not there: no relay has run on it yet, or it was moved away, or is not mounted",
            "mail that waits in it, if any, is not here: relay serve would begin with an empty queue",
            (
                f"findmnt --target {path.parent}     # the right disk?",
                "relay serve     # where none has run yet",
            ),
        )
    if not path.with_name("node").exists():
        return Finding("no_spool", False, "there is no spool yet", "relay serve makes one", ("relay serve",))
    return Finding(
        "missing",
        True,
        f"{path} is not there, though a relay has run on its folder",
        "the mail that waited in it is not here: relay serve would begin with an empty queue",
        (f"cp -a /YOUR/BACKUP {path}", f"relay spool check {path}"),
    )


def _replaced(path: Path, holder: int) -> bool:
    """Return whether the running relay has open what had this name before."""
    gone = f"{os.path.realpath(path)} (deleted)"
    with contextlib.suppress(OSError):  # not ours to see
        for file in Path(f"/proc/{holder}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                if os.readlink(file) == gone:
                    return True
    return False


def _deleted(path: Path, holder: int) -> Finding:
    return Finding(
        "deleted",
        True,
        f"{path} was deleted or moved away while relay (pid {holder}) runs",
        "the mail is in files without a name, which are gone when that process ends; it takes no more meanwhile",
        (
            f"ls -l /proc/{holder}/fd | grep {path.name}     # N: of {path.name}, M: of {path.name}-wal",
            f"cp /proc/{holder}/fd/N {path}.saved && cp /proc/{holder}/fd/M {path}.saved-wal     # and only then stop",
            f"relay spool check {path}.saved",
            "systemctl stop relay",
            f"mv {path}.saved {path} && mv {path}.saved-wal {path}-wal",
            "systemctl start relay",
        ),
    )


def _unreadable(path: Path, error: OSError) -> Finding:
    if isinstance(error, PermissionError):
        return Finding(
            "not_yours",
            True,
            f"{path} may not be read by you",
            "nothing is known of it",
            ("sudo relay spool check",),
        )
    return Finding(
        "unreadable",
        True,
        f"{path} cannot be read: {error.strerror}",
        "no mail can be accepted or sent",
        ("dmesg | tail     # what the kernel says of the disk", f"ls -l {path.parent}"),
    )


def _empty(path: Path) -> Finding:
    return Finding(
        "empty",
        True,
        f"{path} has no content at all",
        "mail that waited in it is gone; relay serve would begin with an empty queue",
        (f"cp -a /YOUR/BACKUP {path}", "relay serve     # where nothing had been accepted yet"),
    )


def _foreign(path: Path, place: Place) -> Finding:
    return Finding(
        "not_a_database",
        True,
        f"{path} is not a SQLite database, or its first page is lost",
        "relay serve refuses it; whether there is mail in it only its other pages can tell",
        (*salvage(place)[:4], f"mv {path} {path}.damaged     # or: begin with an empty queue"),
    )


def _log_gone(place: Place) -> Finding | None:
    """The write-ahead log was taken away from under a running relay: opening the file now would do harm."""
    if place.holder is None or place.log.exists():
        return None
    return Finding(
        "log_deleted",
        True,
        f"{place.log} was deleted while relay (pid {place.holder}) runs",
        "what was accepted lately is only in its memory and in the deleted file; a clean stop writes it back, a kill "
        "loses it",
        (f"kill -TERM {place.holder}     # never kill -9", "relay spool check", "relay serve"),
    )


def _cut(path: Path, place: Place, header: bytes, size: int) -> Finding | None:
    # While somebody writes the log back, the header may be ahead of the file.
    if place.holder is not None:
        return None
    page = int.from_bytes(header[16:18], "big")
    page = 65536 if page == 1 else page
    pages = int.from_bytes(header[28:32], "big")
    if size >= page * pages or (place.log.exists() and place.log.stat().st_size):
        return None
    return Finding(
        "cut",
        True,
        f"{path} is cut off: {size} of {page * pages} octets are left",
        "what lay behind is lost, unless a backup has it",
        salvage(place),
    )


def folder_findings(path: Path, place: Place, reserve: int) -> Iterator[Finding]:
    """Give what is found about modes, owners, the log left behind, copies of upgrades, and room."""
    folder = path.parent
    for file in (path, place.log, Path(f"{path}-shm")):
        yield from _rights(file, folder)
    if place.holder is None and log_lost(path):
        yield Finding(
            "log_missing",
            True,
            f"{place.log} is missing, and had not been written back",
            "the newest mail and outcomes were in it: messages may be lost, and others sent again",
            (f"cp -a /WHEREVER/IT/WENT {place.log}", "relay spool check"),
        )
    for left in sorted(folder.glob(f"{path.name}.before-*")):
        if left.suffix == ".part":
            yield Finding(
                "copy_unfinished",
                False,
                f"{left} is left of an upgrade that was interrupted",
                "it is of no use",
                (f"rm {left}",),
            )
        else:
            yield Finding(
                "copy_kept",
                False,
                f"{left} is the spool as it was before an upgrade, {left.stat().st_size} octets",
                "once all is well nothing needs it; it has mail of patients in it",
                (f"rm {left}",),
            )
    yield from _room(folder, reserve)


def _rights(file: Path, folder: Path) -> Iterator[Finding]:
    try:
        found, owner = file.stat(), folder.stat().st_uid
    except OSError:
        return
    if found.st_uid != owner:
        yield Finding(
            "owner",
            True,
            f"{file} belongs to user {found.st_uid}, its folder to {owner}",
            "the relay may not be able to write it",
            (f"chown --reference={folder} {file}",),
        )
    if found.st_mode & 0o077:
        yield Finding(
            "readable_by_others",
            True,
            f"{file} has the mode {stat.S_IMODE(found.st_mode):04o}",
            "others on this machine may read the mail in it",
            (f"chmod 600 {file}",),
        )


def _room(folder: Path, reserve: int) -> Iterator[Finding]:
    try:
        system = os.statvfs(folder)
    except OSError:
        return
    free = system.f_bavail * system.f_frsize
    if system.f_flag & os.ST_RDONLY:
        yield Finding(
            "read_only",
            True,
            f"the file system of {folder} is read-only",
            "mail is answered 451 and nothing is sent until it is writable again",
            ("dmesg | tail     # why", f"mount -o remount,rw $(stat -c %m {folder})"),
        )
    if free < reserve:
        yield Finding(
            "no_room",
            True,
            f"{free} octets are free, less than queue.reserve ({reserve})",
            "mail is answered 452; what waits is still sent. It goes on by itself once there is room",
            (f"df -h {folder}", "relay queue list     # why so much waits"),
        )
    elif free < reserve + _ROOM_LEFT:
        yield Finding(
            "little_room",
            False,
            f"{free} octets are free; below {reserve} (queue.reserve) no mail is accepted",
            "a long outage of a provider may fill the rest",
            (f"df -h {folder}",),
        )
    if system.f_files and not system.f_favail:
        yield Finding(
            "no_inodes",
            True,
            f"the file system of {folder} can hold no more files",
            "a running relay goes on; one that is started cannot make its log",
            (f"df -i {folder}",),
        )
