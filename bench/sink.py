"""The sink: `python -m bench.sink PORT [--delay SECONDS]`. Prints `COUNT INSTANT` (monotonic) while messages arrive."""

from __future__ import annotations

import argparse
import asyncio
import signal
import time
from typing import cast

import uvloop

_REPLIES = {
    b"EHLO": b"250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n",
    b"HELO": b"250 sink.test\r\n",
    b"MAIL": b"250 2.1.0 Ok\r\n",
    b"RCPT": b"250 2.1.5 Ok\r\n",
    b"DATA": b"354 End data with <CR><LF>.<CR><LF>\r\n",
    b"RSET": b"250 2.0.0 Ok\r\n",
    b"NOOP": b"250 2.0.0 Ok\r\n",
    b"QUIT": b"221 2.0.0 Bye\r\n",
}
_TAKEN = b"250 2.0.0 Ok\r\n"
_DOT = b"\r\n.\r\n"
_EACH = 0.02


class Taken:
    """Messages taken so far, over all connections."""

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.count = 0
        self.last = 0.0
        self._told = 0

    def add(self) -> None:
        """One more."""
        self.count += 1
        self.last = time.monotonic()

    def tell(self) -> None:
        """Print the count when it has changed, and again and again."""
        if self.count != self._told:
            self._told = self.count
            print(self.count, self.last, flush=True)
        asyncio.get_running_loop().call_later(_EACH, self.tell)


class Session(asyncio.Protocol):
    """Takes everything. With a delay, what follows a final dot waits for its reply."""

    def __init__(self, taken: Taken) -> None:
        self._taken = taken
        self._buffer = bytearray()
        self._searched = 0
        self._in_content = False
        self._pausing = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(b"220 sink.test ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        """Answer what is complete, in one write."""
        self._buffer += data
        self._answer()

    def _answer(self) -> None:
        assert self._transport is not None
        replies = []
        while not self._pausing and (reply := self._reply()) is not None:
            replies.append(reply)
        if replies:
            self._transport.write(b"".join(replies))
        if replies and replies[-1] is _REPLIES[b"QUIT"]:
            self._transport.close()

    def _reply(self) -> bytes | None:
        """The reply to what the buffer begins with; None while that is not whole."""
        if self._in_content:
            return self._content_reply()
        end = self._buffer.find(b"\r\n")
        if end < 0:
            return None
        verb = bytes(self._buffer[:4]).upper()
        self._in_content = verb == b"DATA"
        # The line end before content stays: with it an empty message has its dot on a line of its own too.
        del self._buffer[: end if self._in_content else end + 2]
        self._searched = 0
        return _REPLIES.get(verb, b"502 5.5.1 Not implemented\r\n")

    def _content_reply(self) -> bytes | None:
        end = self._buffer.find(_DOT, max(0, self._searched - len(_DOT)))
        if end < 0:
            self._searched = len(self._buffer)
            return None
        del self._buffer[: end + len(_DOT)]
        self._in_content = False
        if self._taken.delay:
            self._pausing = True
            asyncio.get_running_loop().call_later(self._taken.delay, self._taken_late)
            return b""
        self._taken.add()
        return _TAKEN

    def _taken_late(self) -> None:
        assert self._transport is not None
        self._pausing = False
        self._taken.add()
        self._transport.write(_TAKEN)
        self._answer()


async def serve(port: int, delay: float) -> None:
    """Take mail on 127.0.0.1 until SIGTERM."""
    loop, over, taken = asyncio.get_running_loop(), asyncio.Event(), Taken(delay)
    loop.add_signal_handler(signal.SIGTERM, over.set)
    await loop.create_server(lambda: Session(taken), "127.0.0.1", port, backlog=1000)
    print(0, time.monotonic(), flush=True)
    taken.tell()
    await over.wait()


def main() -> None:
    """Serve."""
    arguments = argparse.ArgumentParser(prog="python -m bench.sink", description=__doc__)
    arguments.add_argument("port", type=int)
    arguments.add_argument("--delay", type=float, default=0.0, help="seconds before the reply to the final dot")
    given = arguments.parse_args()
    uvloop.run(serve(given.port, given.delay))


if __name__ == "__main__":
    main()
