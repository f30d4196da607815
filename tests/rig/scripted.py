"""An SMTP server that answers by script: the upstream that fails on demand, and the one that takes everything.

It runs in a thread of its own, so that blocking tests can use it as well as asynchronous ones.
"""

import asyncio
import ssl
import threading
from types import TracebackType
from typing import Self

from tests.rig.certificate import Leaf
from tests.rig.script import Script, Transaction
from tests.rig.scripted_session import Session
from tests.rig.waiting import wait_until

EXTENSIONS = ("PIPELINING", "SIZE 157286400", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "DSN")


class ScriptedServer:
    """Listens on 127.0.0.1. Without a script it accepts every message, and with `users` only after AUTH.

    security: "none" | "starttls" | "implicit"; both of the latter need a `leaf`. `users` maps names to passwords, or to
    bearer tokens for XOAUTH2. `keep_content=False` keeps size and digest only, for large messages.
    """

    def __init__(
        self,
        *,
        security: str = "none",
        leaf: Leaf | None = None,
        users: dict[str, str] | None = None,
        mechanisms: tuple[str, ...] = ("PLAIN", "LOGIN", "CRAM-MD5", "XOAUTH2"),
        extensions: tuple[str, ...] = EXTENSIONS,
        keep_content: bool = True,
    ) -> None:
        self.script = Script()
        self.security = security
        self.tls = leaf.server_context() if leaf else None
        self.users = users
        self.mechanisms = mechanisms
        self.extensions = extensions
        self.keep_content = keep_content
        self.transactions: list[Transaction] = []
        self.commands: list[str] = []
        self.connections = 0
        self.open_connections = 0
        self.most_connections = 0
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="scripted-smtp", daemon=True)
        self._server: asyncio.Server | None = None
        self._sessions: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def open(self) -> None:
        """Listens, on the port it had before if it had one: an upstream that comes back."""
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(10)

    def close(self) -> None:
        """Stops listening and cuts every connection: an upstream that is down."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)

    @property
    def accepted(self) -> list[Transaction]:
        """The messages that were taken over, in that order."""
        return [transaction for transaction in list(self.transactions) if transaction.accepted]

    def wait_for(self, count: int = 1, seconds: float = 30.0) -> list[Transaction]:
        """The accepted messages, once there are `count` of them."""
        wait_until(lambda: len(self.accepted) >= count, f"{count} messages at the scripted server", seconds)
        return self.accepted

    async def _open(self) -> None:
        context = self.tls if self.security == "implicit" else None
        self._server = await asyncio.start_server(
            self._connected, "127.0.0.1", self.port, ssl=context, limit=1 << 18, backlog=512
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        for session in list(self._sessions):
            session.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)

    async def _end(self) -> None:
        await self._close()
        # A connection that was accepted a moment ago has a session by now.
        await asyncio.sleep(0)
        await self._close()
        # asyncio leaves a task behind for each TLS handshake that its client broke off.
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await asyncio.sleep(0)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._sessions.add(task)
        self.connections += 1
        self.open_connections += 1
        self.most_connections = max(self.most_connections, self.open_connections)
        try:
            await Session(self, reader, writer).run()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError, ssl.SSLError):
            pass  # the client hung up, or the test cut the connection: both are part of a script
        finally:
            self.open_connections -= 1
            self._sessions.discard(task)
            writer.transport.abort()
