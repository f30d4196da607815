"""Files that only the relay's user may read, written so that a crash leaves the old one or the new."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from relay.config.problems import ConfigError
from relay.folder import put_in_place

_CURES: Final = {
    errno.EACCES: "run as the user that owns it, or give it to the user that runs relay (chown)",
    errno.EPERM: "run as the user that owns it, or give it to the user that runs relay (chown)",
    errno.ENOENT: "make it, or name another",
    errno.ENOTDIR: "name a folder",
    errno.EISDIR: "name a file",
    errno.ENOSPC: "free some space",
    errno.EROFS: "name a folder that can be written to",
}


def make(path: Path, octets: bytes) -> None:
    """Makes the file 0600, durable before this returns, or puts it in the place of one that was there.

    In a folder of another user it belongs to that user, so that what root did can be read by the relay.
    Raises OSError.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            give_to_owner(descriptor, path.parent)
            file.write(octets)
            file.flush()
            os.fsync(descriptor)
        put_in_place(draft, path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def give_to_owner(descriptor: int, folder: Path) -> None:
    """Gives an open file to the folder's owner where we are root and the folder isn't root's."""
    owner = folder.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


@contextmanager
def reasons(path: Path) -> Iterator[None]:
    """Turns what the system says against a file into a ConfigError."""
    try:
        yield
    except OSError as error:
        raise ConfigError(refusal_of(path, error)) from error


def refusal_of(path: Path | str, error: OSError) -> str:
    """Return what the system says against a file, and what to do."""
    cure = _CURES.get(error.errno or 0, "mend that")
    return f"{path}: {error.strerror or 'cannot be used'}; {cure}"
