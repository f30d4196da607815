"""One listener: its sockets, its settings in force, and the connections that came in by it."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from dataclasses import dataclass
from typing import Final

from relay.config.listener_settings import ListenerSettings, Security
from relay.inbound import replies
from relay.inbound.clients import ip_address
from relay.inbound.door import Door
from relay.inbound.premises import Premises
from relay.inbound.protocol import Protocol
from relay.inbound.sockets import listening_sockets
from relay.inbound.tls import handshake_fault
from relay.logs import Log

_HANDSHAKE_TIMEOUT: Final = 30.0

_log = Log("relay.inbound")


@dataclass(frozen=True, slots=True)
class ListenerStatus:
    """What `relay status` shows of a listener; `address` with the port that was really bound."""

    name: str
    address: str
    security: Security
    connections: int


class Listener:
    """Open from `open` to `close`; connections outlive it."""

    def __init__(self, name: str, settings: ListenerSettings, premises: Premises) -> None:
        self.name = name
        self.settings = settings
        self.premises = premises
        self.handshake_timeout = _HANDSHAKE_TIMEOUT
        self.connections: set[Protocol] = set()
        self._sockets: list[socket.socket] = []
        self._servers: list[asyncio.Server] = []
        self._doors: list[Door] = []

    def bind(self) -> None:
        """Take the address. Raises InboundError."""
        self._sockets = listening_sockets(self.name, self.settings.address)

    async def open(self) -> None:
        """Serve on the address that was bound."""
        loop = asyncio.get_running_loop()
        for bound in self._sockets:
            if _needs_door(self.settings):
                self._doors.append(Door(self, bound, lambda peer: Protocol(self, peer)))
            else:
                server = await loop.create_server(lambda: Protocol(self, None), sock=bound, backlog=1024)
                self._servers.append(server)

    def serves(self, name: str, settings: ListenerSettings) -> bool:
        """Return whether other settings can go by the sockets that are open."""
        same = self.settings.address == settings.address and _needs_door(self.settings) == _needs_door(settings)
        return same and name == self.name

    def close(self) -> None:
        """Accept no more; connections go on."""
        for door in self._doors:
            door.close()
        for server in self._servers:
            server.close()
        for bound in self._sockets:
            bound.close()
        self._doors, self._servers, self._sockets = [], [], []

    def status(self) -> ListenerStatus:
        """Return what there is to see."""
        return ListenerStatus(self.name, self.address, self.settings.security, len(self.connections))

    @property
    def port(self) -> int:
        """The port bound, which matters where port 0 was asked for; 0 while closed."""
        return int(self._sockets[0].getsockname()[1]) if self._sockets else 0

    @property
    def address(self) -> str:
        """HOST:PORT as configured, with the port bound."""
        host = self.settings.address.host
        port = self.port or self.settings.address.port
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    # ---- what its connections ask and tell

    @property
    def context(self) -> ssl.SSLContext | None:
        """The TLS of the next handshake; None where there is none."""
        return self.premises.certificates.context(self.settings.minimum_tls) if self.settings.uses_tls else None

    @property
    def full(self) -> bool:
        """True when the newest connection is one too many."""
        return len(self.connections) > self.settings.max_connections

    def began(self, connection: Protocol) -> None:
        """Count a connection."""
        self.connections.add(connection)
        self.premises.journal.connection_opened(self.name)

    def ended(self, connection: Protocol, peer: str, reason: str) -> None:
        """Give its slot back."""
        if connection in self.connections:
            self.connections.discard(connection)
            self.premises.journal.connection_closed(self.name, peer, reason)

    def handshake_failed(self, peer: str, error: Exception) -> None:
        """Tell why a client could not agree on TLS with us, unless it only hung up."""
        # In it are frames of the event loop that hold the error and the connection: they would wait for a collection.
        error.__traceback__ = None
        if not isinstance(error, ssl.SSLError) or isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            _log.write(logging.DEBUG, "handshake", {"listener": self.name, "peer": peer, "error": type(error).__name__})
            return
        reason = error.reason or "UNKNOWN"
        reply = replies.tls_failed(handshake_fault(reason))
        self.premises.journal.refused(self.name, "tls", reply, peer=peer)
        until = self.settings.learn_until
        if until is not None and until.timestamp() * 1000 > self.premises.now():
            self.premises.devices.note(self.name, ip_address(peer), refused=str(reply))


def _needs_door(settings: ListenerSettings) -> bool:
    return settings.proxy_protocol or settings.security == "implicit"
