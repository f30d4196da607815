"""Moving recipients from one upstream to another: failover in batches."""

from __future__ import annotations

import json

from sqlalchemy import select, update

from relay.spool.notation import candidates_of
from relay.spool.pauses import Pauses
from relay.spool.records import RecipientState
from relay.spool.schema import QUEUED, messages, recipients
from relay.spool.trace import add_event
from relay.spool.transaction import Transaction

_QUEUED = RecipientState.QUEUED.value


def move(transaction: Transaction, source: str, target: str, limit: int) -> int:
    """Move up to `limit` due rows that have `target` among their candidates and no uncertain attempt."""
    r = recipients.c
    due = transaction.execute(
        select(r.message, r.position, r.candidates, r.give_up_at, messages.c.accepted_at)
        .join(messages, messages.c.id == r.message)
        .where(
            r.upstream == source,
            r.priority.in_([0, 1, 2]),
            QUEUED,
            r.next_attempt_at <= transaction.now,
            r.uncertain == 0,
            r.candidates.contains(json.dumps(target, ensure_ascii=False), autoescape=True),
        )
        .order_by(r.priority, r.next_attempt_at)
        .limit(limit)
    ).all()
    moved: dict[str, list[int]] = {}
    held = Pauses(transaction.connection)
    for message, position, candidates, give_up_at, accepted_at in due:
        if target not in candidates_of(candidates):
            continue
        moved.setdefault(message, []).append(position)
        give_up_at += held.carried(source, target, accepted_at)
        transaction.execute(
            update(recipients)
            .where(r.message == message, r.position == position)
            .values(upstream=target, give_up_at=give_up_at)
        )
    for message, positions in moved.items():
        add_event(transaction, message, "moved", positions, target)
    total = sum(map(len, moved.values()))
    transaction.count(source, _QUEUED, -total)
    transaction.count(target, _QUEUED, total)
    if total:
        transaction.expect(target, transaction.now)
    return total
