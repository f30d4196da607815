"""When an upstream is held, and until when. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from relay.config.operating_settings import QueueSettings
from relay.spool.records import Gate, HoldReason
from relay.transfer.outcome import Hold
from relay.transfer.schedule import next_probe


@dataclass(frozen=True, slots=True)
class Opened:
    """A gate that a probe opened: `reason` and `probes` were its own, `at` the instant."""

    reason: HoldReason
    probes: int
    at: int


def gate_for(
    hold: Hold,
    upstream: str,
    standing: Gate | None,
    at: int,
    queue: QueueSettings,
    chance: float,
    *,
    probed: bool,
    opened: Opened | None = None,
) -> Gate | None:
    """Return the gate that a hold puts up; None where the one that stands already says it.

    `probed` tells that the hold came of a probe: then the pause grows, and also where it was `opened` not long ago for
    the same reason: a day's quota admits one more message now and then. An operator's gate is never changed.
    """
    if standing is None:
        again = opened is not None and opened.reason is hold.reason and at - opened.at <= 1000 * queue.retry_most
        probes = opened.probes + 1 if opened is not None and again else 0
        return Gate(upstream, hold.reason, at, hold.reply, next_probe(probes, at, queue, chance), probes)
    if standing.reason is HoldReason.OPERATOR or not (probed or standing.reason is not hold.reason):
        return None
    probes = standing.probes + 1 if probed else standing.probes
    return Gate(upstream, hold.reason, standing.since_at, hold.reply, next_probe(probes, at, queue, chance), probes)


def put_off(standing: Gate, at: int, queue: QueueSettings, chance: float) -> Gate:
    """Return the gate after a probe that found nothing out, because the upstream could not be reached."""
    probes = standing.probes + 1
    return replace(standing, next_probe_at=next_probe(probes, at, queue, chance), probes=probes)
