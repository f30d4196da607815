"""What became of messages: the trace as operators read it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import chain
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, exists, func, or_, select

from relay.spool.identifiers import first_id_at
from relay.spool.illegible import legibly
from relay.spool.listing import recipients_of, slices
from relay.spool.notation import MESSAGE_COLUMNS, message_of, reply_of
from relay.spool.pauses import Pauses
from relay.spool.records import Selection, SpooledRecipient, TraceEntry, TraceEvent
from relay.spool.schema import events, messages, recipients
from relay.spool.trace import DIRECT

_DAY: Final = 86_400_000


def trace(
    connection: Connection,
    selection: Selection,
    recipient: str | None,
    since_at: int | None,
    limit: int,
    before: str | None = None,
) -> list[TraceEntry]:
    """Return what became of the messages meant, newest first, those with an ID below `before`."""
    query = select(*MESSAGE_COLUMNS).where(*_conditions(selection, recipient, since_at))
    if before is not None:
        query = query.where(messages.c.id < before)
    rows = connection.execute(query.order_by(messages.c.id.desc()).limit(limit)).all()
    ids = [row.id for row in rows]
    people = recipients_of(connection, ids, waiting_only=False)
    happened, held = _events_of(connection, ids, people), Pauses(connection)
    return [
        TraceEntry(
            message,
            held.moved_on(people.get(message.id, ()), message.accepted_at),
            _events(message.accepted_at, happened.get(message.id, [])),
        )
        for row in rows
        if (message := legibly(message_of, row)) is not None
    ]


def _events(accepted_at: int, happened: list[TraceEvent]) -> tuple[TraceEvent, ...]:
    direct = bool(happened) and happened[0].event == DIRECT
    word = DIRECT if direct else "accepted"
    return (TraceEvent(accepted_at, word, None, None, None), *(happened[1:] if direct else happened))


def _conditions(selection: Selection, recipient: str | None, since_at: int | None) -> list[ColumnElement[bool]]:
    m, r = messages.c, recipients.c
    conditions: list[ColumnElement[bool]] = []
    if selection.id is not None:
        conditions.append(m.id == selection.id)
    if selection.client is not None:
        conditions.append(m.client == selection.client)
    if selection.upstream is not None:
        conditions.append(exists().where(r.message == m.id, r.upstream == selection.upstream))
    if recipient is not None:
        # SQLite folds the case of ASCII only.
        alike = or_(func.lower(r.forward_path) == recipient.lower(), r.forward_path == recipient)
        conditions.append(exists().where(r.message == m.id, alike))
    if since_at is not None:
        # IDs sort by time, but are given some time before the message is accepted.
        conditions += [m.id >= first_id_at(since_at - _DAY), m.accepted_at >= since_at]
    return conditions


def _events_of(
    connection: Connection, ids: Sequence[str], people: dict[str, tuple[SpooledRecipient, ...]]
) -> dict[str, list[TraceEvent]]:
    found: dict[str, list[TraceEvent]] = {}
    e = events.c
    queries = (select(events).where(e.message.in_(some)).order_by(e.message, e.number) for some in slices(ids))
    for row in chain.from_iterable(map(connection.execute, queries)):
        if row.event == DIRECT:
            found[row.message] = [TraceEvent(row.at, DIRECT, None, None, None)]
        happened = legibly(partial(_happened, people=people.get(row.message, ())), row)
        found.setdefault(row.message, []).extend(happened or ())
    return found


def _happened(row: Any, people: Sequence[SpooledRecipient]) -> list[TraceEvent]:
    """Read a row of `events`. Raises ValueError where it is damaged."""
    paths = {known.position: str(known.recipient.forward_path) for known in people}
    return [
        TraceEvent(int(row.at), row.event, paths.get(int(position)), row.upstream, legibly(reply_of, row.reply))
        for position in row.positions.split()
    ]
