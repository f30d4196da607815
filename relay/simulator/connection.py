"""One TCP connection's octets, in clear or in TLS, with a bounded buffer."""

from __future__ import annotations

import asyncio
import ssl
from typing import cast

_BUFFER = 256 * 1024


class Hangup(Exception):  # noqa: N818 (it is what happened, not a mistake)
    """The peer has gone, or we have closed."""


class LineTooLong(Exception):  # noqa: N818
    """No line end within the limit; the line has been dropped up to its end."""


class Connection(asyncio.Protocol):
    """Reads are pulled, writes are buffered; reading pauses while more than 256 KiB wait.

    A TLS upgrade keeps the object. `closed` is set once the transport is gone.
    """

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._ended = False
        self._reading_paused = False
        self._arrived = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self.closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The loop has a transport for us, the first time in clear or in TLS, the second after an upgrade."""
        # uvloop's TLS transport is one without being a subclass.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Octets have come."""
        self._buffer += data
        if len(self._buffer) > _BUFFER and self._transport is not None and not self._reading_paused:
            self._reading_paused = True
            self._transport.pause_reading()
        self._arrived.set()

    def eof_received(self) -> bool | None:
        """The peer sends no more: what it is owed no longer matters."""
        self._ended = True
        self._arrived.set()
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone."""
        self._ended = True
        self._arrived.set()
        self._writable.set()
        self.closed.set()

    def pause_writing(self) -> None:
        """The network takes no more for now."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """It does again."""
        self._writable.set()

    @property
    def opened(self) -> bool:
        """True once there has been a transport."""
        return self._transport is not None

    @property
    def peer(self) -> str:
        """The peer's address without its port."""
        name = self._transport.get_extra_info("peername") if self._transport else None
        return str(name[0]) if name else "unknown"

    @property
    def tls(self) -> str | None:
        """The TLS version in use, like `TLSv1.3`."""
        session = self._transport.get_extra_info("ssl_object") if self._transport else None
        return session.version() if session is not None else None

    @property
    def waiting(self) -> int:
        """Octets that have come and were not read yet."""
        return len(self._buffer)

    async def read_line(self, limit: int) -> bytes:
        """Return the next line with its end (LF, whatever stands before it); `LineTooLong` above `limit` octets."""
        start = 0
        while (end := self._buffer.find(b"\n", start)) < 0 and len(self._buffer) <= limit:
            start = len(self._buffer)
            await self._more()
        if 0 <= end < limit:
            return self._take(end + 1)
        await self._drop_line()
        raise LineTooLong

    async def read_some(self, most: int = _BUFFER) -> bytes:
        """Return what has come, at least one octet, at most `most`."""
        if not self._buffer:
            await self._more()
        return self._take(most)

    def unread(self, data: bytes) -> None:
        """Put `data` back in front of what waits."""
        self._buffer[:0] = data

    def discard(self) -> int:
        """Forget what waits, and say how much it was."""
        count = len(self._buffer)
        self._buffer.clear()
        return count

    def write(self, data: bytes) -> None:
        """Send `data` when the network takes it; quietly nothing after a hang-up."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    async def drain(self) -> None:
        """Wait until the network has taken most of what was written."""
        await self._writable.wait()
        if self.closed.is_set():
            raise Hangup

    async def start_tls(self, context: ssl.SSLContext, timeout: float = 30.0) -> None:
        """Become the server of a TLS connection; raises `Hangup` where the handshake fails."""
        if self._transport is None or self._transport.is_closing():
            raise Hangup
        loop = asyncio.get_running_loop()
        try:
            upgraded = await loop.start_tls(
                self._transport, self, context, server_side=True, ssl_handshake_timeout=timeout
            )
        except BaseException as error:
            self.abort()
            # The loop tells nobody of the end of a connection whose handshake did not come to its end.
            self.connection_lost(None)
            if isinstance(error, OSError | TimeoutError):
                raise Hangup from error
            raise
        if upgraded is None:
            self.connection_lost(None)
            raise Hangup
        self._transport = upgraded

    def close(self) -> None:
        """Close once everything written has been sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once; what was not sent is lost."""
        if self._transport is not None:
            self._transport.abort()

    async def _more(self) -> None:
        if self._ended:
            raise Hangup
        self._arrived.clear()
        await self._arrived.wait()
        if self._ended and not self._buffer:
            raise Hangup

    def _take(self, most: int) -> bytes:
        taken = bytes(self._buffer[:most])
        del self._buffer[:most]
        if self._reading_paused and len(self._buffer) < _BUFFER // 2 and self._transport is not None:
            self._reading_paused = False
            self._transport.resume_reading()
        return taken

    async def _drop_line(self) -> None:
        while (end := self._buffer.find(b"\n")) < 0:
            self._take(len(self._buffer))
            await self._more()
        self._take(end + 1)
