"""When something is tried again. Pure: `chance` is a random number from 0 to 1 that the caller brings."""

from __future__ import annotations

from relay.config.operating_settings import QueueSettings

_DOUBLINGS = 40
"""More would only make the number longer: 2 ** 40 seconds is above any `retry_most`."""


def pause(count: int, queue: QueueSettings, chance: float) -> float:
    """Return the seconds to wait after `count` earlier pauses: doubling from `retry_first` up to `retry_most`."""
    base = min(queue.retry_most, queue.retry_first * 2.0 ** min(count, _DOUBLINGS))
    return min(queue.retry_most, base * (1 + queue.jitter * (2 * chance - 1)))


def next_attempt(attempts: int, at: int, give_up_at: int, queue: QueueSettings, chance: float) -> int | None:
    """Return when to try again after `attempts` that failed; None when it is time to give up.

    The last attempt comes at `give_up_at` itself, so that no message waits beyond it without being tried.
    """
    if at >= give_up_at:
        return None
    return min(at + round(1000 * pause(max(0, attempts - 1), queue, chance)), give_up_at)


def next_probe(probes: int, at: int, queue: QueueSettings, chance: float) -> int:
    """Return when a held or unreachable upstream is tried again, after `probes` that failed."""
    return at + round(1000 * pause(probes, queue, chance))


def after_uncertain(uncertain: int, at: int, queue: QueueSettings) -> int | None:
    """Return when to try again after an end without an answer; None when a person has to decide.

    `uncertain` counts the earlier ends of this kind. Jitter has no place here: the pause gives the provider time to
    finish what it may have begun.
    """
    if uncertain >= queue.ambiguous_attempts:
        return None
    return at + round(1000 * queue.retry_ambiguous)
