"""A client that says what it is told, for tests that are more than a conversation."""

import asyncio
import base64
import contextlib
import ssl
from typing import Self

PATIENCE = 10.0
PASSWORD = "geheim"

_open: "list[Visitor]" = []


async def leave_all() -> None:
    """End every visit, so that nothing of a test outlives it."""
    while _open:
        writer = _open.pop().writer
        # The TLS transport of Python 3.11.2 can't be aborted once its connection is lost.
        with contextlib.suppress(AttributeError):
            writer.transport.abort()
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.wait_for(writer.wait_closed(), PATIENCE)


class Visitor:
    """One connection to loopback."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        _open.append(self)

    @classmethod
    async def connect(cls, port: int, context: ssl.SSLContext | None = None, first: bytes = b"") -> Self:
        """`first` is written on the bare socket before any TLS."""
        if not first:
            return cls(*await asyncio.open_connection("127.0.0.1", port, ssl=context))
        visitor = cls(*await asyncio.open_connection("127.0.0.1", port))
        visitor.writer.write(first)
        if context is not None:
            await visitor.writer.start_tls(context)
        return visitor

    def say(self, *lines: str) -> None:
        self.writer.write("".join(f"{line}\r\n" for line in lines).encode())

    async def reply(self) -> str:
        """The whole reply, its lines parted by line feeds; empty at the end of the connection."""
        said: list[str] = []
        while True:
            line = (await asyncio.wait_for(self.reader.readline(), PATIENCE)).decode()
            said.append(line.rstrip("\r\n"))
            if line[3:4] != "-":
                return "\n".join(said)

    async def ask(self, line: str) -> str:
        self.say(line)
        return await self.reply()

    async def expect(self, line: str, code: str) -> str:
        said = await self.ask(line)
        assert said.startswith(code), f"{line}: {said}"
        return said

    async def ended(self) -> bool:
        """True when the server closes and says nothing more."""
        try:
            return await asyncio.wait_for(self.reader.read(), PATIENCE) == b""
        except ConnectionError:
            return True

    async def hello(self) -> None:
        assert (await self.reply()).startswith("220")
        await self.expect("EHLO pc", "250")

    async def log_in(self, username: str = "careright", password: str = PASSWORD) -> str:
        return await self.ask("AUTH PLAIN " + base64.b64encode(f"\0{username}\0{password}".encode()).decode())

    async def envelope(self) -> None:
        await self.expect("MAIL FROM:<a@b.test>", "250")
        await self.expect("RCPT TO:<c@d.test>", "250")

    async def begin(self) -> None:
        """Everything up to the 354."""
        await self.hello()
        assert (await self.log_in()).startswith("235")
        await self.envelope()
        await self.expect("DATA", "354")

    def hang_up(self) -> None:
        self.writer.transport.abort()

    async def close(self) -> None:
        self.writer.close()
