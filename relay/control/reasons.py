"""Why an upstream, or a message, is where it is: the diagnoses that `relay status`, `trace` and `explain` show."""

from __future__ import annotations

from typing import Any

from relay.config.settings import Settings
from relay.config.upstream_settings import UpstreamSettings
from relay.diagnosis.diagnosis import Diagnosis
from relay.diagnosis.names import names_of
from relay.spool.records import HoldReason, RecipientState, TraceEntry, TraceEvent
from relay.transfer.explanation import explanation_of, given_up, left_to_application
from relay.transfer.standing import State
from relay.transfer.verdict import named_in

_TOLD = frozenset({"deferred", "failed", "held", "uncertain"})
_SETTLED = frozenset({RecipientState.RELAYED, RecipientState.REMOVED})


def upstream_reason(name: str, upstream: UpstreamSettings, state: State) -> dict[str, Any] | None:
    """Return why an upstream is not open; None where it is."""
    if state.state == "open":
        return None
    reason = HoldReason(state.reason) if state.state == "held" and state.reason else None
    names = names_of(name, upstream)
    return explanation_of(state.reply, upstream, names, reason=reason, deferred=reason is None).diagnosis.shape()


def message_reasons(entry: TraceEntry, settings: Settings) -> list[dict[str, Any]]:
    """Return why recipients of a message have not got it, each reason once, with the recipients that it concerns."""
    found: dict[Diagnosis, list[str]] = {}
    for at, row in enumerate(entry.recipients):
        path = str(row.recipient.forward_path)
        last = next((event for event in reversed(entry.events) if event.recipient == path), None)
        if row.state not in _SETTLED and last is not None and last.event in _TOLD:
            reason = row.hold_reason if row.state is RecipientState.HELD else None
            diagnosis = diagnosis_of_event(last, entry, at, settings, reason)
            if row.state is RecipientState.FAILED and last.event != "failed":
                # Its client waited for the answer, and heard this one.
                diagnosis = left_to_application(diagnosis)
            found.setdefault(diagnosis, []).append(path)
    return [diagnosis.shape() | {"recipients": recipients} for diagnosis, recipients in found.items()]


def diagnosis_of_event(
    event: TraceEvent, entry: TraceEntry, at: int, settings: Settings, reason: HoldReason | None = None
) -> Diagnosis:
    """Return why an attempt came to nothing for the recipient at place `at`, as far as its reply tells."""
    name = event.upstream or ""
    upstream = settings.upstream.get(name)
    said = event.reply
    names = names_of(name, upstream, entry.message.header_from, entry.message.id)
    found = explanation_of(
        said,
        upstream,
        names,
        reason=reason,
        failed=event.event == "failed",
        deferred=event.event == "deferred",
        named=named_in(said, at, entry.message, entry.recipients) if said is not None else "nobody",
    ).diagnosis
    return given_up(found) if event.event == "failed" else found
