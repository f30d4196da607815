"""Which messages wait: the queue as operators see and choose from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import islice
from typing import Final

from sqlalchemy import Connection, func, select

from relay.spool.illegible import legibly
from relay.spool.notation import MESSAGE_COLUMNS, RECIPIENT_COLUMNS, message_of, recipient_of
from relay.spool.pauses import Pauses
from relay.spool.records import HoldReason, QueueCounts, QueueEntry, RecipientState, Selection, SpooledRecipient
from relay.spool.schema import WAITING, counts, messages, recipients

_SLICE: Final = 1000


def waiting_ids(connection: Connection, selection: Selection, after: str | None, limit: int) -> list[str]:
    """Return the IDs of messages meant with something waiting, oldest first, those behind `after`."""
    r = recipients.c
    of_each = []
    for upstream in _upstreams(connection, selection):
        query = select(r.message).distinct().where(r.upstream == upstream, WAITING)
        if selection.id is not None:
            query = query.where(r.message == selection.id)
        if selection.client is not None or selection.refused_sender is not None:
            query = query.join(messages, messages.c.id == r.message)
        if selection.client is not None:
            query = query.where(messages.c.client == selection.client)
        if selection.refused_sender is not None:
            by = func.lower(messages.c.header_from) == selection.refused_sender.lower()
            query = query.where(r.hold_reason == HoldReason.SEND_AS.value, by)
        if after is not None:
            query = query.where(r.message > after)
        of_each.append(connection.execute(query.order_by(r.message).limit(limit)).scalars().all())
    return list(islice(dict.fromkeys(merge(*of_each)), limit))


def _upstreams(connection: Connection, selection: Selection) -> Sequence[str]:
    if selection.client is not None:
        waiting = select(counts.c.total).where(counts.c.kind == "client", counts.c.name == selection.client)
        if not connection.execute(waiting).scalar():
            return []
    if selection.upstream is not None:
        return [selection.upstream]
    names = select(counts.c.name).distinct().where(counts.c.kind == "upstream", counts.c.total > 0)
    return connection.execute(names).scalars().all()


def queue(connection: Connection, selection: Selection, after: str | None, limit: int) -> list[QueueEntry]:
    """Return the messages meant, each with all its waiting recipients."""
    ids = waiting_ids(connection, selection, after, limit)
    waiting = recipients_of(connection, ids, waiting_only=True)
    entries: list[QueueEntry] = []
    held = Pauses(connection)
    for some in slices(ids):
        query = select(*MESSAGE_COLUMNS).where(messages.c.id.in_(some)).order_by(messages.c.id)
        for row in connection.execute(query):
            message = legibly(message_of, row)
            if message is not None and row.id in waiting:
                entries.append(QueueEntry(message, held.moved_on(waiting[row.id], message.accepted_at)))
    return entries


def slices(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Give the IDs in parts that fit into one statement."""
    return (ids[at : at + _SLICE] for at in range(0, len(ids), _SLICE))


def recipients_of(
    connection: Connection, ids: Sequence[str], *, waiting_only: bool
) -> dict[str, tuple[SpooledRecipient, ...]]:
    """Return the recipients of messages, by message."""
    r = recipients.c
    found: dict[str, list[SpooledRecipient]] = {}
    for some in slices(ids):
        query = select(*RECIPIENT_COLUMNS).where(r.message.in_(some)).order_by(r.message, r.position)
        for row in connection.execute(query.where(WAITING) if waiting_only else query):
            recipient = legibly(recipient_of, row)
            if recipient is not None:
                found.setdefault(row.message, []).append(recipient)
    return {id_: tuple(rows) for id_, rows in found.items()}


def queue_counts(connection: Connection) -> QueueCounts:
    """Return what waits, and since when at each upstream."""
    c = counts.c
    waiting = {
        (row.name, RecipientState(row.state)): row.total
        for row in connection.execute(select(counts).where(c.kind == "upstream", c.total > 0))
    }
    oldest_at = {name: oldest_waiting_at(connection, name) for name in {name for name, _ in waiting}}
    return QueueCounts(waiting, {name: at for name, at in oldest_at.items() if at is not None})


def oldest_waiting_at(connection: Connection, upstream: str) -> int | None:
    """Return when the oldest of what waits for an upstream was accepted."""
    r = recipients.c
    oldest = (
        select(messages.c.accepted_at)
        .join(recipients, r.message == messages.c.id)
        .where(r.upstream == upstream, WAITING)
        .order_by(r.message)
        .limit(1)
    )
    return connection.execute(oldest).scalar()
