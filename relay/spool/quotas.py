"""Uses of the upstreams' quotas, which outlive a restart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, delete, func, select

from relay.spool.records import Use
from relay.spool.schema import uses
from relay.spool.transaction import Transaction

_MINUTE: Final = 60_000
_FINE: Final = 60 * _MINUTE
_KEPT: Final = 25 * 60 * _MINUTE


def record(transaction: Transaction, used: Sequence[tuple[str, Use]]) -> list[None]:
    """Add the uses of one group."""
    rows = [(upstream, use.at, use.messages, use.recipients) for upstream, use in used]
    transaction.cursor.many(transaction.statements.use, rows)
    return [None] * len(used)


def read(connection: Connection, upstream: str, since_at: int) -> list[Use]:
    """Return the uses since then, oldest first."""
    query = select(uses).where(uses.c.upstream == upstream, uses.c.at >= since_at).order_by(uses.c.at)
    rows = connection.execute(query)
    # A row with a text in it, which damage on the disk leaves, counts for nothing.
    return [Use(at, total, people) for _, at, total, people in rows if type(at) is type(total) is type(people) is int]


def sum_up(transaction: Transaction) -> None:
    """Make sums of the minutes older than an hour, each at its last use, and forget what no quota counts."""
    u = uses.c
    transaction.execute(delete(uses).where(u.at < transaction.now - _KEPT))
    sums = transaction.execute(
        select(u.upstream, func.min(u.at), func.max(u.at), func.sum(u.messages), func.sum(u.recipients))
        .where(u.at < (transaction.now - _FINE) // _MINUTE * _MINUTE)
        .group_by(u.upstream, u.at // _MINUTE)
        .having(func.count() > 1)
    ).all()
    for upstream, first, last, _, _ in sums:
        transaction.execute(delete(uses).where(u.upstream == upstream, u.at.between(first, last)))
    rows = [(upstream, last, int(total), int(people)) for upstream, _, last, total, people in sums]
    if rows:
        transaction.cursor.many(transaction.statements.use, rows)
