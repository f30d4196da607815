"""Listening sockets, and a task for every connection from the moment it is accepted, its TLS handshake included.

The loops' own servers tell nobody of a connection whose handshake hangs or fails; here nothing outlives `close`.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable

from relay.simulator.connection import Connection

_HANDSHAKE = 30.0
_MOST = 1000
_OUT_OF_FILES = 0.1

Converse = Callable[[Connection], Awaitable[None]]


class Listener:
    """Runs `converse` for each connection; `too_many` is said to those above 1,000 at once."""

    def __init__(self, converse: Converse, too_many: bytes = b"") -> None:
        self._converse = converse
        self._too_many = too_many
        self._places: list[tuple[str, int, ssl.SSLContext | None]] = []
        self._listening: list[socket.socket] = []
        # A task that is cancelled before its first step never hears of its socket.
        self._unserved: set[socket.socket] = set()
        self._connections: dict[asyncio.Task[None], Connection] = {}

    @property
    def open_connections(self) -> int:
        """Connections that go on now."""
        return len(self._connections)

    def open(self, host: str, port: int, context: ssl.SSLContext | None = None) -> int:
        """Listen, in TLS from the first octet where there is a context; returns the port. Raises OSError."""
        port = self._listen(host, port, context)
        self._places.append((host, port, context))
        return port

    def reopen(self) -> None:
        """Listen again where `close` ended it; raises OSError where somebody else has the port by now."""
        if not self._listening:
            for place in self._places:
                self._listen(*place)

    def hang_up(self) -> int:
        """Cut off every connection, go on listening; returns how many there were."""
        for connection in self._connections.values():
            connection.abort()
        return len(self._connections)

    async def close(self) -> None:
        """Stop listening and cut every connection off; returns when nothing is left of them."""
        for listening in self._listening:
            asyncio.get_running_loop().remove_reader(listening)
            listening.close()
        self._listening.clear()
        self.hang_up()
        connections = tuple(self._connections.values())
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        for accepted in self._unserved:
            accepted.close()
        self._unserved.clear()
        await asyncio.gather(*(connection.closed.wait() for connection in connections if connection.opened))
        # A transport that was cut off in its handshake is closed in the loop's next rounds.
        for _ in range(3):
            await asyncio.sleep(0)

    def _listen(self, host: str, port: int, context: ssl.SSLContext | None) -> int:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family, backlog=512)
        listening.setblocking(False)
        self._listening.append(listening)
        self._watch(listening, context)
        return int(listening.getsockname()[1])

    def _watch(self, listening: socket.socket, context: ssl.SSLContext | None) -> None:
        if listening in self._listening:
            asyncio.get_running_loop().add_reader(listening, self._accept, listening, context)

    def _accept(self, listening: socket.socket, context: ssl.SSLContext | None) -> None:
        loop = asyncio.get_running_loop()
        try:
            accepted, _ = listening.accept()
        except BlockingIOError:
            return
        except OSError:
            loop.remove_reader(listening)
            loop.call_later(_OUT_OF_FILES, self._watch, listening, context)
            return
        accepted.setblocking(False)
        self._unserved.add(accepted)
        connection = Connection()
        task = loop.create_task(self._serve(connection, accepted, context))
        self._connections[task] = connection
        task.add_done_callback(self._over)

    async def _serve(self, connection: Connection, accepted: socket.socket, context: ssl.SSLContext | None) -> None:
        loop = asyncio.get_running_loop()
        self._unserved.discard(accepted)
        timeout = _HANDSHAKE if context is not None else None
        try:
            await loop.connect_accepted_socket(lambda: connection, accepted, ssl=context, ssl_handshake_timeout=timeout)
        except (OSError, TimeoutError):
            return
        except asyncio.CancelledError:
            connection.connection_lost(None)  # uvloop closes the socket and does not say so
            raise
        try:
            if len(self._connections) <= _MOST:
                await self._converse(connection)
            else:
                connection.write(self._too_many)
                connection.close()
            await connection.closed.wait()
        except BaseException:
            connection.abort()
            raise

    def _over(self, task: asyncio.Task[None]) -> None:
        del self._connections[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            said = {"message": "a simulated conversation failed", "exception": error, "task": task}
            task.get_loop().call_exception_handler(said)
