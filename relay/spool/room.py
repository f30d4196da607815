"""Free space: below the reserve no mail is accepted, so that what is under way can still be settled."""

from __future__ import annotations

import os
from pathlib import Path
from time import monotonic
from typing import Final

from relay.spool.contract import SpoolError

_EVERY: Final = 1.0


class Room:
    """Looks at the file system of a folder at most once a second; `folder` None: somebody else's disk."""

    def __init__(self, folder: Path | None, reserve: int) -> None:
        self._folder = folder
        self._reserve = reserve
        self._looked = -_EVERY
        self._refusal: SpoolError | None = None

    def refusal(self) -> SpoolError | None:
        """Return why there is too little room; None when there is enough."""
        now = monotonic()
        if self._folder is not None and now - self._looked >= _EVERY:
            self._looked = now
            self._refusal = self._look(self._folder)
        return self._refusal

    def _look(self, folder: Path) -> SpoolError | None:
        try:
            system = os.statvfs(folder)
        except OSError as error:
            return SpoolError(f"{folder}: {error.strerror}")
        free = system.f_bavail * system.f_frsize
        if free >= self._reserve:
            return None
        return SpoolError(f"{folder}: {free} octets are free, {self._reserve} are kept in reserve", full=True)
