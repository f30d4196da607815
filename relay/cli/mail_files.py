"""Files that mail programs open: one a message (eml), or one for all (mbox, in the form called mboxrd)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from relay.upstream.captured import Captured

_FROM_LINE: Final = re.compile(rb"^(>*From )", re.MULTILINE)


class Form(StrEnum):
    """What is written."""

    EML = "eml"
    MBOX = "mbox"


def export_eml(messages: Iterable[tuple[Captured, bytes]], folder: Path) -> int:
    """Write each message, byte for byte, as ID.eml (ID-2.eml where one is kept several times); return how many.

    The folder is made where there is none. Raises OSError, FileExistsError where a file of that name is there.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    seen: dict[str, int] = {}
    for one, octets in messages:
        plain = one.id or one.name
        seen[plain] = seen.get(plain, 0) + 1
        _write(folder / f"{plain}{f'-{seen[plain]}' if seen[plain] > 1 else ''}.eml", [octets])
    return sum(seen.values())


def export_mbox(messages: Iterable[tuple[Captured, bytes]], file: Path) -> int:
    """Write all messages into a new file, with LF as line ends; return how many. Raises OSError."""
    written = [_boxed(one, octets) for one, octets in messages]
    _write(file, written)
    return len(written)


def _boxed(one: Captured, octets: bytes) -> bytes:
    at = datetime.fromtimestamp(one.kept_at / 1000, UTC).strftime("%a %b %e %H:%M:%S %Y")
    sender = (one.reverse_path or "MAILER-DAEMON").replace(" ", "-").encode("utf-8")
    text = _FROM_LINE.sub(rb">\1", octets.replace(b"\r\n", b"\n"))
    return b"From " + sender + b" " + at.encode("ascii") + b"\n" + text + (b"\n" if text.endswith(b"\n") else b"\n\n")


def _write(path: Path, pieces: Iterable[bytes]) -> None:
    # Patients' mail: for nobody else, and never over what is there.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.writelines(pieces)
