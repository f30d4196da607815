"""Instants: milliseconds since the epoch, UTC."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

Clock: TypeAlias = Callable[[], int]


def wall_clock() -> int:
    """Return the time of day."""
    return time.time_ns() // 1_000_000


def steady_clock() -> Clock:
    """Return a clock that starts at the time of day and never goes back, whatever is done to the system's clock."""
    offset = wall_clock() - time.monotonic_ns() // 1_000_000
    return lambda: offset + time.monotonic_ns() // 1_000_000
