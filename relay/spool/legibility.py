"""Whether every row that waits can be read as a claim reads it, and goes somewhere that is configured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any, Final

from sqlalchemy import Connection, select, tuple_

from relay.spool.finding import EXAMPLES, Finding
from relay.spool.illegible import fault_in, tolerate
from relay.spool.notation import MESSAGE_COLUMNS, MESSAGE_WIDTH, RECIPIENT_COLUMNS
from relay.spool.schema import WAITING, messages, recipients

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
    for name in sorted(elsewhere.keys() - set(upstreams)):
        yield Finding(
            "upstream_unknown",
            False,
            f"{elsewhere[name]} recipients wait for {name}, which is not configured",
            "they wait until it is configured again, or they are given to another",
            (f"relay queue reroute --upstream {name} TO",),
        )


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
