"""A server that is a coroutine of the test: for what no SMTP server would do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Raw:
    """Where it listens, and how many connections it has seen."""

    port: int
    security: str = "none"
    connections: int = 0


@asynccontextmanager
async def raw_server(talk: Talk) -> AsyncIterator[Raw]:
    """A server that does `talk` on each connection, then closes it."""
    raw = Raw(0)
    running: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        raw.connections += 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await talk(reader, writer)
        finally:
            running.discard(task)
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    raw.port = server.sockets[0].getsockname()[1]
    try:
        yield raw
    finally:
        server.close()
        for task in list(running):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def until_data(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    *extensions: str,
    final: str = "354 go on",
    greeting: str = "220 raw.test\r\n",
) -> None:
    """Be a well-behaved server up to the reply to DATA."""
    writer.write(greeting.encode())
    while line := (await reader.readline()).decode().strip().upper():
        if line.startswith("EHLO"):
            lines = ["raw.test", *extensions]
            said = [f"250{' ' if at == len(lines) - 1 else '-'}{text}" for at, text in enumerate(lines)]
            writer.write("".join(f"{text}\r\n" for text in said).encode())
        elif line == "DATA":
            writer.write(final.encode() + b"\r\n")
            return
        else:
            writer.write(b"250 2.0.0 Ok\r\n")
