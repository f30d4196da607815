"""An SMTP server that counts: its connections, and when each MAIL came, those that it refuses too."""

import asyncio
import threading
import time
from types import TracebackType
from typing import Self

_SLOW = 0.4
"""Seconds before the reply to the final dot: with less there would never be work for three connections."""

_REFUSED_EVERY = 7


class CountingSink:
    """Listens on 127.0.0.1:`port`. Every seventh MAIL is refused with 450.

    `mails` are the instants (time.monotonic()) at which a MAIL came, `refused` how many of them were refused, `taken`
    the forward-paths of each message that was taken.
    """

    def __init__(self) -> None:
        self.mails: list[float] = []
        self.refused = 0
        self.taken: list[tuple[str, ...]] = []
        self.open = 0
        self.most_open = 0
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="counting-sink", daemon=True)
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _end(self) -> None:
        assert self._server is not None
        self._server.close()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await self._converse(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # relay was killed, or the test is over
        finally:
            self.open -= 1
            writer.transport.abort()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 sink.test ESMTP\r\n")
        recipients: list[str] = []
        while line := await reader.readline():
            arrived = time.monotonic()
            verb = line[:4].upper()
            said = b"250 2.0.0 Ok"
            if verb == b"EHLO":
                said = b"250-sink.test\r\n250 ENHANCEDSTATUSCODES"
            elif verb == b"MAIL":
                recipients = []
                self.mails.append(arrived)
                if len(self.mails) % _REFUSED_EVERY == 0:
                    self.refused += 1
                    said = b"450 4.7.1 Not now"
            elif verb == b"RCPT":
                recipients.append(line.decode().strip().partition("<")[2].partition(">")[0])
            elif verb == b"DATA":
                writer.write(b"354 Go on\r\n")
                await reader.readuntil(b"\r\n.\r\n")
                await asyncio.sleep(_SLOW)
                self.taken.append(tuple(recipients))
            elif verb == b"QUIT":
                writer.write(b"221 2.0.0 Bye\r\n")
                await writer.drain()
                return
            writer.write(said + b"\r\n")
            await writer.drain()
