"""Moving recipients from one upstream to another: what is queued there, a page at a time, and the move of some."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import ColumnElement, Connection, bindparam, literal_column, select, tuple_, update

from relay.reply import Reply
from relay.spool.illegible import legibly
from relay.spool.notation import candidates_of, mailbox_of, reply_text
from relay.spool.pauses import Pauses
from relay.spool.records import Place, Priority, QueuedRecipient, RecipientState
from relay.spool.schema import QUEUED, messages, recipients
from relay.spool.trace import event_row
from relay.spool.transaction import Transaction

_QUEUED: Final = RecipientState.QUEUED.value


def queued(
    connection: Connection, upstream: str, priority: Priority, behind: Place | None, due_at: int | None, limit: int
) -> list[QueuedRecipient]:
    """Return what is queued for an upstream, in the order of its claims, behind a place in it."""
    r, m = recipients.c, messages.c
    order = (r.next_attempt_at, r.message, r.position)
    meant: list[ColumnElement[bool]] = [
        r.upstream == upstream,
        r.priority == literal_column(str(priority.value)),
        QUEUED,
    ]
    if due_at is not None:
        meant.append(r.next_attempt_at <= due_at)
    if behind is not None:
        meant.append(tuple_(*order) > tuple_(behind.next_attempt_at, behind.message, behind.position))
    found = connection.execute(
        select(*order, r.candidates, r.uncertain, m.client, m.reverse_path, m.header_from, m.notice)
        .join(messages, m.id == r.message)
        .where(*meant)
        .order_by(*order)
        .limit(limit)
    )
    return [
        QueuedRecipient(
            Place(row.next_attempt_at, row.message, row.position),
            row.client,
            None if row.reverse_path is None else mailbox_of(row.reverse_path),
            row.header_from,
            bool(row.notice),
            legibly(candidates_of, row.candidates) or (),
            row.uncertain,
        )
        for row in found
    ]


def move(
    transaction: Transaction, source: str, target: str, rows: Sequence[tuple[str, int]], why: Reply
) -> list[tuple[str, list[int]]]:
    """Move those of the recipients that may still be moved; return their positions by message."""
    r, wanted, now = recipients.c, set(rows), transaction.now
    found = transaction.execute(
        select(r.message, r.position, r.next_attempt_at, messages.c.accepted_at)
        .join(messages, messages.c.id == r.message)
        .where(
            r.message.in_(sorted({message for message, _ in wanted})),
            # No bare columns: SQLite would take an index of the upstream, and go through all that waits there.
            r.upstream.concat("") == source,
            r.state == _QUEUED,
            r.uncertain == 0,
        )
        .order_by(r.message, r.position)
        .with_for_update(skip_locked=True, of=recipients)
    ).all()
    held = Pauses(transaction.connection)
    moved: dict[str, list[int]] = {}
    changes = []
    for row in found:
        if (row.message, row.position) in wanted:
            moved.setdefault(row.message, []).append(row.position)
            carried = held.carried(source, target, row.accepted_at, now)
            due_at = max(row.next_attempt_at, now)
            changes.append({"m": row.message, "p": row.position, "due_at": due_at, "carried": carried})
    if changes:
        transaction.execute(
            update(recipients)
            .where(r.message == bindparam("m"), r.position == bindparam("p"))
            .values(
                upstream=target,
                next_attempt_at=bindparam("due_at"),
                give_up_at=r.give_up_at + bindparam("carried"),
            ),
            changes,
        )
        said = reply_text(why)
        events = [event_row(transaction, message, "moved", at, target, said) for message, at in moved.items()]
        transaction.cursor.insert(transaction.statements.put_event, events)
        transaction.count(source, _QUEUED, -len(changes))
        transaction.count(target, _QUEUED, len(changes))
        transaction.expect(target, min(change["due_at"] for change in changes))
    return list(moved.items())
