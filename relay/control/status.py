"""`relay status`: upstreams, queue, listeners and what expires, at a glance."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from relay.config.settings import Settings
from relay.config.upstream_settings import UpstreamSettings
from relay.control.shapes import instant, reply_text
from relay.spool.contract import Inspection, Outgoing
from relay.spool.records import Gate, QueueCounts, RecipientState
from relay.version import VERSION

_MINUTE = 60_000
_DAY = 86_400_000
_STATES = (RecipientState.QUEUED, RecipientState.IN_FLIGHT, RecipientState.HELD)


@dataclass(frozen=True, slots=True)
class ListenerLife:
    """An open listener; `address` as bound."""

    name: str
    address: str
    security: str
    connections: int


@dataclass(frozen=True, slots=True)
class UpstreamLife:
    """`up` is None until the first conversation; `since_at` when that changed last."""

    up: bool | None
    since_at: int | None
    connections: int


@dataclass(frozen=True, slots=True)
class Expiry:
    """Something that stops working at `expires_at`; `kind` is certificate, secret or token."""

    what: str
    kind: str
    expires_at: int


class Life(Protocol):
    """What only the running relay knows."""

    @property
    def started_at(self) -> int:
        """When it started."""
        ...

    def unready(self) -> str | None:
        """Why it is not ready; None when it is."""
        ...

    def listeners(self) -> Sequence[ListenerLife]:
        """Return the listeners that are open."""
        ...

    def upstreams(self) -> Mapping[str, UpstreamLife]:
        """Return what is known of each upstream."""
        ...

    def expiring(self) -> Sequence[Expiry]:
        """Return what has a date on which it expires."""
        ...


async def status_of(
    settings: Settings, inspection: Inspection, outgoing: Outgoing, life: Life | None
) -> dict[str, Any]:
    """Return `relay status --json`; without a running relay its parts are empty and `ready` false."""
    now = int(time.time() * 1000)
    counts = await inspection.counts()
    gates = inspection.gates()
    lives = life.upstreams() if life else {}
    unready = life.unready() if life else "not running"
    upstreams = [
        {
            "name": name,
            "type": upstream.type,
            **_state(gates.get(name), lives.get(name)),
            "connections": lives[name].connections if name in lives else 0,
            "quotas": await _quotas(name, upstream, outgoing, now),
            "waiting": {state.value: counts.recipients.get((name, state), 0) for state in _STATES},
        }
        for name, upstream in settings.upstream.items()
    ]
    return {
        "version": VERSION,
        "ready": unready is None,
        "reason": unready,
        "uptime_seconds": (now - life.started_at) // 1000 if life else 0,
        "listeners": [_listener_shape(listener) for listener in life.listeners()] if life else [],
        "upstreams": upstreams,
        "queue": _queue(counts, now),
        "orphaned": sorted({name for name, _ in counts.recipients} - set(settings.upstream)),
        "expiring": [_expiry_shape(expiry, now) for expiry in life.expiring()] if life else [],
    }


def _listener_shape(listener: ListenerLife) -> dict[str, Any]:
    return {
        "name": listener.name,
        "address": listener.address,
        "security": listener.security,
        "connections": listener.connections,
    }


def _state(gate: Gate | None, life: UpstreamLife | None) -> dict[str, Any]:
    if gate is not None:
        return {
            "state": "held",
            "reason": gate.reason.value,
            "since": instant(gate.since_at),
            "next_probe": instant(gate.next_probe_at),
            "reply": reply_text(gate.reply),
        }
    unreachable = life is not None and life.up is False
    return {
        "state": "unreachable" if unreachable else "open",
        "reason": None,
        "since": instant(life.since_at) if life else None,
        "next_probe": None,
        "reply": None,
    }


async def _quotas(name: str, upstream: UpstreamSettings, outgoing: Outgoing, now: int) -> dict[str, Any]:
    if not (upstream.messages_per_minute or upstream.recipients_per_day):
        return {}
    uses = await outgoing.uses(name, now - _DAY)
    quotas: dict[str, Any] = {}
    if upstream.messages_per_minute:
        used = sum(use.messages for use in uses if use.at > now - _MINUTE)
        quotas["messages_per_minute"] = {"used": used, "limit": upstream.messages_per_minute}
    if upstream.recipients_per_day:
        used = sum(use.recipients for use in uses)
        quotas["recipients_per_day"] = {"used": used, "limit": upstream.recipients_per_day}
    return quotas


def _queue(counts: QueueCounts, now: int) -> dict[str, Any]:
    oldest = min(counts.oldest_at.values(), default=None)
    return {
        "recipients": {state.value: counts.total(state) for state in _STATES},
        "oldest_seconds": max(0, (now - oldest) // 1000) if oldest is not None else None,
    }


def _expiry_shape(expiry: Expiry, now: int) -> dict[str, Any]:
    return {
        "what": expiry.what,
        "kind": expiry.kind,
        "expires": instant(expiry.expires_at),
        "days": (expiry.expires_at - now) // _DAY,
    }
