"""Records of the spool as the JSON values that `--json` promises."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from relay.address import ReversePath
from relay.reply import Reply
from relay.spool.records import QueueEntry, RecipientState, SpooledMessage, SpooledRecipient, TraceEntry

Shape = dict[str, Any]

_LIVELIEST = (RecipientState.IN_FLIGHT, RecipientState.QUEUED, RecipientState.HELD)


def instant(at: int | None) -> str | None:
    """Write milliseconds since the epoch as RFC 3339 in UTC."""
    if at is None:
        return None
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def path_text(path: ReversePath) -> str:
    """Write a reverse-path; the null one is `<>`."""
    return str(path) if path else "<>"


def reply_text(said: Reply | None) -> str | None:
    """Write a reply as one line."""
    return str(said) if said else None


def queue_shape(entry: QueueEntry) -> Shape:
    """One message of `queue list`: of several recipients the liveliest state, the soonest attempt, the last reply."""
    rows = entry.recipients
    state = next((state for state in _LIVELIEST if any(row.state is state for row in rows)), RecipientState.QUEUED)
    foremost = next((row for row in rows if row.state is state), None)
    return {
        **_message_shape(entry.message),
        "upstream": foremost.upstream if foremost else None,
        "state": state.value,
        "recipients": [str(row.recipient.forward_path) for row in rows],
        "attempts": max((row.attempts for row in rows), default=0),
        "next_attempt": instant(min((row.next_attempt_at for row in rows if row.state is state), default=None)),
        "reply": reply_text(next((row.reply for row in rows if row.reply), None)),
    }


def queue_detail_shape(entry: QueueEntry) -> Shape:
    """One message of `queue show`: the same, with each recipient."""
    message = entry.message
    return {
        **queue_shape(entry),
        "message_id": message.message_id,
        "header_from": message.header_from,
        "listener": message.origin.listener,
        "peer": message.origin.peer,
        "priority": message.priority.name.lower(),
        "recipient_details": [_recipient_shape(row) for row in entry.recipients],
    }


def trace_shape(entry: TraceEntry) -> Shape:
    """One message of `trace`."""
    return {
        **_message_shape(entry.message),
        "message_id": entry.message.message_id,
        "recipients": [str(row.recipient.forward_path) for row in entry.recipients],
        "states": {str(row.recipient.forward_path): row.state.value for row in entry.recipients},
        "events": [
            {
                "time": instant(event.at),
                "event": event.event,
                "recipient": event.recipient,
                "upstream": event.upstream,
                "reply": reply_text(event.reply),
            }
            for event in entry.events
        ],
    }


def _message_shape(message: SpooledMessage) -> Shape:
    return {
        "id": message.id,
        "client": message.origin.client,
        "sender": path_text(message.reverse_path),
        "from": message.header_from,
        "size": message.size,
        "accepted": instant(message.accepted_at),
    }


def _recipient_shape(row: SpooledRecipient) -> Shape:
    return {
        "recipient": str(row.recipient.forward_path),
        "state": row.state.value,
        "upstream": row.upstream,
        "candidates": list(row.candidates),
        "attempts": row.attempts,
        "next_attempt": instant(row.next_attempt_at),
        "give_up": instant(row.give_up_at),
        "hold_reason": row.hold_reason.value if row.hold_reason else None,
        "reply": reply_text(row.reply),
    }
