"""`relay status`: upstreams, queue, listeners and what expires, at a glance."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Protocol

from relay.config.settings import Settings
from relay.config.upstream_settings import UpstreamSettings
from relay.control.expiry import Expiry
from relay.control.reasons import upstream_reason
from relay.control.shapes import instant, reply_text, trace_shape
from relay.inbound.listeners import ListenerStatus
from relay.spool.contract import Inspection, Outgoing
from relay.spool.records import Gate, QueueCounts, RecipientState, Selection, TraceEntry
from relay.transfer.detour import Detour
from relay.transfer.dispatcher import UpstreamState
from relay.transfer.standing import State
from relay.version import VERSION

_MINUTE = 60_000
_HOUR = 60 * _MINUTE
_DAY = 86_400_000
_RECENT = 5
_STATES = (RecipientState.QUEUED, RecipientState.IN_FLIGHT, RecipientState.HELD)


class Life(Protocol):
    """What only the running relay knows."""

    @property
    def uptime(self) -> int:
        """Whole seconds since the start."""
        ...

    def unready(self) -> str | None:
        """Why it is not ready; None when it is."""
        ...

    def listeners(self) -> Sequence[ListenerStatus]:
        """Return the listeners that are open."""
        ...

    def upstream(self, name: str) -> UpstreamState | None:
        """Return how an upstream stands."""
        ...

    def detours(self) -> Sequence[tuple[Detour, int]]:
        """Return the clients whose mail goes another way just now, and since when."""
        ...

    async def expiring(self) -> Sequence[Expiry]:
        """Return what expires, the soonest first; some of it on a day that nobody knows."""
        ...


async def status_of(
    settings: Settings, inspection: Inspection, outgoing: Outgoing, life: Life | None
) -> dict[str, Any]:
    """Return `relay status --json`; without a running relay its parts are empty and `ready` false."""
    now = int(time.time() * 1000)
    counts = await inspection.counts()
    gates = inspection.gates()
    unready = life.unready() if life else "not running"
    upstreams = [
        {
            "name": name,
            "type": upstream.type,
            **await _standing(name, upstream, gates.get(name), outgoing, life, now),
            "waiting": {state.value: counts.recipients.get((name, state), 0) for state in _STATES},
        }
        for name, upstream in settings.upstream.items()
    ]
    return {
        "version": VERSION,
        "ready": unready is None,
        "reason": unready,
        "uptime_seconds": life.uptime if life else 0,
        "listeners": [_listener_shape(listener) for listener in life.listeners()] if life else [],
        "upstreams": upstreams,
        "detours": [_detour_shape(detour, since_at) for detour, since_at in life.detours()] if life else [],
        "queue": _queue(counts, now),
        "orphaned": sorted({name for name, _ in counts.recipients} - set(settings.upstream)),
        "expiring": [_expiry_shape(expiry, now) for expiry in await life.expiring()] if life else [],
        "recent": [_recent(entry) for entry in await inspection.trace(Selection(), None, None, _RECENT)],
    }


def _recent(entry: TraceEntry) -> dict[str, Any]:
    shape = trace_shape(entry)
    last = shape["events"][-1] if shape["events"] else {"event": None, "upstream": None, "reply": None}
    kept = {name: shape[name] for name in ("id", "client", "recipients", "accepted")}
    return kept | {name: last[name] for name in ("event", "upstream", "reply")}


def _detour_shape(detour: Detour, since_at: int) -> dict[str, Any]:
    return {"client": detour.client, "upstream": detour.upstream, "by": detour.by, "since": instant(since_at)}


def _listener_shape(listener: ListenerStatus) -> dict[str, Any]:
    return {
        "name": listener.name,
        "address": listener.address,
        "security": listener.security,
        "connections": listener.connections,
    }


async def _standing(
    name: str, upstream: UpstreamSettings, gate: Gate | None, outgoing: Outgoing, life: Life | None, now: int
) -> dict[str, Any]:
    found = life.upstream(name) if life else None
    if found is None:
        shown = State("held", gate.reason, gate.since_at, gate.next_probe_at, gate.reply) if gate else State("open")
        quotas = await _quotas(name, upstream, outgoing, now)
        return _state_shape(name, upstream, shown) | {"connections": 0, "direct": 0, "quotas": quotas}
    used = {what: {"used": quota.used, "limit": quota.limit} for what, quota in found.quotas.items()}
    shape = _state_shape(name, upstream, found.state)
    return shape | {"connections": found.connections, "direct": found.direct, "quotas": used}


def _state_shape(name: str, upstream: UpstreamSettings, state: State) -> dict[str, Any]:
    return {
        "state": state.state,
        "reason": str(state.reason) if state.reason else None,
        "since": instant(state.since_at),
        "next_probe": instant(state.next_probe_at),
        "reply": reply_text(state.reply),
        "diagnosis": upstream_reason(name, upstream, state),
    }


async def _quotas(name: str, upstream: UpstreamSettings, outgoing: Outgoing, now: int) -> dict[str, Any]:
    if not (upstream.messages_per_minute or upstream.messages_per_hour or upstream.recipients_per_day):
        return {}
    uses = await outgoing.uses(name, now - _DAY)
    quotas: dict[str, Any] = {}
    for quota, span in (("messages_per_minute", _MINUTE), ("messages_per_hour", _HOUR)):
        limit = getattr(upstream, quota)
        if limit:
            used = sum(use.messages for use in uses if use.at > now - span)
            quotas[quota] = {"used": used, "limit": limit}
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
        "days": (expiry.expires_at - now) // _DAY if expiry.expires_at is not None else None,
        "upstream": expiry.upstream,
        "set": instant(expiry.set_at),
        "set_days_ago": (now - expiry.set_at) // _DAY if expiry.set_at is not None else None,
    }
