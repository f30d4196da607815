"""Free space: below the reserve no mail is accepted, so that what is under way can still be settled."""

from __future__ import annotations

import os
from pathlib import Path
from time import monotonic
from typing import Final

from relay.spool.contract import SpoolError
from relay.spool.records import Space

_EVERY: Final = 1.0
_AGAIN: Final = 0.02
"""Seconds between two looks when all is well, and when there seems to be too little."""

_TIGHT: Final = 64 * 1024 * 1024
"""Octets above the reserve below which the write-ahead log is kept short."""

_COPIES: Final = 2
"""Mail lies in the write-ahead log first, and in the database too until the log begins anew."""


class Room:
    """Looks at the file system of a folder, and between two looks counts what has been taken since.

    `folder` None: somebody else's disk. `log` is the write-ahead log: as much as it holds the database may yet grow.
    """

    def __init__(self, folder: Path | None, reserve: int, log: Path | None = None) -> None:
        self._folder = folder
        self._reserve = reserve
        self._log = log
        self._looked = -_EVERY
        self._left = 0
        self._coming = 0
        self._refusal: SpoolError | None = None
        self.refused: SpoolError | None = None
        self.refused_at = float("-inf")
        self.gone: SpoolError | None = None
        self._opened: int | None = None

    def keep(self, reserve: int) -> None:
        """Keep so many octets in reserve from now on."""
        self._reserve = reserve
        self._looked = -_EVERY

    def refusal(self) -> SpoolError | None:
        """Return why there is too little room; None when there is enough."""
        if self._folder is None:
            return None
        if self.gone is not None:
            return self.gone
        now = monotonic()
        age = now - self._looked
        if age >= _EVERY or (age >= _AGAIN and (self._left < 0 or self._refusal is not None)):
            self._look(self._folder)
        elif self._left < 0 and self._refusal is None:
            self._refusal = self._too_little(self._folder, self._left + self._reserve)
        if self._refusal is not None:
            self.refused, self.refused_at = self._refusal, now
        return self._refusal

    def look_for_files(self) -> None:
        """Refuse mail while database or log are not where they were opened.

        What is written then goes into files without a name, and is gone with the process.
        """
        if self._log is None:
            return
        file = self._log.with_name(self._log.name.removesuffix("-wal"))
        try:
            inode = file.stat().st_ino
            self._opened = self._opened or inode
            gone = file if inode != self._opened else None if self._log.exists() else self._log
        except OSError:
            gone = file
        text = f"{gone} was taken away while relay runs; relay spool check says how nothing gets lost"
        self.gone = SpoolError(text) if gone is not None else None

    def space(self) -> Space | None:
        """Return what there is, looked at now; None where it is somebody else's disk, or can't be seen."""
        if self._folder is None:
            return None
        try:
            system = os.statvfs(self._folder)
        except OSError:
            return None
        return Space(system.f_bavail * system.f_frsize, self._reserve)

    @property
    def tight(self) -> bool:
        """True where the log must not grow as it likes: written back, it would take the reserve."""
        return self.refusal() is not None or (self._folder is not None and self._left < _TIGHT)

    def take(self, octets: int) -> None:
        """Count what is on its way to the disk."""
        self._coming += octets
        self._left -= _COPIES * octets

    def arrived(self, octets: int) -> None:
        """Count it no longer: it is on the disk, where the next look sees it, or nothing of it is kept."""
        self._coming -= octets

    def _look(self, folder: Path) -> None:
        self._looked = monotonic()
        try:
            system = os.statvfs(folder)
        except OSError as error:
            self._refusal = SpoolError(f"{folder}: {error.strerror}")
            return
        free = system.f_bavail * system.f_frsize - self._logged() - _COPIES * self._coming
        self._left = free - self._reserve
        self._refusal = None if self._left >= 0 else self._too_little(folder, free)

    def _logged(self) -> int:
        try:
            return self._log.stat().st_size if self._log is not None else 0
        except OSError:
            return 0

    def _too_little(self, folder: Path, free: int) -> SpoolError:
        text = (
            f"{folder}: {max(0, free)} octets are free, less what the log takes; {self._reserve} are kept in reserve; "
            "free some space: df -h shows how much there is"
        )
        return SpoolError(text, full=True)
