"""`--since`: so long ago."""

from __future__ import annotations

import re
import time

from relay.cli.output import CommandError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def moment_before(since: str | None) -> int | None:
    """Return the instant a duration ago, ms since the epoch; None for None. Raises CommandError."""
    if since is None:
        return None
    found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)([smhdw])", since)
    if found is None:
        raise CommandError(f"--since: {since:.40}: not a duration; write it like 90m, 2h or 7d", status=2)
    return int((time.time() - float(found[1]) * _UNITS[found[2]]) * 1000)
