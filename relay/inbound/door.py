"""Connections whose first octets are not SMTP's: a PROXY header on the bare socket, a TLS handshake, or both in turn.

The handshake begins before anything reads: uvloop hands a connection over reading, so that a ClientHello which comes
with it would be taken for SMTP.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from relay.inbound.clients import IPAddress, ip_address
from relay.inbound.proxy_header import proxy_header
from relay.logs import Log

if TYPE_CHECKING:
    from relay.inbound.listener import Listener

_HEADER_TIMEOUT: Final = 10.0
_PAUSE: Final = 1.0

_log = Log("relay.inbound")


class Door:
    """Accepts on one listening socket of `listener`. `made` makes the protocol of a client at a proxied address."""

    def __init__(
        self, listener: Listener, bound: socket.socket, made: Callable[[IPAddress | None], asyncio.BaseProtocol]
    ) -> None:
        self._listener = listener
        self._bound = bound
        self._made = made
        self._pending: set[asyncio.Task[None]] = set()
        # A task that is cancelled before its first step never hears of its socket.
        self._unmet: set[socket.socket] = set()
        self._pausing: asyncio.TimerHandle | None = None
        self._watch()

    def close(self) -> None:
        """Accept no more, and drop those that have not come in yet."""
        # asyncio would do so only after the socket is closed, and then to whatever has got its number.
        asyncio.get_running_loop().remove_reader(self._bound)
        if self._pausing:
            self._pausing.cancel()
        for task in self._pending:
            task.cancel()
        for accepted in self._unmet:
            accepted.close()
        self._unmet.clear()

    def _watch(self) -> None:
        asyncio.get_running_loop().add_reader(self._bound, self._accept)

    def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            accepted, place = self._bound.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):  # it was gone already
            return
        except OSError as error:  # out of descriptors
            text = f"{error.strerror}: clients wait; raise LimitNOFILE= of the service, or lower max_connections"
            _log.write(logging.WARNING, "accept", {"listener": self._listener.name, "text": text})
            loop.remove_reader(self._bound)
            self._pausing = loop.call_later(_PAUSE, self._watch)
            return
        if len(self._pending) >= self._listener.settings.max_connections:
            accepted.close()
            return
        accepted.setblocking(False)
        self._unmet.add(accepted)
        task = loop.create_task(self._admit(accepted, str(place[0])))
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    async def _admit(self, accepted: socket.socket, peer: str) -> None:
        self._unmet.discard(accepted)
        address: IPAddress | None = None
        if self._listener.settings.proxy_protocol:
            try:
                address = await asyncio.wait_for(self._address(accepted, ip_address(peer)), _HEADER_TIMEOUT)
            except (OSError, EOFError, TimeoutError) as error:
                accepted.close()
                self._tell(logging.DEBUG, peer, type(error).__name__)
                return
            except ValueError as error:
                accepted.close()
                self._tell(logging.WARNING, peer, str(error))
                return
            except BaseException:
                accepted.close()
                raise
        await self._hand_over(accepted, address, peer)

    async def _hand_over(self, accepted: socket.socket, address: IPAddress | None, peer: str) -> None:
        loop, listener = asyncio.get_running_loop(), self._listener
        implicit = listener.settings.security == "implicit"
        context = listener.context if implicit else None
        if implicit and context is None:
            accepted.close()
            return
        if context is None and (this := asyncio.current_task()):
            # Of one that is cancelled now, uvloop would close the socket and not tell the protocol.
            self._pending.discard(this)
        timeout = listener.handshake_timeout if context else None
        try:
            await loop.connect_accepted_socket(
                lambda: self._made(address), accepted, ssl=context, ssl_handshake_timeout=timeout
            )
        except (OSError, asyncio.IncompleteReadError) as error:
            listener.handshake_failed(str(address or peer), error)

    async def _address(self, accepted: socket.socket, peer: IPAddress) -> IPAddress:
        if not any(
            peer.version == network.version and peer in network for network in self._listener.settings.proxy_from
        ):
            raise ValueError("not one of proxy_from")
        loop = asyncio.get_running_loop()
        header = proxy_header()
        wanted = next(header)
        try:
            while True:
                octets = b""
                while len(octets) < wanted:
                    piece = await loop.sock_recv(accepted, wanted - len(octets))
                    if not piece:
                        raise EOFError
                    octets += piece
                wanted = header.send(octets)
        except StopIteration as end:
            return end.value if end.value is not None else peer

    def _tell(self, level: int, peer: str, reason: str) -> None:
        values = {"listener": self._listener.name, "peer": peer, "reason": reason}
        _log.write(level, "proxy_refused", values)
