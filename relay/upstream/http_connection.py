"""One HTTPS connection: opened like one for SMTP, then a request at a time, of which is known how far it was sent."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import h11

from relay.reply import reply
from relay.upstream.connection import Route
from relay.upstream.contract import Cause, Phase
from relay.upstream.dialling import dialled
from relay.upstream.failures import ConversationEnded, ended_by, reply_for
from relay.upstream.http_protocol import HttpAnswer, HttpProtocol
from relay.upstream.tunnel import reached_through

PIECE = 64 * 1024
"""Octets written before the network has to show progress within the timeout."""

NETWORK_ERRORS = (OSError, UnicodeError, EOFError, h11.ProtocolError)


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request; `target` begins with a slash."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)


class HttpConnection:
    """`phase` is where it stands, whatever exception passes through; `kept`: it had been idle before.

    `peer` is the address that answered, the proxy's where there is one, empty until one did.
    """

    def __init__(self, route: Route, lost: Callable[[HttpConnection], None]) -> None:
        self.route = route
        self.host = route.host
        self.phase = Phase.CONNECT
        self.peer = ""
        self.kept = False
        self.opened_at = asyncio.get_running_loop().time()
        self.idle_since = 0.0
        self.protocol = HttpProtocol(lambda: lost(self))
        self._timeout = route.timeout

    @property
    def usable(self) -> bool:
        """True while another request may be sent."""
        return self.protocol.usable

    async def open(self, context: ssl.SSLContext | None) -> None:
        """Connect, in TLS where there is a context. Raises ConversationEnded."""
        try:
            made = await self._reached()
            try:
                await asyncio.get_running_loop().create_connection(
                    lambda: self.protocol,
                    sock=made,
                    ssl=context,
                    server_hostname=self.host if context else None,
                    ssl_handshake_timeout=self._timeout if context else None,
                )
            except BaseException:
                made.close()
                raise
        except NETWORK_ERRORS as error:
            raise self.ended(error) from error

    async def _reached(self) -> socket.socket:
        route = self.route
        if route.proxy is not None:
            return await reached_through(route.proxy, route.host, route.port, route.timeout, at_proxy=self._note_peer)
        made = await dialled(route.host, route.port, route.timeout)
        self._note_peer(made)
        return made

    def _note_peer(self, made: socket.socket) -> None:
        self.peer = str(made.getpeername()[0])

    async def exchange(
        self, request: HttpRequest, cleared: Callable[[], bool] | None = None, patience: float | None = None
    ) -> HttpAnswer:
        """Send a request and return the answer, waited for `patience` seconds. Raises ConversationEnded.

        With `cleared` the request is one that can't be taken back: it is asked before the last octet goes out, and
        from then on the phase is FINAL_DOT. Where it says no, the connection is closed.
        """
        self.phase = Phase.CONTENT
        try:
            cut = max(len(request.body) - PIECE, 0)
            whole = memoryview(request.body)
            if cut:
                self._begin(request)
            for start in range(0, cut, PIECE):
                self.protocol.send(h11.Data(data=whole[start : min(start + PIECE, cut)]))  # type: ignore[arg-type]
                await self.protocol.drained(self._timeout)
                if self.protocol.interrupted:
                    return await self._answered_early()
            if self.protocol.interrupted:
                return await self._answered_early()
            if cleared is not None:
                if not cleared():
                    raise self._lease_lost()
                self.phase = Phase.FINAL_DOT
            if not cut:
                # The header alone is the whole of a request without a body.
                self._begin(request)
            self._finish(whole[cut:])
            return await self.protocol.answer(patience if patience is not None else self._timeout)
        except NETWORK_ERRORS as error:
            self.abort()
            raise self.ended(error) from error

    async def quit(self) -> None:
        """Close; HTTP has no parting word."""
        self.abort()

    def abort(self) -> None:
        """Close at once."""
        self.protocol.abort()

    def ended(self, error: Exception) -> ConversationEnded:
        """Return the end that an exception of the network brings."""
        if isinstance(error, h11.ProtocolError):
            said = reply(451, "4.5.0", f"{self.host} answered something that is not HTTP")
            return ConversationEnded(self.phase, said, Cause.GARBLED)
        return ended_by(error, self.phase, self.host)

    def _begin(self, request: HttpRequest) -> None:
        headers = {"Host": self._authority, "Content-Length": str(len(request.body)), **request.headers}
        self.protocol.send(h11.Request(method=request.method, target=request.target, headers=list(headers.items())))

    def _finish(self, rest: memoryview) -> None:
        if rest:
            self.protocol.send(h11.Data(data=bytes(rest)))
        self.protocol.send(h11.EndOfMessage())

    async def _answered_early(self) -> HttpAnswer:
        """Return what is said of a request that is not complete: it can't have been taken."""
        said = await self.protocol.answer(self._timeout)
        self.abort()
        if said.status < 400:
            raise h11.RemoteProtocolError("an answer to half a request")
        return said

    def _lease_lost(self) -> ConversationEnded:
        self.abort()
        said = reply_for(Cause.LEASE_LOST, self.phase, self.host)
        return ConversationEnded(self.phase, said, Cause.LEASE_LOST)

    @property
    def _authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.route.port == 443 else f"{host}:{self.route.port}"
