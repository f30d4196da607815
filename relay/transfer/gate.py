"""When an upstream is held, and until when. Pure."""

from __future__ import annotations

from dataclasses import replace

from relay.config.operating_settings import QueueSettings
from relay.spool.records import Gate, HoldReason
from relay.transfer.outcome import Hold
from relay.transfer.schedule import next_probe


def gate_for(
    hold: Hold, upstream: str, standing: Gate | None, at: int, queue: QueueSettings, chance: float, *, probed: bool
) -> Gate | None:
    """Return the gate that a hold puts up; None where the one that stands already says it.

    `probed` tells that the hold came of a probe: then the pause grows. An operator's gate is never changed.
    """
    if standing is None:
        return Gate(upstream, hold.reason, at, hold.reply, next_probe(0, at, queue, chance))
    if standing.reason is HoldReason.OPERATOR or not (probed or standing.reason is not hold.reason):
        return None
    probes = standing.probes + 1 if probed else standing.probes
    return Gate(upstream, hold.reason, standing.since_at, hold.reply, next_probe(probes, at, queue, chance), probes)


def put_off(standing: Gate, at: int, queue: QueueSettings, chance: float) -> Gate:
    """Return the gate after a probe that found nothing out, because the upstream could not be reached."""
    probes = standing.probes + 1
    return replace(standing, next_probe_at=next_probe(probes, at, queue, chance), probes=probes)
