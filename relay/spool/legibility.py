"""Whether every row that waits can be read as a claim reads it, and goes somewhere that is configured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any, Final

from sqlalchemy import Connection, Integer, Table, select, tuple_

from relay.spool.claims import WISHES
from relay.spool.finding import EXAMPLES, Finding
from relay.spool.gates import gate_of
from relay.spool.identifiers import mark_name, mark_of
from relay.spool.illegible import Garbled, fault_in, legibly, tolerate
from relay.spool.notation import MESSAGE_COLUMNS, MESSAGE_WIDTH, RECIPIENT_COLUMNS
from relay.spool.schema import WAITING, gates, leases, messages, meta, pauses, recipients, uses

_CORRECTED: Final = ("systemctl stop relay     # then correct the row, or delete it", "systemctl start relay")
_REGISTERS: Final = {
    gates: "that upstream stays held until relay queue release or a new hold; other mail goes on",
    pauses: "mail of that upstream may be given up earlier, by the time for which it was held",
    uses: "the upstream's quotas count less than was used",
    leases: "what is in flight under it is queued or held only when its relay starts again",
    meta: "identifiers go by the clock alone",
}
"""The tables that a running relay reads beside the messages, and what is lost with a row."""

_PAGE: Final = 2000
_KEY: Final = 2
_UPSTREAM: Final = RECIPIENT_COLUMNS.index(recipients.c.upstream)


def misread(connection: Connection, upstreams: Collection[str]) -> Iterator[Finding]:
    """Give what is found in rows that wait. Raises SQLAlchemyError."""
    tolerate(connection)
    illegible: Counter[str] = Counter()
    examples: dict[str, str] = {}
    elsewhere: Counter[str] = Counter()
    clients: Counter[str] = Counter()
    for message, recipient in _waiting(connection):
        fault = fault_in(message, recipient)
        if fault is None:
            elsewhere[recipient[_UPSTREAM]] += 1
            continue
        if message[0] not in illegible:
            clients[str(message[3])] += 1
        illegible[message[0]] += 1
        if len(examples) < EXAMPLES:
            examples.setdefault(message[0], fault)
    if illegible:
        yield Finding(
            "illegible",
            True,
            f"messages wait that cannot be read ({next(iter(examples.values())):.100})",
            "they cannot be sent: each is held when its turn comes, and other mail goes on",
            ("relay queue remove ID     # for each, and have the application send it again",),
            len(illegible),
            tuple(examples),
            dict(clients),
        )
    yield from _registers(connection)
    for name in sorted(elsewhere.keys() - set(upstreams)):
        yield Finding(
            "upstream_unknown",
            False,
            f"{elsewhere[name]} recipients wait for {name}, which is not configured",
            "they wait until it is configured again, or they are given to another",
            (f"relay queue reroute --upstream {name} TO",),
        )


def _registers(connection: Connection) -> Iterator[Finding]:
    """Give the tables beside the messages in which a row can't be read, as a relay that runs reads it."""
    for table, meaning in _REGISTERS.items():
        spoilt = sum(_spoilt(table, row) for row in connection.execute(select(table)))
        if spoilt:
            text = f"{spoilt} rows of {table.name} cannot be read"
            yield Finding("register_illegible", True, text, meaning, _CORRECTED)


def _spoilt(table: Table, row: Any) -> bool:
    for column, value in zip(table.columns, row, strict=True):
        wanted = int if isinstance(column.type, Integer) else str
        if isinstance(value, Garbled) or not (isinstance(value, wanted) or (value is None and column.nullable)):
            return True
    if table is gates:
        return legibly(gate_of, row) is None
    if table is leases:
        return row.wish not in WISHES
    return table is meta and row.name.startswith(mark_name("")) and mark_of(row.value) is None


def _waiting(connection: Connection) -> Iterator[tuple[tuple[Any, ...], tuple[Any, ...]]]:
    """Give the columns of message and recipient, a page at a time."""
    r = recipients.c
    query = (
        select(*MESSAGE_COLUMNS, *RECIPIENT_COLUMNS)
        .join(messages, messages.c.id == r.message)
        .where(WAITING)
        .order_by(r.message, r.position)
        .limit(_PAGE)
    )
    page = connection.execute(query).all()
    while page:
        yield from ((tuple(row[:MESSAGE_WIDTH]), tuple(row[MESSAGE_WIDTH:])) for row in page)
        last = tuple(page[-1][MESSAGE_WIDTH : MESSAGE_WIDTH + _KEY])
        page = connection.execute(query.where(tuple_(r.message, r.position) > last)).all()
