"""What follows when nothing of a message waits any more: its content goes, its record stays for the trace."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from relay.spool.remedy import damaged
from relay.spool.transaction import Transaction

AT_ONCE: Final = 1024 * 1024
"""Octets up to which content is removed in the transaction that ends it; larger content goes in steps behind it."""


@dataclass(frozen=True, slots=True)
class Ending:
    """A message that may be over; `certain` where nothing of it can wait any more."""

    message: str
    client: str
    content: str
    size: int
    certain: bool = False


def endings_of(transaction: Transaction, ids: Sequence[str]) -> list[Ending]:
    """Look up what `end_messages` has to know."""
    rows = transaction.cursor.among(transaction.statements.endings, ids)
    return [Ending(*row) for row in rows]


def end_messages(transaction: Transaction, endings: Iterable[Ending]) -> None:
    """Remove the content of those messages given, each once, of which no recipient waits."""
    cursor, statements = transaction.cursor, transaction.statements
    asked = list(endings)
    if not asked:
        return
    unsure = [ending.message for ending in asked if not ending.certain]
    waiting = _waiting(transaction, unsure) if unsure else ()
    small: list[str] = []
    careful = statements.caution.holds(transaction.now)
    for ending in asked:
        if ending.message in waiting:
            continue
        transaction.count_message(ending.client, -1)
        if ending.size <= AT_ONCE and not careful:
            small.append(ending.content)
        else:
            cursor.run(statements.put_unnamed, (ending.content, transaction.identifiers.node, transaction.now))
            transaction.loose.append(ending.content)
    if small:
        try:
            cursor.among(statements.remove_chunks, small)
        except sqlite3.DatabaseError as error:
            if damaged(error):
                # The next try leaves them to steps of their own: outcomes have to be recorded.
                statements.caution.begin(transaction.now)
            raise


def _waiting(transaction: Transaction, messages: Sequence[str]) -> set[str]:
    """Return those of which a recipient waits."""
    cursor, statements = transaction.cursor, transaction.statements
    if transaction.postgresql:
        # Another node may be settling the rest of the same message: each would see the other's part wait still.
        cursor.among(statements.lock_messages, messages)
    return {row[0] for row in cursor.among(statements.waiting, messages)}
