"""What an upstream of type `capture` has kept, read again: the other side of `capture`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_HEAD: Final = 4096
"""Octets at the top of a message among which our own Received field is, with the ID."""

_ID: Final = re.compile(
    rb"^received:[^\n]*(?:\n[ \t][^\n]*)*?\bid[ \t]+([0-9A-Za-z-]{1,32})\b", re.IGNORECASE | re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Captured:
    """One message that was kept. `id` is the relay's, None where it can't be seen; `kept_at` ms since the epoch.

    `recipients` are those of one attempt: a message for more than the upstream takes at once is kept several times.
    """

    upstream: str
    name: str
    id: str | None
    kept_at: int
    reverse_path: str
    recipients: tuple[str, ...]
    size: int
    path: Path


def captured(upstream: str, directory: Path) -> Iterator[Captured]:
    """Yield the messages kept in one maildir, oldest first; none where nothing was ever kept.

    A message whose envelope is gone or unreadable is shown without it. Raises OSError for what can't be read.
    """
    folders = [directory / folder for folder in ("new", "cur")]
    paths = [path for folder in folders if folder.is_dir() for path in folder.iterdir() if path.is_file()]
    for path in sorted(paths, key=lambda path: _instant(path.name)):
        try:
            yield _described(upstream, directory, path)
        except FileNotFoundError:
            # Its time was over between the listing and the look.
            continue


def _described(upstream: str, directory: Path, path: Path) -> Captured:
    # A mail program that reads the maildir moves a message to cur/ and adds its flags behind a colon.
    name = path.name.partition(":")[0]
    said = _envelope(directory / "envelope" / f"{name}.json")
    found = path.stat()
    with path.open("rb") as file:
        mark = _ID.search(file.read(_HEAD).partition(b"\r\n\r\n")[0])
    recipients = tuple(str(row["forward_path"]) for row in said.get("recipients", ()))
    kept_at = said.get("kept_at", found.st_mtime_ns // 1_000_000)
    identifier = mark[1].decode("ascii") if mark else None
    return Captured(
        upstream, name, identifier, kept_at, str(said.get("reverse_path", "")), recipients, found.st_size, path
    )


def _envelope(path: Path) -> dict[str, Any]:
    try:
        said = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def _instant(name: str) -> tuple[int, int, str]:
    """Return what orders maildir names by time: seconds, microseconds, the name."""
    seconds, _, rest = name.partition(".")
    micros = re.match(r"M(\d+)", rest)
    return (int(seconds) if seconds.isdigit() else 0, int(micros[1]) if micros else 0, name)
