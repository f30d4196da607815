"""Reading what is left of a damaged SQLite file, message by message, around the pages that can't be read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from relay.spool.checksum import is_chunk

_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUV"
_NUMBERED: Final = 12
"""Letters of an ID that count; the rest is the node's."""

_NAMING: Final = (("messages", "id"), ("recipients", "message"), ("events", "message"))
_ENDED: Final = {"relayed", "failed", "removed"}

Row = dict[str, Any]


@dataclass(slots=True)
class Remains:
    """The rows of one message by table. `sendable` False: it may have waited, and can't be read whole."""

    rows: dict[str, list[Row]] = field(default_factory=dict)
    client: str | None = None
    waits: bool = True
    sendable: bool = False
    traceable: bool = False


def remains(connection: sqlite3.Connection, id_: str) -> Remains:
    """Return what can be read of a message."""
    left = Remains()
    try:
        message = _rows(connection, left, "messages", "id", id_)
        if message:
            left.client = message[0]["client"]
        states = {row["state"] for row in _rows(connection, left, "recipients", "message", id_)}
        # Where a state is none that exists, the message may wait too.
        left.waits = not states or not states <= _ENDED
        if not message or not states:
            return left
        if left.waits:
            content = _rows(connection, left, "chunks", "content", message[0]["content"])
            whole = sum(len(row["octets"]) for row in content) == message[0]["size"]
            if not whole or not all(_is_sound(row) for row in content):
                return left
        left.sendable = True
        _rows(connection, left, "events", "message", id_)
        left.traceable = True
    except sqlite3.DatabaseError:
        # What of an ended message can't be read is no loss of mail.
        left.sendable = left.sendable or not left.waits
    return left


def _is_sound(chunk: Row) -> bool:
    # A file of an older revision has no checksums.
    return is_chunk(chunk["content"], chunk["number"], chunk["octets"], chunk.get("checksum"))


def _rows(connection: sqlite3.Connection, left: Remains, table: str, column: str, key: str) -> list[Row]:
    cursor = connection.execute(f"SELECT * FROM {table} WHERE {column} = ?", (key,))
    names = [description[0] for description in cursor.description]
    left.rows[table] = [dict(zip(names, row, strict=True)) for row in cursor]
    return left.rows[table]


def known_ids(connection: sqlite3.Connection) -> list[str]:
    """Return the IDs of all messages that any table can still name, in order."""
    return sorted({id_ for table, column in _NAMING for id_ in _readable(connection, table, column)})


def _readable(connection: sqlite3.Connection, table: str, column: str) -> Iterator[str]:
    """Give the keys of a table in order, but for those that can't be read."""
    last = ""
    step = 1
    while True:
        try:
            for (key,) in connection.execute(
                f"SELECT {column} FROM {table} WHERE {column} > ? ORDER BY {column}", (last,)
            ):
                if str(key) <= last:
                    raise sqlite3.DatabaseError("a page out of order")
                last, step = str(key), 1
                yield last
        except sqlite3.DatabaseError:
            behind = _behind(last, step)
            if behind is None:
                return
            last, step = behind, step * 2
        else:
            return


def _behind(key: str, step: int) -> str | None:
    """Return an ID so many numbers behind `key`; None behind the last there can be."""
    number = 0
    for letter in key[:_NUMBERED].ljust(_NUMBERED, "0"):
        if letter not in _DIGITS:
            return None
        number = number * len(_DIGITS) + _DIGITS.index(letter)
    number += step
    letters = ""
    while number:
        number, digit = divmod(number, len(_DIGITS))
        letters = _DIGITS[digit] + letters
    return letters.rjust(_NUMBERED, "0") if len(letters) <= _NUMBERED else None
