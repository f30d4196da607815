"""Recording: a message of which it is known already what became of it, put and settled in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from relay.spool.arrivals import Handing, Parcel, parcel_of, put
from relay.spool.contents import ReadChunk, StoredContent
from relay.spool.contract import Arrival
from relay.spool.drafts import Chunk
from relay.spool.notation import (
    RECIPIENT_COLUMNS,
    message_row,
    recipient_rows,
    reply_text,
    spooled_message,
    spooled_recipients,
)
from relay.spool.records import Claim, Lease, Settlement
from relay.spool.settlement import Settling, settle
from relay.spool.trace import DIRECT, REWRITTEN, event_row
from relay.spool.transaction import Transaction


class _Nobody:
    """Who gets a message that is put with its outcomes: it has been sent."""

    def has_room(self, under_way: int, recipients: int) -> bool:
        return True

    def take(self, claims: Sequence[Claim]) -> None:
        pass


_NOBODY = _Nobody()
_NAMES: Final = [column.name for column in RECIPIENT_COLUMNS]
_STATE, _REPLY, _LEASE, _UPSTREAM = (_NAMES.index(name) for name in ("state", "reply", "lease", "upstream"))


@dataclass(frozen=True, slots=True)
class History:
    """What one `note` asks for: the rows of a message of which nothing waits, and what happened to it."""

    message: tuple[Any, ...]
    recipients: list[tuple[Any, ...]]
    settlements: Sequence[Settlement]


@dataclass(frozen=True, slots=True)
class Recording:
    """What one `record` asks for."""

    parcel: Parcel
    settling: Settling


@dataclass(frozen=True, slots=True)
class Label:
    """Under which token, at what time and with which reader a recording is made."""

    token: str
    node: str
    now: int
    read: ReadChunk


def recording_of(
    arrival: Arrival,
    content: str,
    chunks: list[Chunk],
    settlements: Sequence[Settlement],
    notices: Sequence[Parcel],
    label: Label,
) -> Recording:
    """Make the rows; `content` names what is kept of the message, `chunks` is what is still to be written of it."""
    stored = StoredContent(content, arrival.size, arrival.eight_bit, None, label.read)
    parcel = parcel_of(arrival, content, chunks, label.now, Handing(_NOBODY, label.token, stored))
    lease = Lease(label.node, label.token, label.now)
    rows = spooled_recipients(arrival, parcel.due_at)
    claim = Claim(spooled_message(arrival), arrival.candidates[0], rows, lease, stored)
    return Recording(parcel, Settling(claim, settlements, notices))


def history_of(arrival: Arrival, settlements: Sequence[Settlement]) -> History:
    """Make the rows of a message of which nothing waits any more, and nothing is kept."""
    rows = recipient_rows(arrival, arrival.id, arrival.accepted_at, "")
    ended = {settlement.position: settlement for settlement in settlements}
    final = []
    for position, row in enumerate(rows):
        settlement, values = ended[position], list(row)
        values[_STATE], values[_REPLY], values[_LEASE] = settlement.state.value, reply_text(settlement.reply), None
        final.append(tuple(values))
    return History(message_row(arrival, arrival.id), final, settlements)


def note(transaction: Transaction, asked: Sequence[History]) -> list[None]:
    """Write histories: what `record` would leave of such messages, in fewer steps."""
    cursor, statements = transaction.cursor, transaction.statements
    cursor.insert(statements.put_message, [one.message for one in asked])
    cursor.insert(statements.put_recipient, [row for one in asked for row in one.recipients])
    happened: list[tuple[Any, ...]] = []
    for one in asked:
        message, upstream = one.message[0], one.recipients[0][_UPSTREAM]
        happened.append(event_row(transaction, message, DIRECT, (), None, None))
        happened += _events(transaction, message, upstream, one.settlements)
    cursor.insert(statements.put_event, happened)
    return [None] * len(asked)


def record(transaction: Transaction, asked: Sequence[Recording]) -> list[None]:
    """Write messages and what became of them: wholly, or not at all."""
    put(transaction, [one.parcel for one in asked])
    made = [event_row(transaction, one.parcel.arrival.id, DIRECT, (), None, None) for one in asked]
    transaction.cursor.insert(transaction.statements.put_event, made)
    settle(transaction, [one.settling for one in asked])
    return [None] * len(asked)


def amend(
    transaction: Transaction,
    message: str,
    upstream: str,
    settlements: Sequence[Settlement],
    notices: Sequence[Parcel],
) -> None:
    """Replace outcomes that were final by others that are, add them to the trace, and put the notices of them."""
    cursor, statements = transaction.cursor, transaction.statements
    cursor.many(
        statements.settle,
        [
            (
                one.state.value,
                upstream,
                0,
                transaction.now,
                reply_text(one.reply),
                None,
                None,
                False,
                message,
                one.position,
            )
            for one in settlements
        ],
    )
    cursor.insert(statements.put_event, _events(transaction, message, upstream, settlements))
    put(transaction, notices)


def _events(
    transaction: Transaction, message: str, upstream: str, settlements: Sequence[Settlement]
) -> list[tuple[Any, ...]]:
    alike: dict[tuple[str, str | None], list[int]] = {}
    for one in settlements:
        if one.note is not None:
            alike.setdefault((REWRITTEN, reply_text(one.note)), []).append(one.position)
        alike.setdefault((one.event, reply_text(one.reply)), []).append(one.position)
    return [
        event_row(transaction, message, event, positions, upstream, reply)
        for (event, reply), positions in alike.items()
    ]
