"""The door by which others see `inbound`: all listeners, opened, changed and drained together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from relay.config.settings import Settings
from relay.inbound.error import InboundError
from relay.inbound.listener import Listener, ListenerStatus
from relay.inbound.passwords import SecretSource
from relay.inbound.premises import Premises
from relay.inbound.protocol import Protocol
from relay.journal import Journal
from relay.spool.contract import Intake

__all__ = ["InboundError", "ListenerStatus", "Listeners"]


class Listeners:
    """Mail comes in while these are open. One event loop; nothing here blocks it."""

    def __init__(self, settings: Settings, secrets: SecretSource, intake: Intake, journal: Journal) -> None:
        self._premises = Premises(settings, secrets, intake, journal)
        self._listeners: dict[str, Listener] = {}

    async def start(self) -> None:
        """Open all. Raises InboundError, which names listener and address, and then none is open."""
        settings = self._premises.settings
        opened = [Listener(name, own, self._premises) for name, own in settings.listener.items()]
        try:
            for listener in opened:
                listener.bind()
        except InboundError:
            for listener in opened:
                listener.close()
            raise
        for listener in opened:
            await listener.open()
        self._listeners = {listener.name: listener for listener in opened}

    def status(self) -> Sequence[ListenerStatus]:
        """Return every listener as `relay status` shows it."""
        return [listener.status() for listener in self._listeners.values()]

    def stop_accepting(self) -> None:
        """Close the doors; those who are in may finish what they are sending, then hear 421 4.3.2."""
        self._premises.draining = True
        for listener in self._listeners.values():
            listener.close()
            for connection in list(listener.connections):
                connection.drain()

    async def drain(self, seconds: float) -> None:
        """Stop accepting, and return when all connections have ended, at the latest after `seconds`.

        What was being put into the spool is put in any case.
        """
        self.stop_accepting()
        conversations = [connection.conversation for connection in self._connections()]
        if conversations:
            await asyncio.wait(conversations, timeout=seconds)
        for connection in self._connections():
            connection.abort()
        await self._premises.acceptance.settled()

    def _connections(self) -> list[Protocol]:
        return [connection for listener in self._listeners.values() for connection in listener.connections]
