"""Removing large content behind what made it superfluous, in steps that delay no other transaction."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import deque
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.exc import DBAPIError

from relay.logs import Log
from relay.spool.contract import SpoolError
from relay.spool.database import trouble
from relay.spool.jobs import write
from relay.spool.remedy import damaged
from relay.spool.schema import chunks, unnamed
from relay.spool.transaction import Transaction
from relay.spool.writer import Writer

_STEP: Final = 16
_PAUSE: Final = 1.0
_DAMAGE: Final = "malformed"


class Removal:
    """Removes unnamed content in a task, oldest request first; what a crash leaves is found at the next start."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._log = Log("relay")
        self._keys: deque[str] = deque()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def add(self, key: str) -> None:
        """Remove this content, unless a message names it by then."""
        self._keys.append(key)
        if self._task is None and not self._closed:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="spool-removal")

    async def aclose(self) -> None:
        """Stop; the rest is removed at the next start."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while self._keys:
            try:
                if await write(self._writer, lambda transaction: remove_step(transaction, self._keys[0])):
                    self._keys.popleft()
            except SpoolError as error:
                self._log.write(logging.WARNING, "content_not_removed", {"text": str(error)})
                if _DAMAGE in str(error):
                    # It stays unnamed, and is tried again at the next start.
                    self._keys.popleft()
                    continue
                await asyncio.sleep(_PAUSE)
        self._task = None


def remove_step(transaction: Transaction, key: str) -> bool:
    """Remove some chunks of unnamed content; return True when nothing is left to do. Raises SpoolError on damage."""
    try:
        return _removed(transaction, key)
    except DBAPIError as error:
        if not (isinstance(error.orig, sqlite3.Error) and damaged(error.orig)):
            raise
        # Told as its own fault: the database is well otherwise.
        raise trouble(error) from error


def _removed(transaction: Transaction, key: str) -> bool:
    c = chunks.c
    if transaction.execute(select(unnamed.c.node).where(unnamed.c.content == key)).first() is None:
        return True
    numbers = (
        transaction.execute(select(c.number).where(c.content == key).order_by(c.number).limit(_STEP)).scalars().all()
    )
    if numbers:
        transaction.execute(delete(chunks).where(c.content == key, c.number <= numbers[-1]))
    if len(numbers) == _STEP:
        return False
    transaction.execute(delete(unnamed).where(unnamed.c.content == key))
    return True
