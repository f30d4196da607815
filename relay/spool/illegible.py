"""Rows that can't be read as what they should be: octets changed on the disk, where SQLite sees no damage."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, update

from relay.logs import Log
from relay.reply import reply
from relay.spool.notation import MESSAGE_WIDTH, RECIPIENT_COLUMNS, is_addressed, message_of, recipient_of, reply_text
from relay.spool.records import HoldReason, RecipientState
from relay.spool.schema import recipients
from relay.spool.trace import event_row
from relay.spool.transaction import Transaction

ILLEGIBLE: Final = (ValueError, KeyError, TypeError, AttributeError)
"""What reading such a row raises."""

_NO_TEXT: Final = "Could not decode to UTF-8"
_SAID: Final = reply(451, "4.3.0", "The spool's record of it is damaged and cannot be read; relay spool check names it")
_QUEUED, _HELD = RecipientState.QUEUED.value, RecipientState.HELD.value
_WIDTH: Final = len(RECIPIENT_COLUMNS)

Row = Sequence[Any]
Read = TypeVar("Read")


class Garbled(str):
    """Text whose octets are not UTF-8, with marks in their place."""

    __slots__ = ()


def tolerate(connection: Connection) -> None:
    """Have text that isn't UTF-8 come as `Garbled`, instead of an error for the whole query."""
    driver = connection.connection.driver_connection
    if isinstance(driver, sqlite3.Connection):
        driver.text_factory = _text_of


@contextmanager
def tolerating(connection: Connection) -> Iterator[None]:
    """Do so for a while only: it takes time for every text that is read."""
    tolerate(connection)
    try:
        yield
    finally:
        driver: Any = connection.connection.driver_connection
        driver.text_factory = str


def _text_of(octets: bytes) -> str:
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return Garbled(octets.decode("utf-8", "replace"))


def not_text(error: sqlite3.Error) -> bool:
    """Return True where a query failed for text that isn't UTF-8."""
    return _NO_TEXT in str(error)


def fault_in(message: Row, recipient: Row) -> str | None:
    """Return why a message and one recipient of it can't be read; None where they can."""
    try:
        message_of(message)
        recipient_of(recipient)
    except ILLEGIBLE as error:
        return f"{type(error).__name__}: {error}"
    if not is_addressed(message, recipient):
        return "an address that is not what was written"
    return "text that is not UTF-8" if any(isinstance(value, Garbled) for value in (*message, *recipient)) else None


def legibly(read: Callable[[Any], Read], row: Any) -> Read | None:
    """Return what `read` makes of a row, None where it can't be read: one of them must not hide the others."""
    try:
        return read(row)
    except ILLEGIBLE:
        return None


def set_aside(transaction: Transaction, upstream: str, groups: Sequence[Sequence[Row]]) -> list[list[Row]]:
    """Hold those of the due rows that can't be read, lest they be in the way of all others; return the others.

    Each row is a recipient's with its message's behind it. Raises ValueError where not even its key can be read.
    """
    sound: list[list[Row]] = []
    for rows in groups:
        legible = []
        for row in rows:
            if fault_in(row[_WIDTH : _WIDTH + MESSAGE_WIDTH], row[:_WIDTH]) is None:
                legible.append(row)
            else:
                _hold(transaction, upstream, row[0], row[1])
        if legible:
            sound.append(legible)
    return sound


def _hold(transaction: Transaction, upstream: str, message: str, position: int) -> None:
    r, said = recipients.c, reply_text(_SAID)
    held = transaction.execute(
        update(recipients)
        .where(r.message == message, r.position == position, r.state == _QUEUED)
        .values(state=_HELD, hold_reason=HoldReason.OPERATOR.value, held_at=transaction.now, reply=said)
    )
    if held.rowcount != 1:
        raise ValueError("a row whose key cannot be read")
    transaction.count(upstream, _QUEUED, -1)
    transaction.count(upstream, _HELD, 1)
    event = event_row(transaction, message, "held", (position,), upstream, said)
    transaction.cursor.run(transaction.statements.put_event, event)
    tell = partial(Log("relay").write, logging.ERROR, "spool_damaged", {"id": message, "text": f"{_SAID}; it is held"})
    transaction.after.append(tell)
