"""The octets of one connection: commands out, replies in order, however many are pipelined (RFC 2920)."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from typing import cast

from aiosmtplib.errors import SMTPReadTimeoutError, SMTPResponseException, SMTPServerDisconnected
from aiosmtplib.protocol import SMTPProtocol
from aiosmtplib.response import SMTPResponse

from relay.reply import Reply
from relay.upstream.reply_reader import ReplyReader

WRITE_BUFFER = 128 * 1024
"""Octets that may wait for the network before writing pauses."""

# Plenty for the replies to a hundred pipelined commands; a server that floods us is cut off.
_REPLIES_WAITING = 1000


class UpstreamProtocol(SMTPProtocol):
    """aiosmtplib's protocol with a queue of replies in place of its one waiter, which drops pipelined replies.

    One task at a time uses it. Waiting raises SMTPServerDisconnected, SMTPReadTimeoutError, or SMTPResponseException
    for what is not SMTP; replies that came before are given first.
    """

    def __init__(self, said_by: str, lost: Callable[[], None]) -> None:
        super().__init__(asyncio.get_running_loop())
        self._reader = ReplyReader(said_by)
        self._replies: deque[Reply] = deque()
        self._lost: Callable[[], None] | None = lost
        self._fault: Exception | None = None
        self._event: asyncio.Future[None] | None = None
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    @property
    def usable(self) -> bool:
        """True while the connection stands and everything said has been read: a new command may be sent."""
        return self._fault is None and not self._replies and self._reader.between_replies and self.is_connected

    @property
    def interrupted(self) -> bool:
        """True where the server spoke or went although nothing was asked."""
        return self._fault is not None or bool(self._replies)

    async def next_reply(self, timeout: float) -> Reply:
        """Return the next reply, in the order of the commands."""
        if not self._replies:
            # As a whole: a server that says one octet now and then must not keep us for ever.
            until = self._loop.time() + timeout
            while not self._replies:
                if self._fault is not None:
                    raise self._fault
                await self._something(until)
        return self._replies.popleft()

    async def drained(self, timeout: float) -> None:
        """Wait until the network has taken most of what was written, or the server interrupts."""
        while self._paused and not self.interrupted:
            await self._something(self._loop.time() + timeout)

    def write_together(self, *pieces: bytes | memoryview) -> None:
        """Write pieces in one go, without putting them together first."""
        if self.transport is None or self.transport.is_closing():
            raise SMTPServerDisconnected("Connection lost")
        cast(asyncio.WriteTransport, self.transport).writelines(pieces)

    async def secure(self, context: ssl.SSLContext, host: str, timeout: float) -> None:
        """Say STARTTLS and become a TLS client. SMTPResponseException carries a refusal's code."""
        await self.start_tls(context, server_hostname=host, timeout=timeout)
        if not self._reader.between_replies or self._replies:
            # Said in clear text behind the 220: somebody in between wants it taken for the server's (RFC 3207 §4.2).
            raise SMTPResponseException(-1, "data before the TLS handshake")
        self._limit_buffer()

    async def read_response(self, timeout: float | None = None) -> SMTPResponse:
        """Give the library's own STARTTLS its reply from our queue."""
        said = await self.next_reply(timeout or 60.0)
        if said.code != 220:
            self._replies.appendleft(said)
        elif not self.usable:
            raise SMTPResponseException(-1, "data before the TLS handshake")
        return SMTPResponse(said.code, said.text)

    def abort(self) -> None:
        """Close at once."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._fault is not None:
            # Where it was raised it knows us: the two would wait for a garbage collection.
            self._fault.__traceback__ = None
        if self.transport is None:
            self._lost = None
        else:
            cast(asyncio.Transport, self.transport).abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport over."""
        super().connection_made(transport)
        self._limit_buffer()

    def data_received(self, data: bytes) -> None:
        """Read replies."""
        if self._fault is not None:
            return
        self._replies.extend(self._reader.feed(data))
        if self._reader.garbled:
            self._fault = SMTPResponseException(-1, self._reader.garbled)
        elif len(self._replies) > _REPLIES_WAITING:
            self._fault = SMTPResponseException(-1, "more replies than commands")
        self._wake()

    def eof_received(self) -> bool:
        """Take the end of what the server says for the end of the connection."""
        self._end()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits."""
        super().connection_lost(exc)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._end(exc)
        lost, self._lost = self._lost, None
        if lost is not None:
            lost()

    def resume_writing(self) -> None:
        """Go on with what drained waits for."""
        super().resume_writing()
        self._wake()

    def _end(self, cause: Exception | None = None) -> None:
        if self._fault is None:
            # With TLS 1.3 a refused client certificate is told only after the handshake.
            self._fault = cause if isinstance(cause, ssl.SSLError) else SMTPServerDisconnected("Connection lost")
        self._wake()

    def _limit_buffer(self) -> None:
        cast(asyncio.Transport, self.transport).set_write_buffer_limits(high=WRITE_BUFFER)

    def _wake(self) -> None:
        if self._event is not None and not self._event.done():
            self._event.set_result(None)

    async def _something(self, until: float) -> None:
        """Wait for a reply, an end, or room for writing, until that time of the loop's.

        One timer a connection instead of one a wait: it is left to run and looks at the deadline when it fires.
        """
        self._deadline = until
        if self._timer is None or self._timer_at > self._deadline:
            self._watch(self._deadline)
        self._event = self._loop.create_future()
        try:
            await self._event
        finally:
            self._event = None

    def _watch(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._loop.call_at(at, self._time_is_up)

    def _time_is_up(self) -> None:
        self._timer = None
        if self._event is None:
            return
        # A loop's clock may run a timer up to its resolution early.
        if self._loop.time() < self._deadline - 0.001:
            self._watch(self._deadline)
            return
        if self._fault is None:
            self._fault = SMTPReadTimeoutError("Timed out waiting for server response")
        self._wake()
