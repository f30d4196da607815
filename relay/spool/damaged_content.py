"""Whether the content of what waits is still what was accepted, told by its checksums."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import Connection, select, tuple_

from relay.spool.checksum import is_chunk
from relay.spool.finding import EXAMPLES, Finding
from relay.spool.invariants import SEND_AGAIN, summed
from relay.spool.schema import WAITING, chunks, messages, recipients

_TOGETHER: Final = 32
"""Chunks read at once: 8 MiB at most."""


def damaged_contents(connection: Connection) -> Iterator[Finding]:
    """Give what is found; all content is read. Raises SQLAlchemyError."""
    damaged: dict[str, str] = {}
    for content in _damaged(connection):
        damaged |= _waiting_with(connection, content)
    if damaged:
        yield Finding(
            "content_damaged",
            True,
            "messages wait whose content is not what was accepted: the disk changed it",
            "they are not sent like that; each is tried until queue.give_up, and its sender told then",
            SEND_AGAIN,
            len(damaged),
            tuple(damaged)[:EXAMPLES],
            summed((client, 1) for client in damaged.values()),
        )


def _damaged(connection: Connection) -> Iterator[str]:
    """Give the name of each content of which a chunk is damaged."""
    query = select(*chunks.columns).order_by(chunks.c.content, chunks.c.number).limit(_TOGETHER)
    page = connection.execute(query).all()
    last = ""
    while page:
        for row in page:
            if row.content != last and not is_chunk(*row):
                last = row.content
                yield last
        behind = tuple_(chunks.c.content, chunks.c.number) > (page[-1].content, page[-1].number)
        page = connection.execute(query.where(behind)).all()


def _waiting_with(connection: Connection, content: str) -> dict[str, Any]:
    """Return the messages that wait with this content, each with its client."""
    waiting = select(recipients.c.message).where(WAITING, recipients.c.message == messages.c.id).exists()
    query = select(messages.c.id, messages.c.client).where(messages.c.content == content, waiting)
    return {row.id: row.client for row in connection.execute(query)}
