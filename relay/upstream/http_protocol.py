"""The octets of one HTTP/1.1 connection: requests out, one answer for each, by h11 (RFC 9112)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import h11

_WRITE_BUFFER = 128 * 1024

_MOST_ANSWERED = 1024 * 1024
"""Octets of an answer's body that are read; ours are errors and a draft's properties."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An answer; names of `headers` in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class HttpProtocol(asyncio.Protocol):
    """One task at a time uses it. Waiting raises EOFError, TimeoutError, or h11.RemoteProtocolError for no HTTP."""

    def __init__(self, lost: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._http = h11.Connection(h11.CLIENT)
        self._received = False
        self._ended = False
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport over."""
        # uvloop's TLS transport is one without being a subclass.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_WRITE_BUFFER)

    def data_received(self, data: bytes) -> None:
        """Keep what has come."""
        self._received = True
        self._http.receive_data(data)
        self._wake()

    def eof_received(self) -> bool | None:
        """Take the end of what the server says for the end of the connection."""
        self._end()
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits."""
        self._end()
        self._lost()

    def pause_writing(self) -> None:
        """The network takes no more for now."""
        self._paused = True

    def resume_writing(self) -> None:
        """It does again."""
        self._paused = False
        self._wake()

    @property
    def usable(self) -> bool:
        """True while another request may be sent."""
        return not self._ended and not self._received and self._http.our_state is h11.IDLE

    @property
    def interrupted(self) -> bool:
        """True where the server spoke or went although the request is not complete."""
        return self._ended or self._received

    @property
    def tls(self) -> Any:
        """The ssl object; None without one."""
        return self._transport.get_extra_info("ssl_object") if self._transport is not None else None

    def send(self, event: h11.Request | h11.Data | h11.EndOfMessage) -> None:
        """Write the next piece of a request."""
        said = self._http.send(event)
        if said and self._transport is not None and not self._ended:
            self._transport.write(said)

    async def drained(self, timeout: float) -> None:
        """Wait until the network has taken most of what was written, or the server interrupts."""
        async with asyncio.timeout(timeout):
            while self._paused and not self.interrupted:
                await self._something()

    async def answer(self, timeout: float) -> HttpAnswer:
        """Return the answer once it is complete; as a whole within `timeout` seconds."""
        async with asyncio.timeout(timeout):
            head: h11.Response | None = None
            body = bytearray()
            while True:
                event: Any = self._http.next_event()
                if event is h11.NEED_DATA:
                    await self._more(begun=head is not None)
                elif isinstance(event, h11.Response):
                    head = event
                elif isinstance(event, h11.Data):
                    body += event.data
                    if len(body) > _MOST_ANSWERED:
                        raise h11.RemoteProtocolError("an answer of more than a megabyte")
                elif isinstance(event, h11.EndOfMessage) and head is not None:
                    return self._answered(head, bytes(body))
                elif isinstance(event, h11.ConnectionClosed):
                    raise EOFError

    def abort(self) -> None:
        """Close at once."""
        self._ended = True
        if self._transport is not None:
            self._transport.abort()

    def _answered(self, head: h11.Response, body: bytes) -> HttpAnswer:
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            # Octets behind the answer would be taken for the answer to the next request.
            rest, _ = self._http.trailing_data
            self._http.start_next_cycle()
            self._received = bool(rest)
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in head.headers}
        return HttpAnswer(head.status_code, headers, body)

    async def _more(self, *, begun: bool) -> None:
        self._received = False
        if self._ended and not begun:
            raise EOFError
        if self._ended:
            # An answer without a length ends with the connection.
            self._http.receive_data(b"")
            return
        await self._something()

    async def _something(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _end(self) -> None:
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
