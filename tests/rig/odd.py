"""A scripted server whose first connections are coroutines of the test: for what no SMTP server would do."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from tests.rig.scripted import ScriptedServer

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class OddServer(ScriptedServer):
    """Does one of `talks` on each of its first connections, and is a scripted server afterwards."""

    def __init__(self, *talks: Talk, **options: Any) -> None:
        super().__init__(**options)
        self._talks = deque(talks)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._talks:
            await super()._connected(reader, writer)
            return
        task = asyncio.current_task()
        assert task is not None
        self._sessions.add(task)
        try:
            await self._talks.popleft()(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the relay hung up, or the test is over
        finally:
            self._sessions.discard(task)
            writer.close()


def up_to(command: bytes, reply: bytes, *extensions: bytes, then: Talk | None = None) -> Talk:
    """Be a good server up to `command`, say `reply` to it, go on with `then`, and read until the relay hangs up."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 odd.test\r\n")
        while line := (await reader.readline()).upper():
            if line.startswith(command):
                break
            lines = [b"odd.test", *extensions] if line.startswith(b"EHLO") else [b"2.0.0 Ok"]
            writer.write(b"".join(b"250-" + one + b"\r\n" for one in lines[:-1]) + b"250 " + lines[-1] + b"\r\n")
        writer.write(reply)
        if then is not None:
            await then(reader, writer)
        while await reader.read(1 << 16):
            pass

    return talk


async def silent_until_data(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say nothing to pipelined commands before DATA has come; then all their replies in one segment."""
    writer.write(b"220 odd.test\r\n")
    await reader.readline()
    writer.write(b"250-odd.test\r\n250 PIPELINING\r\n")
    commands = 0
    while (line := (await reader.readline()).upper()) and line != b"DATA\r\n":
        commands += 1
    writer.write(b"250 2.0.0 Ok\r\n" * commands + b"354 Go on\r\n")
    await reader.readuntil(b"\r\n.\r\n")
    writer.write(b"250 2.0.0 Ok: merged\r\n")
    while await reader.read(1 << 16):
        pass
