"""Reading beside the writer: a thread and a connection for what must not delay a transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from relay.spool.contract import SpoolError
from relay.spool.database import Database, trouble
from relay.spool.illegible import tolerate

Result = TypeVar("Result")


class Reader:
    """Runs queries one after the other; the connection opens with the first, and anew after a failure."""

    def __init__(self, database: Database, name: str) -> None:
        self._database = database
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._connection: Connection | None = None
        self._closed = False

    async def read(self, query: Callable[[Connection], Result]) -> Result:
        """Return what the query returns. Raises SpoolError."""
        if self._closed:
            raise SpoolError("the spool is closed")
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._run, query)

    def _run(self, query: Callable[[Connection], Result]) -> Result:
        try:
            if self._connection is None:
                self._connection = self._database.connect(reading=True)
                tolerate(self._connection)
            return query(self._connection)
        except SQLAlchemyError as error:
            self._close()
            raise trouble(error) from error

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def aclose(self) -> None:
        """End the thread, after the query that runs."""
        if self._closed:
            return
        self._closed = True
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=True)
