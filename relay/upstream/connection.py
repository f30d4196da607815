"""One connection to the provider: opened, secured, logged in; then a channel for transactions."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from aiosmtplib.errors import SMTPException, SMTPResponseException

from relay.reply import Reply
from relay.upstream.contract import Cause, Phase
from relay.upstream.dialling import dialled
from relay.upstream.extensions import Extensions
from relay.upstream.failures import ConversationEnded, ended_by, reply_for
from relay.upstream.protocol import UpstreamProtocol
from relay.upstream.proxy import Proxy
from relay.upstream.tunnel import reached_through

# Every failure that the network or the server can bring about.
NETWORK_ERRORS = (SMTPException, OSError, UnicodeError, EOFError)

_QUIT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Route:
    """Where the provider is and how to get there; `timeout` seconds for each step, and for progress in each.

    With a `proxy` the host's name is looked up there. `largest`: octets of a message, whatever the server takes.
    """

    host: str
    port: int
    security: str
    ehlo_name: str
    timeout: float = 60.0
    proxy: Proxy | None = None
    largest: int | None = None


def _ascii(name: str) -> bytes:
    """Return a host's name as EHLO may say it (RFC 5321 §2.3.5)."""
    try:
        return name.encode("ascii") if name.isascii() else name.encode("idna")
    except UnicodeError:
        return name.encode("ascii", "replace")


class Connection:
    """A session with the server. `phase` is where it stands, exactly, whatever exception passes through.

    `peer` is the address that answered, the proxy's where there is one, empty until one did; `secured` is True once the
    TLS handshake is done.
    """

    def __init__(self, route: Route, lost: Callable[[Connection], None]) -> None:
        self.route = route
        self.phase = Phase.CONNECT
        self.peer = ""
        self.secured = False
        self.extensions = Extensions()
        self.welcome: Reply | None = None
        self.opened_at = asyncio.get_running_loop().time()
        self.idle_since = 0.0
        self.transactions = 0
        self.kept = False
        self.needs_reset = False
        self.protocol = UpstreamProtocol(route.host, lambda: lost(self))

    def __repr__(self) -> str:
        state = "usable" if self.usable else "not usable"
        return f"<Connection {self.route.host}:{self.route.port} {self.phase.name} {state}, {self.transactions} sent>"

    @property
    def usable(self) -> bool:
        """True while a new command may be sent."""
        return self.protocol.usable

    async def open(self, context: ssl.SSLContext | None) -> None:
        """Connect up to the reply to EHLO, in TLS where the route demands it. Raises ConversationEnded."""
        try:
            await self._connect(context if self.route.security == "implicit" else None)
            self.phase = Phase.GREETING
            self._expect(await self.protocol.next_reply(self.route.timeout), 220)
            await self.greet()
            if self.route.security == "starttls":
                await self._start_tls(context)
                await self.greet()
        except NETWORK_ERRORS as error:
            # Its traceback holds the connection, which may hold it: the two would wait for a garbage collection.
            raise ended_by(error, self.phase, self.route.host) from error.with_traceback(None)

    async def command(self, line: bytes) -> Reply:
        """Say one command line (without its end) and return the reply. Raises what the network raises."""
        self.protocol.write(line + b"\r\n")
        return await self.protocol.next_reply(self.route.timeout)

    async def greet(self, *, logged_in: bool = False) -> None:
        """Say EHLO and learn what is offered; a server that minds being asked `logged_in` offers what it did before."""
        self.phase = Phase.EHLO
        name = _ascii(self.route.ehlo_name)
        said = await self.command(b"EHLO " + name)
        if logged_in and said.permanent:
            return
        if said.code in {500, 502, 504} and self.route.security != "starttls":
            # RFC 5321 §4.1.4: a server of before 1995 knows HELO only; it offers nothing, AUTH included.
            self.welcome = await self.command(b"HELO " + name)
            self._expect(self.welcome, 250)
            self.extensions = Extensions()
            return
        self._expect(said, 250)
        self.welcome = said
        self.extensions = Extensions.of(said).up_to(self.route.largest)

    async def quit(self) -> None:
        """Say QUIT, wait a moment for the reply, close. Never raises but for cancellation."""
        try:
            if self.usable:
                self.protocol.write(b"QUIT\r\n")
                await self.protocol.next_reply(_QUIT_SECONDS)
        except NETWORK_ERRORS:
            pass
        finally:
            self.protocol.abort()

    def abort(self) -> None:
        """Close at once, without QUIT."""
        self.protocol.abort()

    def end(self, cause: Cause, detail: str = "") -> ConversationEnded:
        """Return the end of this conversation for a cause of ours."""
        return ConversationEnded(self.phase, reply_for(cause, self.phase, self.route.host, detail), cause)

    async def _connect(self, context: ssl.SSLContext | None) -> None:
        route = self.route
        if route.proxy is None:
            made = await dialled(route.host, route.port, route.timeout)
        else:
            made = await reached_through(route.proxy, route.host, route.port, route.timeout, at_proxy=self._note_peer)
        try:
            if route.proxy is None:
                self._note_peer(made)
            await asyncio.get_running_loop().create_connection(
                lambda: self.protocol,
                sock=made,
                ssl=context,
                server_hostname=route.host if context else None,
                ssl_handshake_timeout=route.timeout if context else None,
            )
            self.secured = context is not None
        except BaseException:
            made.close()
            raise

    def _note_peer(self, made: socket.socket) -> None:
        self.peer = str(made.getpeername()[0])

    async def _start_tls(self, context: ssl.SSLContext | None) -> None:
        self.phase = Phase.STARTTLS
        if "STARTTLS" not in self.extensions or context is None:
            raise self.end(Cause.STARTTLS_MISSING, "masked on the way" if self.extensions.masked else "")
        try:
            await self.protocol.secure(context, self.route.host, self.route.timeout)
            self.secured = True
        except SMTPResponseException as error:
            if error.code == -1:
                raise
            self._expect(await self.protocol.next_reply(self.route.timeout), 220)

    def _expect(self, said: Reply, code: int) -> None:
        """Go on with `code`; a refusal ends the conversation; anything else is no SMTP."""
        if said.code == code:
            return
        if said.positive:
            raise self.end(Cause.GARBLED)
        raise ConversationEnded(self.phase, said)
