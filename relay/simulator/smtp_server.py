"""The strict SMTP server of one provider."""

from __future__ import annotations

from relay.simulator.connection import Connection
from relay.simulator.conversation import Conversation
from relay.simulator.listener import Listener
from relay.simulator.premises import Premises
from relay.simulator.provider import Provider, Rules, wire


class SmtpServer:
    """`port` speaks STARTTLS, `implicit_port` (0: none) TLS from the first octet; both free ones where 0 was asked."""

    def __init__(self, provider: Provider, rules: Rules, premises: Premises) -> None:
        self.provider = provider
        self.rules = rules
        self.port = 0
        self.implicit_port = 0
        self._premises = premises
        self._listener = Listener(self._converse, wire(provider.texts["too_many_connections"], {"id": ""}))

    @property
    def open_connections(self) -> int:
        """Connections that go on now."""
        return self._listener.open_connections

    def open(self, port: int, implicit_port: int | None = None) -> None:
        """Listen; raises OSError where a port is taken."""
        host = self._premises.options.host
        self.port = self._listener.open(host, port)
        if implicit_port is not None:
            self.implicit_port = self._listener.open(host, implicit_port, self._premises.tls)

    def hang_up(self) -> int:
        """Cut off every connection, go on listening; returns how many there were."""
        return self._listener.hang_up()

    async def close(self) -> None:
        """Stop listening and cut every connection off: connecting is refused from now on."""
        await self._listener.close()

    def reopen(self) -> None:
        """Listen on the same ports again; raises OSError where one is taken."""
        self._listener.reopen()

    async def _converse(self, connection: Connection) -> None:
        self._premises.connections[self.provider.name] += 1
        try:
            await Conversation(connection, self.provider, self.rules, self._premises).run()
        except Exception as error:
            self._premises.violate(self.provider.name, f"the simulator failed: {type(error).__name__}: {error}")
            raise
