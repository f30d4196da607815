"""One connection's octets: lines in, replies out, TLS and time. What is said is `session`'s.

Commands are answered where they come in. Only one that has to wait, for the disk or a handshake, is a task; until it is
done no further one is answered.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Final, cast

from relay.config.listener_settings import ListenerSettings
from relay.inbound import replies
from relay.inbound.authentication import RESPONSE_LIMIT
from relay.inbound.clients import IPAddress, ip_address
from relay.inbound.inflow import Inflow
from relay.inbound.session import NOTHING, Session
from relay.logs import Log
from relay.reply import Reply

if TYPE_CHECKING:
    from relay.inbound.listener import Listener

_NEVER: Final = float("inf")
_TURN: Final = 25
"""Commands after which a session that pipelines lets others have their turn."""

_MOST_UNREAD: Final = 128 * 1024
"""Octets that may wait to be read; above, the client is not listened to."""

_LINGER: Final = 5.0
"""Seconds that a client is given to read our last reply."""

_log = Log("relay.inbound")


class Protocol(asyncio.Protocol):
    """A connection from its acceptance to its end. `ended` of the listener is called exactly once for each."""

    transport: asyncio.Transport
    _watchdog: asyncio.TimerHandle

    def __init__(self, listener: Listener, address: IPAddress | None) -> None:
        """`address` is the proxied peer's, else None."""
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._settings: ListenerSettings = listener.settings
        self._address = address
        self._inflow = Inflow()
        self._unsent: list[bytes] = []
        self._session: Session | None = None
        self._tls_version: str | None = None
        self._deadline = self._loop.time() + listener.settings.idle_timeout
        self._reason = "closed"
        self._at_rest = False
        """Nothing is under way: what comes in next is answered at once."""
        self._command: asyncio.Task[None] | None = None
        self._half_closed = False
        self._lost = False
        self._reading = True
        self._writable = True
        self._linger: asyncio.TimerHandle | None = None
        self._ending: asyncio.Future[None] | None = None

    # ---- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self.transport = cast("asyncio.Transport", transport)
        over_tls = transport.get_extra_info("ssl_object")
        if over_tls is not None:
            self._tls_version = over_tls.version()
        self._watchdog = self._loop.call_at(self._deadline, self._watch)
        listener = self._listener
        listener.began(self)
        address = self._address or self._peer_address()
        if address is None:
            self._end()
            return
        self._address = address
        if listener.full:
            self.say(replies.TOO_MANY_CONNECTIONS)
            self._reason = "too_many_connections"
            self._end()
            return
        self._session = Session(listener.name, self._settings, listener.premises, self, address)
        self.say(replies.greeting(listener.premises.hostname))
        self._go_on()

    def data_received(self, data: bytes) -> None:
        """Answer, or keep it while something is under way."""
        self._inflow.extend(data)
        if self._at_rest:
            self._go_on()
        if self._reading and len(self._inflow) > _MOST_UNREAD:
            self._reading = False
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        """Answer what was already said: scripts half-close and still read."""
        self._half_closed = True
        if self._at_rest and self._writable:
            self._end()
        return self._tls_version is None

    def connection_lost(self, error: Exception | None) -> None:
        """End, once what is under way is done."""
        self._lost = True
        if self._linger is not None:
            self._linger.cancel()
        if self._at_rest:
            self._end()

    def pause_writing(self) -> None:
        """Answer no more: the client doesn't read."""
        self._writable = False

    def resume_writing(self) -> None:
        """Answer again."""
        self._writable = True
        if self._at_rest:
            self._go_on()

    def _peer_address(self) -> IPAddress | None:
        peer = self.transport.get_extra_info("peername")
        return ip_address(str(peer[0])) if peer else None

    # ---- the conversation

    def _go_on(self) -> None:
        """Answer all that has come in; what was said goes out together."""
        self._at_rest = False
        try:
            over = self._answer()
        except Exception as error:  # task root: one session's fault is no other's
            self._listener.premises.journal.failed("inbound.session", error)
            self._reason = "error"
            self.say(replies.OUR_ERROR)
            over = True
        if over:
            self._end()
        elif self._command is None:
            self._flush()

    def _answer(self) -> bool:
        """Answer until more has to come in, a command takes its time, or others have their turn; True at the end."""
        session, premises = cast("Session", self._session), self._listener.premises
        for _ in range(_TURN):
            if session.over:
                self._reason = "quit" if self._reason == "closed" else self._reason
                return True
            if premises.draining and not session.receiving:
                self._reason = "drained"
                self.say(replies.SHUTTING_DOWN)
                return True
            reply = self._next(session) if self._writable and self._linger is None else None
            if reply is None:
                return self._rest(session)
            self._deadline = _NEVER
            if not isinstance(reply, Reply):
                self._command = self._loop.create_task(self._finish(session, reply))
                return False
            if reply is not NOTHING:
                self.say(reply)
        self._loop.call_soon(self._go_on)
        return False

    def _next(self, session: Session) -> Reply | Awaitable[Reply] | None:
        """Answer what comes next; None when it isn't complete."""
        try:
            if session.content is not None:
                return session.receive(self._inflow)
            line = self._inflow.line(RESPONSE_LIMIT)
            return session.answer(line) if line is not None else None
        except Exception as error:  # a command's root: the client may go on
            return self._failed(session, error)

    async def _failed(self, session: Session, error: Exception) -> Reply:
        self._listener.premises.journal.failed("inbound.command", error)
        # What is still to come of the content would be taken for commands.
        session.over = session.over or (session.content is not None and not session.content.complete)
        await session.close()
        return replies.OUR_ERROR

    async def _finish(self, session: Session, reply: Awaitable[Reply]) -> None:
        """See a command to its end, and go on with what has come in meanwhile."""
        said: Reply | None = None
        try:
            said = await reply
        except Exception as error:  # a command's root: the client may go on
            said = await self._failed(session, error)
        finally:
            self._command = None
            if said is None:
                self._end()
        if said is not None:
            if said is not NOTHING:
                self.say(said)
            self._go_on()

    def _rest(self, session: Session) -> bool:
        """Wait for the client to say more, or to read; True where it never will."""
        if self._lost or (self._half_closed and self._writable):
            return True
        if self._deadline == _NEVER or session.content is not None:
            self._progressed()
        self._listen()
        self._at_rest = True
        return False

    def _listen(self) -> None:
        if not self._reading and self._writable:
            self._reading = True
            self.transport.resume_reading()

    # ---- the end

    def _leave(self, reply: Reply) -> None:
        """Say goodbye; the end comes when that was sent."""
        self.say(reply)
        self._flush()
        self._close()

    def _close(self) -> None:
        if self._linger is None and not self._lost:
            self.transport.close()
            self._linger = self._loop.call_later(_LINGER, self.transport.abort)

    def _end(self) -> None:
        """Close, and give the slot back. Nothing is under way."""
        self._at_rest = False
        self._watchdog.cancel()
        self._flush()
        self._close()
        if self._session is not None and self._session.receiving:
            self._command = self._loop.create_task(self._forget(self._session))
            return
        # It knows us: the two would wait for a garbage collection, and with them all that TLS has.
        self._session = None
        self._listener.ended(self, str(self._address), self._reason)
        if self._ending is not None:
            self._ending.set_result(None)

    async def _forget(self, session: Session) -> None:
        try:
            await session.close()
        except Exception as error:  # task root: the slot comes back in any case
            self._listener.premises.journal.failed("inbound.session", error)
        finally:
            self._command = None
            self._end()

    def ending(self) -> asyncio.Future[None]:
        """Return what is done when the connection has ended, which it has not yet."""
        if self._ending is None:
            self._ending = self._loop.create_future()
        return self._ending

    def drain(self) -> None:
        """Say goodbye where nothing is being received; else that is said when it is done."""
        session = self._session
        if self._at_rest and session is not None and not session.receiving:
            self._reason = "drained"
            self._leave(replies.SHUTTING_DOWN)

    def abort(self) -> None:
        """End at once, the first time with a goodbye; but a message that is on its way to stable storage gets there."""
        if self._at_rest and self._session is not None and self._linger is None:
            self._reason = "drained"
            self._leave(replies.SHUTTING_DOWN)
            return
        self.transport.abort()
        # Behind the first step of a command that has just begun, which can't end in order before that.
        self._loop.call_soon(self._cancel)

    def _cancel(self) -> None:
        if self._command is not None and not (self._session is not None and self._session.putting):
            self._command.cancel()

    # ---- time

    def _progressed(self) -> None:
        """Start the idle time anew."""
        self._deadline = self._loop.time() + self._settings.idle_timeout

    def _watch(self) -> None:
        now = self._loop.time()
        if now < self._deadline:
            self._watchdog = self._loop.call_at(min(self._deadline, now + self._settings.idle_timeout), self._watch)
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

    # ---- Wire

    @property
    def tls(self) -> str | None:
        """The version of TLS that is active."""
        return self._tls_version

    @property
    def deserted(self) -> bool:
        """True where the client has gone; a script that half-closes has said QUIT before."""
        return self._lost or (self._half_closed and not self._inflow)

    def say(self, reply: Reply) -> None:
        """Send a reply when next there is nothing to do."""
        self._unsent.append(replies.wire(reply))

    def _flush(self) -> None:
        if self._unsent:
            if not self.transport.is_closing():
                self.transport.write(b"".join(self._unsent) if len(self._unsent) > 1 else self._unsent[0])
            self._unsent.clear()

    async def start_tls(self) -> bool:
        """Become a TLS server. What came in before is dropped: RFC 3207 §4.2, and nobody may inject commands."""
        transport, listener = self.transport, self._listener
        context = listener.context
        if context is None or transport.is_closing():
            return False
        transport.pause_reading()
        self._flush()
        # Where the client has gone, the loop learns of it by the write; a handshake begun after that would keep all
        # that TLS has until it times out.
        await asyncio.sleep(0)
        self._inflow.clear()
        if transport.is_closing():
            return False
        try:
            upgraded = await self._loop.start_tls(
                transport, self, context, server_side=True, ssl_handshake_timeout=listener.handshake_timeout
            )
        except (OSError, asyncio.IncompleteReadError) as error:
            self._reason = "handshake"
            listener.handshake_failed(str(self._address), error)
            return False
        if upgraded is None:
            return False
        self.transport = upgraded
        self._reading = True
        self._tls_version = upgraded.get_extra_info("ssl_object").version()
        return True
