"""The connections of one upstream: at most so many at once, kept logged in between messages, none used too long."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Generic, Protocol, TypeVar

IDLE_LIMIT = 60.0
"""Seconds that a connection is kept without work. Exchange hangs up after minutes; a busy clinic's next message comes
sooner, and a quiet one's slot is free for other programs that use the mailbox."""

GRACE = 10.0
"""Seconds that closing waits for messages on their way: cut off behind its final dot, one may arrive twice."""


class Keepable(Protocol):
    """A connection as far as keeping it goes. `kept`: it had been idle before; times are the loop's."""

    kept: bool
    opened_at: float
    idle_since: float

    @property
    def usable(self) -> bool:
        """True while it can be used once more."""
        ...

    async def quit(self) -> None:
        """Close it politely. Never raises but for cancellation."""
        ...

    def abort(self) -> None:
        """Close it at once."""
        ...


Kept = TypeVar("Kept", bound=Keepable)


class Connections(Generic[Kept]):
    """Gives out connections one user at a time. The provider never sees more than `limit` of them open.

    `open_one` returns a connection that is logged in, or raises; `lost` of each is to be given to it as its callback.
    """

    def __init__(
        self, limit: int, session_limit: float, open_one: Callable[[], Awaitable[Kept]], idle: float = IDLE_LIMIT
    ) -> None:
        self._open_one = open_one
        self._session_limit = session_limit
        self._idle_limit = idle
        self._limit = limit
        # Whoever holds a slot has a connection, opens one, or closes one; an idle connection stands for a free slot.
        self._slots = asyncio.Semaphore(limit)
        self._idle: list[Kept] = []
        self._open: set[Kept] = set()
        self._timer: asyncio.TimerHandle | None = None
        # uvloop's handle of a call whose time has come already does not tell its time.
        self._timer_at = 0.0
        self._closer: asyncio.Task[None] | None = None
        self.retired = False
        """Nothing is kept any more."""

    def __repr__(self) -> str:
        return f"<Connections {len(self._open)} open, {len(self._idle)} idle{', retired' if self.retired else ''}>"

    @property
    def count(self) -> int:
        """Connections open now."""
        return len(self._open)

    async def acquire(self, *, fresh: bool = False) -> Kept:
        """Return a connection, the one used last where one is idle; `fresh`: a new one. Raises ConversationEnded."""
        await self._slots.acquire()
        try:
            while self._idle:
                connection = self._idle.pop()
                if not fresh and self._fit(connection):
                    connection.kept = True
                    return connection
                # Closed before the next is opened: the provider counts both until the first is gone.
                await self._quit(connection)
                if fresh:
                    break
            return await self._opened()
        except BaseException:
            self._slots.release()
            raise

    @contextlib.asynccontextmanager
    async def aside(self) -> AsyncIterator[None]:
        """Take the place of one connection, for one that somebody else opens and closes meanwhile."""
        async with self._slots:
            if self._idle:
                await self._quit(self._idle.pop())
            yield

    def release(self, connection: Kept) -> None:
        """Take a connection back, to be used again where it is usable."""
        if connection.usable and not self.retired:
            connection.idle_since = asyncio.get_running_loop().time()
            self._idle.append(connection)
            self._watch()
        else:
            connection.abort()
            self._open.discard(connection)
        self._slots.release()

    def lost(self, connection: Kept) -> None:
        """Forget a connection that the network closed."""
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    async def retire(self) -> None:
        """Say QUIT on idle connections, and keep none from here on."""
        self.retired = True
        if self._timer is not None:
            self._timer.cancel()
        if self._closer is not None:
            self._closer.cancel()
            await asyncio.gather(self._closer, return_exceptions=True)
        idle, self._idle = self._idle, []
        await asyncio.gather(*(self._quit(connection) for connection in idle))

    async def aclose(self) -> None:
        """Retire, give the connections in use a while to finish their message, close all."""
        await self.retire()
        await self._all_released()
        for connection in list(self._open):
            connection.abort()

    async def _all_released(self) -> None:
        taken = 0
        try:
            async with asyncio.timeout(GRACE):
                while taken < self._limit:
                    await self._slots.acquire()
                    taken += 1
        except TimeoutError:
            pass
        finally:
            for _ in range(taken):
                self._slots.release()

    async def _opened(self) -> Kept:
        connection = await self._open_one()
        self._open.add(connection)
        return connection

    async def _quit(self, connection: Kept) -> None:
        try:
            await connection.quit()
        finally:
            self._open.discard(connection)

    def _fit(self, connection: Kept) -> bool:
        return connection.usable and asyncio.get_running_loop().time() < self._ends_at(connection)

    def _ends_at(self, connection: Kept) -> float:
        return min(connection.opened_at + self._session_limit, connection.idle_since + self._idle_limit)

    def _watch(self) -> None:
        """Wake up when the first idle connection has to go."""
        if not self._idle or self._closer is not None:
            return
        if self._timer is not None and self._ends_at(self._idle[-1]) >= self._timer_at:
            # Those before it are watched for already.
            return
        at = min(self._ends_at(connection) for connection in self._idle)
        if self._timer is None or at < self._timer_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at = at
            self._timer = asyncio.get_running_loop().call_at(at, self._time_is_up)

    def _time_is_up(self) -> None:
        self._timer = None
        self._closer = asyncio.get_running_loop().create_task(self._close_unfit())
        self._closer.add_done_callback(self._closed_unfit)

    def _closed_unfit(self, task: asyncio.Task[None]) -> None:
        self._closer = None
        if not task.cancelled():
            task.exception()
            self._watch()

    async def _close_unfit(self) -> None:
        while True:
            async with self._slots:
                unfit = next((connection for connection in self._idle if not self._fit(connection)), None)
                if unfit is None:
                    return
                self._idle.remove(unfit)
                await self._quit(unfit)
