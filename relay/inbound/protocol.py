"""One connection's octets: lines in, replies out, TLS and time. What is said is `session`'s.

A subclass of aiosmtpd's SMTP with a command loop of its own: the library awaits line by line, compiles a regular
expression and sets a timer for each command, and inspects its own members for each connection.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final, cast

from aiosmtpd.smtp import SMTP

from relay.config.listener_settings import ListenerSettings
from relay.inbound import replies
from relay.inbound.authentication import RESPONSE_LIMIT
from relay.inbound.clients import IPAddress, ip_address
from relay.inbound.inflow import BUFFER, Inflow
from relay.inbound.session import COMMAND_LIMIT, NOTHING, Session
from relay.inbound.wire import Disconnected
from relay.logs import Log
from relay.reply import Reply

if TYPE_CHECKING:
    from relay.inbound.listener import Listener

_NEVER: Final = float("inf")
_TURN: Final = 25
"""Commands after which a session that pipelines lets others have their turn."""

_MOST_UNSENT: Final = 64
_LINGER: Final = 5.0
"""Seconds that a client is given to read our last reply."""

_log = Log("relay.inbound")


class Protocol(SMTP):
    """A connection from its acceptance to its end. `ended` of the listener is called exactly once for each."""

    transport: asyncio.Transport | None
    _listener: Listener
    _settings: ListenerSettings
    _address: IPAddress | None
    conversation: asyncio.Task[None]
    _inflow: Inflow
    _session: Session | None
    _unsent: list[bytes]
    _tls_version: str | None
    _deadline: float
    _reason: str
    _waiting: bool
    _linger: asyncio.TimerHandle | None
    _lost: bool

    def __init__(self) -> None:
        # Only for the prototype; connections are copies of it.
        super().__init__(None, loop=asyncio.get_running_loop(), timeout=300, hostname="-")

    def opened_by(self, listener: Listener, address: IPAddress | None) -> Protocol:
        """Return a connection of `listener`: a copy of this one. `address` is the proxied peer's, else None."""
        connection = Protocol.__new__(Protocol)
        connection.__dict__.update(self.__dict__)
        loop = self.loop
        reader = asyncio.StreamReader(limit=BUFFER, loop=loop)
        asyncio.StreamReaderProtocol.__init__(connection, reader, loop=loop)
        connection._inflow = Inflow(reader)
        connection._listener = listener
        connection._settings = listener.settings
        connection._address = address
        connection._unsent = []
        connection._tls_version = None
        connection._deadline = loop.time() + listener.settings.idle_timeout
        connection._reason = "closed"
        connection._waiting = False
        connection._linger = None
        connection._lost = False
        connection._session = None
        return connection

    # ---- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin: the conversation is a task of its own, whose end is the connection's."""
        plain = cast("asyncio.Transport", transport)
        over_tls = transport.get_extra_info("ssl_object")
        if over_tls is not None:
            self._over_ssl = True
            self._tls_version = over_tls.version()
        asyncio.StreamReaderProtocol.connection_made(self, transport)
        self.transport = plain
        self._watchdog = self.loop.call_at(self._deadline, self._watch)
        self.conversation = self.loop.create_task(self._converse())
        self._listener.began(self)
        self.conversation.add_done_callback(self._ended)

    def connection_lost(self, error: Exception | None) -> None:
        """Let the conversation see the end of its input."""
        asyncio.StreamReaderProtocol.connection_lost(self, None)
        self._lost = True
        if self._linger is not None:
            self._linger.cancel()

    def eof_received(self) -> bool | None:
        """Answer what was already said: scripts half-close and still read."""
        return asyncio.StreamReaderProtocol.eof_received(self)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._watchdog.cancel()
        self._close()
        self._listener.ended(self, str(self._address), self._reason)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._listener.premises.journal.failed("inbound.session", error)

    # ---- time

    def progressed(self) -> None:
        """Start the idle time anew."""
        self._deadline = self.loop.time() + self._settings.idle_timeout

    def busy(self) -> None:
        """Stop the idle time: the client waits for us."""
        self._deadline = _NEVER

    def _watch(self) -> None:
        now = self.loop.time()
        if now < self._deadline:
            self._watchdog = self.loop.call_at(min(self._deadline, now + self._settings.idle_timeout), self._watch)
            return
        self._timed_out()

    def _timed_out(self) -> None:
        session = self._session
        self._reason = "timeout"
        values: dict[str, object] = {"listener": self._listener.name, "peer": str(self._address), "while": "command"}
        level = logging.INFO
        if session is None or not session.spoken:
            level = logging.DEBUG
        elif session.receiving:
            level = logging.WARNING
            values |= {"while": "data", "text": "no end of data: the client has to end a message with CRLF . CRLF"}
        _log.write(level, "timeout", values)
        self._leave(replies.TIMED_OUT)

    def _leave(self, reply: Reply) -> None:
        self.say(reply)
        self._flush()
        self._close()

    def _close(self) -> None:
        if self.transport is not None and self._linger is None and not self._lost:
            self.transport.close()
            self._linger = self.loop.call_later(_LINGER, self.transport.abort)

    def drain(self) -> None:
        """Say goodbye where nothing is being received; else the conversation does when that is done."""
        if self._waiting and self._session is not None and not self._session.receiving:
            self._reason = "drained"
            self._leave(replies.SHUTTING_DOWN)

    def abort(self) -> None:
        """End at once."""
        self.conversation.cancel()
        if self.transport is not None:
            self.transport.abort()

    def _peer_address(self) -> IPAddress:
        peer = self.transport.get_extra_info("peername") if self.transport is not None else None
        if not peer:
            raise Disconnected
        return ip_address(str(peer[0]))

    # ---- the conversation

    async def _converse(self) -> None:
        listener = self._listener
        session: Session | None = None
        try:
            address = self._address = self._address or self._peer_address()
            if listener.full:
                self.say(replies.TOO_MANY_CONNECTIONS)
                self._reason = "too_many_connections"
                return
            session = self._session = Session(listener.name, self._settings, listener.premises, self, address)
            self.say(Reply(220, None, f"{listener.premises.hostname} ESMTP Relay"))
            await self._commands(session)
        except Disconnected:
            pass
        except Exception as error:  # task root: one session's fault is no other's
            self._reason = "error"
            listener.premises.journal.failed("inbound.session", error)
            self.say(replies.OUR_ERROR)
        finally:
            if session is not None:
                await session.close()
            self._flush()

    async def _commands(self, session: Session) -> None:
        turn = 0
        inflow, premises = self._inflow, self._listener.premises
        while not session.over:
            if premises.draining and not session.receiving:
                self._reason = "drained"
                self.say(replies.SHUTTING_DOWN)
                return
            line = inflow.line(RESPONSE_LIMIT)
            if line is None:
                line = await self.line(RESPONSE_LIMIT)
                turn = 0
            turn += 1
            if turn >= _TURN:
                turn = 0
                await asyncio.sleep(0)
            self._deadline = _NEVER
            if line is None or (len(line) > COMMAND_LIMIT and line[:5].upper() != b"AUTH "):
                self.say(replies.LINE_TOO_LONG)
                continue
            try:
                reply = session.answer(line)
                if not isinstance(reply, Reply):
                    reply = await reply
            except Disconnected:
                raise
            except Exception as error:  # a command's root: the client may go on
                premises.journal.failed("inbound.command", error)
                await session.close()
                reply = replies.OUR_ERROR
            if reply is not NOTHING:
                self.say(reply)
        self._reason = "quit"

    # ---- Wire

    @property
    def tls(self) -> str | None:
        """The version of TLS that is active."""
        return self._tls_version

    @property
    def deserted(self) -> bool:
        """True where the client has gone; a script that half-closes has said QUIT before."""
        return self._lost or (self._inflow.ended and not len(self._inflow))

    def say(self, reply: Reply) -> None:
        """Send a reply when next there is nothing to do."""
        self._unsent.append(replies.wire(reply))
        if len(self._unsent) >= _MOST_UNSENT:
            self._flush()

    def _flush(self) -> None:
        if self._unsent and self.transport is not None and not self.transport.is_closing():
            self.transport.write(b"".join(self._unsent) if len(self._unsent) > 1 else self._unsent[0])
        self._unsent.clear()

    async def line(self, most: int) -> bytes | None:
        """Return the next line; None when it was longer than `most`."""
        inflow = self._inflow
        while True:
            line = inflow.line(most)
            if line is not None:
                return line
            if len(inflow) > most + 1:
                while not inflow.skip_line():
                    await self.more()
                return None
            await self.more()

    def take(self) -> bytes:
        """Return all that has come in."""
        return self._inflow.take()

    def put_back(self, octets: bytes) -> None:
        """Let `octets` be the next input."""
        self._inflow.put_back(octets)

    async def more(self) -> None:
        """Send what was said, and wait for input. Raises Disconnected."""
        if self._deadline == _NEVER:
            self.progressed()
        if self._unsent:
            self._flush()
        if cast("Any", self)._paused:
            await self._sent()
        # uvloop raises where reading is resumed on a transport that is closed and not yet reported as lost.
        if self._inflow.ended or self.transport is None or self.transport.is_closing():
            raise Disconnected
        self._waiting = True
        try:
            await self._inflow.wait()
        finally:
            self._waiting = False

    async def _sent(self) -> None:
        """Wait while the client reads less than we say."""
        try:
            await cast("Any", self)._drain_helper()
        except ConnectionError:
            raise Disconnected from None

    async def start_tls(self) -> bool:
        """Become a TLS server. What came in before is dropped: RFC 3207 §4.2, and nobody may inject commands."""
        transport, listener = self.transport, self._listener
        context = listener.context
        if transport is None or context is None:
            return False
        transport.pause_reading()
        self._inflow.drop()
        self._flush()
        self.busy()
        try:
            upgraded = await self.loop.start_tls(
                transport, self, context, server_side=True, ssl_handshake_timeout=listener.handshake_timeout
            )
        except (OSError, asyncio.IncompleteReadError) as error:
            self._reason = "handshake"
            listener.handshake_failed(str(self._address), error)
            return False
        if upgraded is None:
            return False
        self.transport = upgraded
        self._transport = upgraded
        self._over_ssl = True
        self._inflow.continue_with(upgraded)
        self._tls_version = upgraded.get_extra_info("ssl_object").version()
        return True
