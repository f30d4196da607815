"""What follows when nothing of a message waits any more: its content goes, its record stays for the trace."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from relay.spool.transaction import Transaction

AT_ONCE: Final = 1024 * 1024
"""Octets up to which content is removed in the transaction that ends it; larger content goes in steps behind it."""


def end_messages(transaction: Transaction, ids: Iterable[str]) -> None:
    """Remove the content of those messages given of which no recipient waits."""
    cursor, statements = transaction.cursor, transaction.statements
    small: list[tuple[str]] = []
    for id_ in ids:
        if cursor.rows(statements.waits, (id_,)):
            continue
        client, content, size = cursor.rows(statements.ended, (id_,))[0]
        transaction.count_message(client, -1)
        if size <= AT_ONCE:
            small.append((content,))
        else:
            cursor.run(statements.put_unnamed, (content, transaction.identifiers.node, transaction.now))
            transaction.loose.append(content)
    if small:
        cursor.many(statements.remove_chunks, small)
