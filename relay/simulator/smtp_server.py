"""The strict SMTP server of one provider: its listening sockets and the conversations on them."""

from __future__ import annotations

import asyncio

from relay.simulator.connection import Connection
from relay.simulator.conversation import Conversation
from relay.simulator.premises import Premises
from relay.simulator.provider import Provider, Rules, wire

_MOST_CONNECTIONS = 1000


class SmtpServer:
    """`port` speaks STARTTLS, `implicit_port` (0: none) TLS from the first octet; both free ones where 0 was asked."""

    def __init__(self, provider: Provider, rules: Rules, premises: Premises) -> None:
        self.provider = provider
        self.rules = rules
        self.port = 0
        self.implicit_port = 0
        self._premises = premises
        self._servers: list[asyncio.Server] = []
        self._conversations: dict[asyncio.Task[None], Connection] = {}

    @property
    def host(self) -> str:
        """The address listened on."""
        return self._premises.options.host

    @property
    def open_connections(self) -> int:
        """Conversations that go on now."""
        return len(self._conversations)

    async def open(self, port: int, implicit_port: int | None = None) -> None:
        """Listen; raises OSError where a port is taken."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Connection(self._opened), self.host, port)
        self._servers.append(server)
        self.port = server.sockets[0].getsockname()[1]
        if implicit_port is not None:
            # The loop's own TLS would hide connections from us until their handshake is done.
            server = await loop.create_server(
                lambda: Connection(self._opened, expects_tls=True), self.host, implicit_port
            )
            self._servers.append(server)
            self.implicit_port = server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and cut every conversation off."""
        for server in self._servers:
            server.close()
        self.hang_up()
        while self._conversations:
            tasks = dict(self._conversations)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(*(connection.closed.wait() for connection in tasks.values()))
        for server in self._servers:
            await server.wait_closed()
        self._servers.clear()

    def hang_up(self) -> int:
        """Cut off every conversation, go on listening; returns how many there were."""
        for connection in self._conversations.values():
            connection.abort()
        return len(self._conversations)

    def _opened(self, connection: Connection) -> None:
        premises = self._premises
        premises.connections[self.provider.name] += 1
        if len(self._conversations) >= _MOST_CONNECTIONS:
            connection.write(wire(self.provider.texts["too_many_connections"], {"id": ""}))
            connection.close()
            return
        conversation = Conversation(connection, self.provider, self.rules, premises)
        task = asyncio.get_running_loop().create_task(conversation.run())
        self._conversations[task] = connection
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        connection = self._conversations.pop(task)
        if task.cancelled() or task.exception() is not None:
            connection.abort()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._premises.violate(self.provider.name, f"the simulator failed: {type(error).__name__}: {error}")
            said = {"message": "a simulated conversation failed", "exception": error, "task": task}
            task.get_loop().call_exception_handler(said)
