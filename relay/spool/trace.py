"""The trace: a row for each thing that happens to a message after it was accepted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from relay.spool.transaction import Transaction

DIRECT: Final = "direct"
"""The first event of a message whose client waited for the upstream's answer; others were accepted."""

REWRITTEN: Final = "rewritten"
"""What was offered differs from what was accepted; stands before what came of it."""


def event_row(
    transaction: Transaction,
    message: str,
    event: str,
    positions: Iterable[int],
    upstream: str | None,
    reply: str | None,
) -> tuple[Any, ...]:
    """Return the row of `events` that says this about the recipients at `positions`; `reply` is in notation."""
    number = transaction.identifiers.number()
    at = " ".join(map(str, positions))
    return (message, number, transaction.now, event, at, upstream, reply)


def add_event(
    transaction: Transaction, message: str, event: str, positions: Iterable[int], upstream: str | None
) -> None:
    """Write one event that no reply caused."""
    row = event_row(transaction, message, event, positions, upstream, None)
    transaction.cursor.run(transaction.statements.put_event, row)
