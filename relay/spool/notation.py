"""How records stand in rows: the texts, and the orders of columns that the statements use."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

from relay.address import Mailbox, ReversePath
from relay.envelope import Body, DsnReturn, Notify, Origin, Recipient
from relay.reply import EnhancedStatus, Reply
from relay.spool.checksum import checksum_of_recipient
from relay.spool.contract import Arrival
from relay.spool.records import HoldReason, Priority, RecipientState, SpooledMessage, SpooledRecipient
from relay.spool.schema import messages, recipients

MESSAGE_COLUMNS: Final = tuple(messages.columns)
RECIPIENT_COLUMNS: Final = tuple(recipients.columns)
MESSAGE_WIDTH: Final = len(MESSAGE_COLUMNS)

_REVERSE_PATH: Final = MESSAGE_COLUMNS.index(messages.c.reverse_path)
_UNSTORABLE: Final = {0: "?"} | dict.fromkeys(range(0xD800, 0xE000), "?")
_PRIORITIES: Final = {priority.value: priority for priority in Priority}
_STATES: Final = {state.value: state for state in RecipientState}
_BODIES: Final = {body.value: body for body in Body}


def storable(text: str) -> str:
    """Return `text` without what PostgreSQL (NUL) and UTF-8 (lone surrogates) cannot keep."""
    if text.isascii() and "\0" not in text:
        return text
    return text.translate(_UNSTORABLE)


def _storable(text: str | None) -> str | None:
    return None if text is None else storable(text)


@lru_cache(maxsize=1024)
def candidates_text(candidates: tuple[str, ...]) -> str:
    """Write the upstreams in the order to try as JSON."""
    return json.dumps(candidates, ensure_ascii=False)


@lru_cache(maxsize=1024)
def candidates_of(text: str) -> tuple[str, ...]:
    """Read what `candidates_text` wrote."""
    return tuple(json.loads(text))


def reply_text(reply: Reply | None) -> str | None:
    """Write a reply: code, enhanced status or `-`, who said it, and the text."""
    if reply is None:
        return None
    said_by = "_".join(reply.said_by.split()) or "-"
    return storable(f"{reply.code} {reply.status or '-'} {said_by} {reply.text}")


@lru_cache(maxsize=256)
def reply_of(text: str | None) -> Reply | None:
    """Read what `reply_text` wrote."""
    if text is None:
        return None
    code, status, said_by, words = text.split(" ", 3)
    return Reply(int(code), EnhancedStatus.at_start_of(status), words, said_by)


def mailbox_of(text: str) -> Mailbox:
    """Read a stored path back as it was; a domain holds no `@`."""
    local_part, at, domain = text.rpartition("@")
    return Mailbox(local_part, domain) if at else Mailbox(text, "")


def _path_text(reverse_path: ReversePath) -> str | None:
    return str(reverse_path) if reverse_path else None


def message_row(arrival: Arrival, content: str) -> tuple[Any, ...]:
    """Return the row of `messages`, in the order of its columns."""
    origin, envelope = arrival.origin, arrival.envelope
    return (
        arrival.id,
        content,
        origin.listener,
        origin.client,
        origin.peer,
        storable(origin.helo),
        origin.tls,
        origin.mechanism,
        _path_text(envelope.reverse_path),
        envelope.body.value,
        envelope.smtputf8,
        _storable(envelope.envelope_id),
        envelope.dsn_return.value if envelope.dsn_return else None,
        storable(arrival.header_from),
        storable(arrival.message_id),
        arrival.size,
        arrival.eight_bit,
        arrival.priority.value,
        arrival.accepted_at,
        arrival.notice,
    )


def recipient_rows(arrival: Arrival, content: str, due_at: int, lease: str | None = None) -> list[tuple[Any, ...]]:
    """Return the rows of `recipients`, in the order of its columns; with a lease they are claimed already."""
    state, attempts = ("queued", 0) if lease is None else ("in_flight", 1)
    upstream, candidates = arrival.candidates[0], candidates_text(arrival.candidates)
    message, priority, give_up_at = arrival.id, arrival.priority.value, arrival.give_up_at
    sender = _path_text(arrival.envelope.reverse_path)
    return [
        (
            message,
            position,
            path := str(recipient.forward_path),
            None if recipient.notify is None else recipient.notify.value,
            _storable(recipient.original),
            state,
            upstream,
            candidates,
            priority,
            attempts,
            0,
            due_at,
            give_up_at,
            None,
            None,
            None,
            False,
            lease,
            checksum_of_recipient(message, position, path, sender, content),
        )
        for position, recipient in enumerate(arrival.envelope.recipients)
    ]


def spooled_message(arrival: Arrival) -> SpooledMessage:
    """Return what `message_of` would read in the row of an arrival."""
    origin, envelope = arrival.origin, arrival.envelope
    if not origin.helo.isascii() or "\0" in origin.helo:
        origin = replace(origin, helo=storable(origin.helo))
    return SpooledMessage(
        arrival.id,
        origin,
        envelope.reverse_path,
        envelope.body,
        envelope.smtputf8,
        _storable(envelope.envelope_id),
        envelope.dsn_return,
        storable(arrival.header_from),
        storable(arrival.message_id),
        arrival.size,
        arrival.eight_bit,
        arrival.priority,
        arrival.accepted_at,
        arrival.notice,
    )


def spooled_recipients(arrival: Arrival, due_at: int) -> tuple[SpooledRecipient, ...]:
    """Return what `recipient_of` would read in the rows of an arrival that is claimed as it is put."""
    upstream, candidates, give_up_at = arrival.candidates[0], arrival.candidates, arrival.give_up_at
    return tuple(
        SpooledRecipient(
            position,
            recipient if recipient.original is None else replace(recipient, original=storable(recipient.original)),
            RecipientState.IN_FLIGHT,
            upstream,
            candidates,
            1,
            0,
            due_at,
            give_up_at,
        )
        for position, recipient in enumerate(arrival.envelope.recipients)
    )


def is_addressed(message: Sequence[Any], recipient: Sequence[Any]) -> bool:
    """Return whether to whom a message goes, and who hears of it, is as it was written."""
    *_, checksum = recipient
    if checksum is None:
        return True
    id_, position, forward_path, *_ = recipient
    return bool(checksum == checksum_of_recipient(id_, position, forward_path, message[_REVERSE_PATH], message[1]))


def message_of(row: Sequence[Any]) -> SpooledMessage:
    """Read a row of `messages`."""
    (
        id_,
        _content,
        listener,
        client,
        peer,
        helo,
        tls,
        mechanism,
        reverse_path,
        body,
        smtputf8,
        envelope_id,
        dsn_return,
        header_from,
        message_id,
        size,
        eight_bit,
        priority,
        accepted_at,
        notice,
    ) = row
    if not type(size) is type(accepted_at) is int:
        raise ValueError("text where a number should be")
    return SpooledMessage(
        id_,
        Origin(listener, client, peer, helo, tls, mechanism),
        None if reverse_path is None else mailbox_of(reverse_path),
        _BODIES[body],
        bool(smtputf8),
        envelope_id,
        None if dsn_return is None else DsnReturn(dsn_return),
        header_from,
        message_id,
        size,
        bool(eight_bit),
        _PRIORITIES[priority],
        accepted_at,
        bool(notice),
    )


def recipient_of(
    row: Sequence[Any], state: RecipientState | None = None, *, attempts_more: int = 0
) -> SpooledRecipient:
    """Read a row of `recipients`; a claim reads it as it is going to be."""
    (
        _message,
        position,
        forward_path,
        notify,
        original,
        kept_state,
        upstream,
        candidates,
        _priority,
        attempts,
        uncertain,
        next_attempt_at,
        give_up_at,
        reply,
        hold_reason,
        _held_at,
        delay_told,
        _lease,
        _checksum,
    ) = row
    if not type(uncertain) is type(next_attempt_at) is type(give_up_at) is int:
        raise ValueError("text where a number should be")
    return SpooledRecipient(
        position,
        Recipient(mailbox_of(forward_path), None if notify is None else Notify(notify), original),
        state or _STATES[kept_state],
        upstream,
        candidates_of(candidates),
        attempts + attempts_more,
        uncertain,
        next_attempt_at,
        give_up_at,
        reply_of(reply),
        None if hold_reason is None else HoldReason(hold_reason),
        bool(delay_told),
    )
