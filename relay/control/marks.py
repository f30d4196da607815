"""When people are told that something ends, or that a daily limit is nearly used up. Pure."""

from __future__ import annotations

DAY = 86_400.0

_LATER = (7 * DAY, DAY)
_NEARLY = 0.8
_DAY_MS = 86_400_000


def marks_of(warning: float) -> tuple[float, ...]:
    """Return how many seconds before its end something is told of, the earliest mark first; the last is the end."""
    return (*((warning,) if warning > 0 else ()), *(mark for mark in _LATER if mark < warning), 0.0)


def mark_due(left: float, warning: float, told: float | None) -> float | None:
    """Return the mark to tell of now, `left` seconds before the end; None where it is early, or told of already.

    `told` is the mark of the last time. Marks that passed while nobody looked are told of at once, as one.
    """
    reached = [mark for mark in marks_of(warning) if left <= mark]
    if not reached or (told is not None and told <= reached[-1]):
        return None
    return reached[-1]


def nearly_used(quota: str, used: int, limit: int) -> bool:
    """True where so much of a daily limit is used that people should know; the other limits are there to be used up."""
    return quota.endswith("_per_day") and used >= _NEARLY * limit


def quota_due(told_at: int | None, now: int) -> bool:
    """True where a limit that is nearly used up is told of: once in the 24 hours of its window."""
    return told_at is None or not 0 <= now - told_at < _DAY_MS
