"""The statements that run for every message, compiled once from the schema."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ARRAY,
    Column,
    ColumnElement,
    Table,
    Text,
    any_,
    bindparam,
    delete,
    insert,
    literal_column,
    select,
    update,
)

from relay.spool import schema
from relay.spool.database import KEYS, Database, Statement
from relay.spool.notation import MESSAGE_COLUMNS, RECIPIENT_COLUMNS
from relay.spool.records import Priority
from relay.spool.remedy import Caution
from relay.spool.schema import (
    QUEUED,
    WAITING,
    chunks,
    counts,
    events,
    leases,
    messages,
    pauses,
    recipients,
    unnamed,
    uses,
)


class Statements:
    """The compiled statements of one database. The values of each are listed where it is made."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.postgresql = not database.sqlite
        self.caution = Caution()
        self.put_message = self._insert(messages)
        self.put_recipient = self._insert(recipients)
        self.put_chunk = self._insert(chunks)
        self.put_unnamed = database.compile(self._upsert(unnamed).on_conflict_do_nothing())
        self.put_event = self._insert(events)
        self.put_lease = self._insert(leases)
        self._contents()
        self._claiming()
        self._settling()
        self._counting()

    def _among(self, column: Column[Any]) -> ColumnElement[bool]:
        """Return that a column has one of the keys that `Cursor.among` is given."""
        if self.postgresql:
            return column == any_(bindparam("keys", type_=ARRAY(Text)))
        return column.in_([literal_column(KEYS)])

    def _contents(self) -> None:
        compile_ = self._database.compile
        # content
        self.name_content = compile_(delete(unnamed).where(unnamed.c.content == bindparam("content")))
        # contents
        self.remove_chunks = compile_(delete(chunks).where(self._among(chunks.c.content)))
        # contents
        self.read_chunks = compile_(
            select(*chunks.columns).where(self._among(chunks.c.content)).order_by(chunks.c.content, chunks.c.number)
        )

    def _insert(self, table: Table) -> Statement:
        return self._database.compile(insert(table).values({c.name: bindparam(c.name) for c in table.columns}))

    def _claiming(self) -> None:
        compile_ = self._database.compile
        r = recipients.c
        claimed = select(*RECIPIENT_COLUMNS, *MESSAGE_COLUMNS).join(messages, messages.c.id == r.message)
        # upstream, priority, now, limit
        self.due = compile_(
            claimed.where(
                r.upstream == bindparam("upstream"),
                r.priority == bindparam("priority"),
                QUEUED,
                r.next_attempt_at <= bindparam("now"),
            )
            .order_by(r.next_attempt_at, r.message, r.position)
            .limit(bindparam("limit"))
            .with_for_update(skip_locked=True, of=recipients)
        )
        # messages, upstream, state, now; no index of an upstream: SQLite would go through all that waits there
        self.due_among = compile_(
            claimed.where(
                self._among(r.message),
                r.upstream.concat(literal_column("''")) == bindparam("upstream"),
                r.state == bindparam("queued"),
                r.next_attempt_at <= bindparam("now"),
            )
            .order_by(r.message, r.position)
            .with_for_update(skip_locked=True, of=recipients)
        )
        # upstream, upstream, upstream
        self.next_due = compile_(
            select(
                *(
                    select(r.next_attempt_at)
                    .where(
                        r.upstream == bindparam(f"upstream{priority}"),
                        r.priority == literal_column(str(priority.value)),
                        QUEUED,
                    )
                    .order_by(r.next_attempt_at)
                    .limit(literal_column("1"))
                    .scalar_subquery()
                    for priority in Priority
                )
            )
        )
        # upstream, oldest accepted_at
        self.pauses = compile_(
            select(pauses.c.since_at, pauses.c.until_at).where(
                pauses.c.upstream == bindparam("upstream"), pauses.c.until_at > bindparam("oldest")
            )
        )
        # lease, message, position
        self.take = compile_(
            update(recipients)
            .where(r.message == bindparam("the_message"), r.position == bindparam("the_position"))
            .values(
                state=literal_column("'in_flight'"), attempts=r.attempts + literal_column("1"), lease=bindparam("l")
            )
        )

    def _settling(self) -> None:
        compile_ = self._database.compile
        r = recipients.c
        # tokens
        self.end_leases = compile_(
            delete(leases).where(self._among(leases.c.token)).returning(leases.c.token, leases.c.wish)
        )
        # expires_at, token
        self.renew_lease = compile_(
            update(leases)
            .where(leases.c.token == bindparam("the_token"))
            .values(expires_at=bindparam("at"))
            .returning(leases.c.token)
        )
        # state, upstream, uncertain, next_attempt_at, reply, hold_reason, held_at, delay_told, message, position
        self.settle = compile_(
            update(recipients)
            .where(r.message == bindparam("the_message"), r.position == bindparam("the_position"))
            .values(
                state=bindparam("s"),
                upstream=bindparam("u"),
                uncertain=bindparam("un"),
                next_attempt_at=bindparam("n"),
                reply=bindparam("re"),
                hold_reason=bindparam("h"),
                held_at=bindparam("ha"),
                delay_told=bindparam("d"),
                lease=literal_column("NULL"),
            )
        )
        # messages
        self.lock_messages = compile_(
            select(messages.c.id).where(self._among(messages.c.id)).order_by(messages.c.id).with_for_update()
        )
        # messages
        self.waiting = compile_(select(r.message).distinct().where(self._among(r.message), WAITING))
        # messages
        self.endings = compile_(
            select(messages.c.id, messages.c.client, messages.c.content, messages.c.size).where(
                self._among(messages.c.id)
            )
        )

    def _counting(self) -> None:
        self.count = self._added(counts, counts.c.total)
        self.use = self._added(uses, uses.c.messages, uses.c.recipients)
        self.mark = self._replaced(schema.meta, schema.meta.c.value)

    def _upsert(self, table: Table) -> Any:
        # The other dialect is not loaded.
        if self.postgresql:
            from sqlalchemy.dialects.postgresql import insert as new
        else:
            from sqlalchemy.dialects.sqlite import insert as new  # type: ignore[assignment]
        return new(table).values({c.name: bindparam(c.name) for c in table.columns})

    def _added(self, table: Table, *sums: Column[Any]) -> Statement:
        statement = self._upsert(table)
        return self._database.compile(
            statement.on_conflict_do_update(
                index_elements=list(table.primary_key.columns),
                set_={column.name: column + statement.excluded[column.name] for column in sums},
            )
        )

    def _replaced(self, table: Table, column: Column[Any]) -> Statement:
        statement = self._upsert(table)
        return self._database.compile(
            statement.on_conflict_do_update(
                index_elements=list(table.primary_key.columns), set_={column.name: statement.excluded[column.name]}
            )
        )
