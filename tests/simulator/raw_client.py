"""A client that sends exactly the octets it is told to, and hands back replies as they stand on the wire."""

import asyncio
import base64
import ssl
from typing import Self

from relay.simulator.simulator import Simulator
from relay.simulator.smtp_server import SmtpServer


class RawClient:
    """One connection; `async with RawClient(...)` reads the greeting."""

    def __init__(self, simulator: Simulator, server: SmtpServer, *, implicit: bool = False) -> None:
        self._server = server
        self._implicit = implicit
        self._context = ssl.create_default_context(cafile=str(simulator.ca_file))
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter
        self.greeting = ""

    async def __aenter__(self) -> Self:
        port = self._server.implicit_port if self._implicit else self._server.port
        context = self._context if self._implicit else None
        self._reader, self._writer = await asyncio.open_connection("localhost", port, ssl=context)
        self.greeting = await self.reply()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.transport.abort()
        with_errors = self._writer.wait_closed()
        await asyncio.gather(with_errors, return_exceptions=True)

    def send(self, octets: bytes | str) -> None:
        """Send octets as they are; text in UTF-8."""
        self._writer.write(octets.encode() if isinstance(octets, str) else octets)

    async def reply(self) -> str:
        """Return the next reply, lines parted by line feeds; empty once the server has closed."""
        lines = []
        async with asyncio.timeout(10):
            while True:
                try:
                    line = await self._reader.readline()
                except ConnectionError:
                    return ""
                if not line:
                    return ""
                lines.append(line.decode("latin-1").removesuffix("\r\n"))
                if line[3:4] != b"-":
                    return "\n".join(lines)

    async def ask(self, line: bytes | str) -> str:
        """Send a line, add CRLF, and return the reply."""
        self.send(line)
        self.send(b"\r\n")
        return await self.reply()

    async def start_tls(self) -> None:
        """EHLO, STARTTLS, EHLO."""
        assert (await self.ask("EHLO relay.clinic.test")).startswith("250")
        assert (await self.ask("STARTTLS")).startswith("220")
        await self._writer.start_tls(self._context, server_hostname="localhost")
        assert (await self.ask("EHLO relay.clinic.test")).startswith("250")

    async def log_in(self, simulator: Simulator) -> None:
        """Come as far as MAIL would be accepted, whichever provider it is."""
        if self._implicit:
            await self.ask("EHLO relay.clinic.test")
        else:
            await self.start_tls()
        name = self._server.provider.name
        if name == "microsoft365":
            token = simulator.tokens.for_app("https://outlook.office365.com")
            reply = await self.ask(f"AUTH XOAUTH2 {xoauth2(simulator.mailbox, token)}")
        else:
            user, password = {
                "gmail": (simulator.gmail_user, simulator.gmail_app_password),
                "ses": (simulator.ses_user, simulator.ses_password),
            }[name]
            reply = await self.ask("AUTH PLAIN " + base64.b64encode(f"\0{user}\0{password}".encode()).decode())
        assert reply.startswith("235"), reply

    async def transact(self, content: bytes, *recipients: str, sender: str = "no-reply@clinic.test") -> str:
        """Send one message; returns the first refusal, or the final reply."""
        for line in (f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{one}>" for one in recipients or ("a@far.test",))):
            reply = await self.ask(line)
            if not reply.startswith("250"):
                return reply
        reply = await self.ask("DATA")
        if not reply.startswith("354"):
            return reply
        self.send(content + b".\r\n")
        return await self.reply()


def xoauth2(user: str, token: str) -> str:
    """Return XOAUTH2's response."""
    return base64.b64encode(f"user={user}\x01auth=Bearer {token}\x01\x01".encode()).decode()


def message(sender: str = "no-reply@clinic.test", body: bytes = b"Hello\r\n") -> bytes:
    """Return a small message."""
    return f"From: <{sender}>\r\nSubject: test\r\n\r\n".encode() + body
