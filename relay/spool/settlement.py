"""Settling: the outcome of a claim, its trace, and the notices it causes, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import update

from relay.spool.arrivals import Parcel, put
from relay.spool.claims import end_leases, requeue
from relay.spool.contents import StoredContent
from relay.spool.endings import Ending, end_messages
from relay.spool.notation import reply_text
from relay.spool.pauses import Pauses
from relay.spool.records import Claim, HoldReason, RecipientState, Settlement, SpooledRecipient
from relay.spool.schema import recipients
from relay.spool.trace import REWRITTEN, event_row
from relay.spool.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Settling:
    """What one `settle` asks for."""

    claim: Claim
    settlements: Sequence[Settlement]
    notices: Sequence[Parcel]


def settle(transaction: Transaction, asked: Sequence[Settling]) -> list[bool]:
    """Settle the claims of one group whose leases are still there."""
    cursor, statements = transaction.cursor, transaction.statements
    results: list[bool] = []
    rows: list[tuple[Any, ...]] = []
    events: list[tuple[Any, ...]] = []
    notices: list[Parcel] = []
    endings: dict[str, Ending] = {}
    forgotten: list[Settling] = []
    ended = end_leases(transaction, [one.claim.lease.token for one in asked])
    for one in asked:
        token = one.claim.lease.token
        results.append(token in ended)
        if token not in ended:
            continue
        # Popped: the same claim may be settled twice in one group.
        changed = _rows(transaction, one, ended.pop(token))
        rows += changed
        events += _events(transaction, one, changed)
        notices += one.notices
        if len(changed) < len(one.claim.recipients):
            forgotten.append(one)
        final = sum(row[0] in _FINAL for row in changed)
        if final:
            certain = one.claim.whole and final == len(one.claim.recipients)
            endings[one.claim.message.id] = _ending(one.claim, certain=certain)
    cursor.update(statements.settle, rows)
    for one in forgotten:
        # A recipient that was forgotten is tried again rather than lost.
        requeue(transaction, one.claim.lease.token, one.claim.message.id, one.claim.upstream, None)
    end_messages(transaction, endings.values())
    # Behind what gives room back, for a disk that is full.
    cursor.insert(statements.put_event, events)
    if notices:
        put(transaction, notices)
    return results


def _ending(claim: Claim, *, certain: bool) -> Ending:
    message, content = claim.message, claim.content
    key = content.key if isinstance(content, StoredContent) else message.id
    return Ending(message.id, message.origin.client, key, message.size, certain)


_REPLY = 4
_IN_FLIGHT = RecipientState.IN_FLIGHT.value
_FINAL = {state.value for state in RecipientState if not state.waiting}


def _rows(transaction: Transaction, asked: Settling, wish: str | None) -> list[tuple[Any, ...]]:
    """Return the values of `Statements.settle`, and count the changes."""
    claim = asked.claim
    before = {row.position: row for row in claim.recipients}
    changed = []
    for settlement in asked.settlements:
        row = before.pop(settlement.position, None)
        if row is None:
            continue
        upstream = settlement.upstream or row.upstream
        if upstream != claim.upstream:
            _carry_over(transaction, claim, settlement.position, upstream)
        state, reason = settlement.state.value, settlement.hold_reason
        if wish is not None and settlement.state is RecipientState.QUEUED:
            state, reason = wish, HoldReason.OPERATOR if wish == RecipientState.HELD else None
        next_attempt_at = _next_attempt_at(transaction, row, settlement)
        transaction.count(claim.upstream, _IN_FLIGHT, -1)
        if state not in _FINAL:
            transaction.count(upstream, state, 1)
        if state == RecipientState.QUEUED:
            transaction.expect(upstream, next_attempt_at)
        changed.append(
            (
                state,
                upstream,
                row.uncertain + settlement.uncertain,
                next_attempt_at,
                reply_text(settlement.reply),
                reason.value if reason else None,
                transaction.now if state == RecipientState.HELD else None,
                row.delay_told or settlement.delay_told,
                claim.message.id,
                settlement.position,
            )
        )
    return changed


def _carry_over(transaction: Transaction, claim: Claim, position: int, target: str) -> None:
    """Keep the time to give up as it is for a recipient that goes to another upstream."""
    r = recipients.c
    held = Pauses(transaction.connection)
    carried = held.carried(claim.upstream, target, claim.message.accepted_at, transaction.now)
    changed = update(recipients).where(r.message == claim.message.id, r.position == position)
    transaction.execute(changed.values(give_up_at=r.give_up_at + carried))


def _next_attempt_at(transaction: Transaction, row: SpooledRecipient, settlement: Settlement) -> int:
    if settlement.next_attempt_at is not None:
        return settlement.next_attempt_at
    return transaction.now if settlement.state is RecipientState.QUEUED else row.next_attempt_at


def _events(transaction: Transaction, asked: Settling, changed: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return a row of `events` for recipients that met the same end, for what an operator wished, and for a move."""
    rows = {row[-1]: row for row in changed}
    message, upstream = asked.claim.message.id, asked.claim.upstream
    alike: dict[tuple[str, str, str | None], list[int]] = {}
    for settlement in asked.settlements:
        row = rows.get(settlement.position)
        if row is None:
            continue
        if settlement.note is not None:
            alike.setdefault((REWRITTEN, upstream, reply_text(settlement.note)), []).append(settlement.position)
        alike.setdefault((settlement.event, upstream, row[_REPLY]), []).append(settlement.position)
        if row[0] != settlement.state:
            alike.setdefault((row[0], upstream, None), []).append(settlement.position)
        if row[1] != upstream:
            alike.setdefault(("moved", row[1], row[_REPLY]), []).append(settlement.position)
    return [
        event_row(transaction, message, event, positions, at, reply) for (event, at, reply), positions in alike.items()
    ]
