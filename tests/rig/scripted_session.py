"""One connection to the scripted SMTP server."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import time
from typing import TYPE_CHECKING

from tests.rig.dots import unstuffed
from tests.rig.script import Answer, Transaction

if TYPE_CHECKING:
    from tests.rig.scripted import ScriptedServer


class Session:
    """The conversation, command by command; answers come from the server's script, else they are a good server's."""

    def __init__(self, server: ScriptedServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server, self._reader, self._writer = server, reader, writer
        self._tls = server.security == "implicit"
        self._login: str | None = None
        self._sender = ""
        self._sent_at = 0.0
        self._recipients: list[str] = []
        self._rest = bytearray()
        self._open = True

    async def run(self) -> None:
        await self._answer("CONNECT", "220 upstream.test ESMTP ready")
        while self._open:
            line = await self._line()
            verb, _, argument = line.partition(" ")
            verb = {"HELO": "EHLO"}.get(verb.upper(), verb.upper())
            self._server.commands.append(
                line if verb != "AUTH" else line[: line.find(" ", 5) if " " in argument else None]
            )
            step = getattr(self, f"_{verb.lower()}", None)
            if step is None:
                await self._say(Answer("502 5.5.1 Command not recognized"))
            else:
                await step(argument)

    async def _line(self) -> str:
        """One line, from what a bulk read left over or from the connection."""
        while b"\n" not in self._rest:
            piece = await self._reader.read(1 << 16)
            if not piece:
                raise ConnectionResetError
            self._rest += piece
        line, _, rest = bytes(self._rest).partition(b"\n")
        self._rest[:] = rest
        return line.rstrip(b"\r").decode(errors="surrogateescape")

    async def _answer(self, stage: str, default: str, recipient: str = "") -> str:
        """Gives the scripted answer, or the default; what was said, empty for silence."""
        answer = self._server.script.answer_at(stage, default, recipient)
        await self._say(answer)
        return answer.text or ""

    async def _say(self, answer: Answer) -> None:
        if answer.delay:
            await asyncio.sleep(answer.delay)
        if answer.text is not None:
            self._writer.write(answer.text.replace("\n", "\r\n").encode() + b"\r\n")
            await self._writer.drain()
        if answer.reset:
            self._writer.transport.abort()
            raise ConnectionResetError
        if answer.close:
            self._writer.close()
            raise ConnectionResetError

    async def _ehlo(self, argument: str) -> None:
        lines = ["upstream.test", *self._server.extensions]
        if self._server.security == "starttls" and not self._tls:
            lines.append("STARTTLS")
        if self._server.users is not None and (self._tls or self._server.security == "none"):
            lines.append("AUTH " + " ".join(self._server.mechanisms))
        last = len(lines) - 1
        await self._answer("EHLO", "\n".join(f"250{' ' if n == last else '-'}{line}" for n, line in enumerate(lines)))

    async def _starttls(self, argument: str) -> None:
        if self._tls or self._server.tls is None:
            await self._say(Answer("503 5.5.1 No TLS here"))
            return
        if not (await self._answer("STARTTLS", "220 2.0.0 Ready to start TLS")).startswith("220"):
            return
        self._rest.clear()
        await self._writer.start_tls(self._server.tls)
        self._tls = True

    async def _auth(self, argument: str) -> None:
        mechanism, _, initial = argument.partition(" ")
        if self._server.users is None or mechanism.upper() not in self._server.mechanisms:
            await self._say(Answer("504 5.7.4 Unrecognized authentication type"))
            return
        name, right = await self._credentials(mechanism.upper(), initial)
        if right:
            said = await self._answer("AUTH", "235 2.7.0 Authentication successful")
            self._login = name if said.startswith("235") else None
        elif self._server.script.has("AUTH"):
            await self._answer("AUTH", "")
        else:
            await self._say(Answer("535 5.7.8 Authentication credentials invalid"))

    async def _credentials(self, mechanism: str, initial: str) -> tuple[str, bool]:
        users = self._server.users or {}
        if mechanism == "CRAM-MD5":
            challenge = b"<1896.697170952@upstream.test>"
            name, _, digest = (await self._challenge(challenge)).rpartition(" ")
            expected = hmac.new(users.get(name, "").encode(), challenge, hashlib.md5).hexdigest()
            return name, name in users and hmac.compare_digest(expected, digest)
        if mechanism == "LOGIN":
            name = _decoded(initial) if initial else await self._challenge(b"Username:")
            return name, users.get(name) == await self._challenge(b"Password:")
        response = _decoded(initial) if initial else await self._challenge(b"")
        if mechanism == "PLAIN":
            _, name, password = [*response.split("\0"), "", ""][:3]
            return name, users.get(name) == password
        fields = dict(part.split("=", 1) for part in response.split("\x01") if "=" in part)
        name, bearer = fields.get("user", ""), fields.get("auth", "").removeprefix("Bearer ")
        if users.get(name) == bearer:
            return name, True
        await self._challenge(b'{"status":"401","schemes":"bearer"}')
        return name, False

    async def _challenge(self, challenge: bytes) -> str:
        await self._say(Answer("334 " + base64.b64encode(challenge).decode()))
        return _decoded(await self._line())

    async def _mail(self, argument: str) -> None:
        if self._server.users is not None and self._login is None and not self._server.script.has("MAIL"):
            await self._say(Answer("530 5.7.0 Authentication required"))
            return
        self._sent_at = time.monotonic()
        if (await self._answer("MAIL", "250 2.1.0 Sender ok")).startswith("2"):
            self._sender, self._recipients = argument[5:].strip(), []

    async def _rcpt(self, argument: str) -> None:
        path = argument[3:].strip()
        address = path[1:].partition(">")[0]
        if (await self._answer("RCPT", "250 2.1.5 Recipient ok", address)).startswith("2"):
            self._recipients.append(path)

    async def _data(self, argument: str) -> None:
        if not self._recipients and not self._server.script.has("DATA"):
            await self._say(Answer("554 5.5.1 No valid recipients"))
            return
        if not (await self._answer("DATA", "354 End data with <CR><LF>.<CR><LF>")).startswith("354"):
            return
        digest, size, pieces = hashlib.sha256(), 0, []
        async for piece in unstuffed(self._reader, self._rest):
            digest.update(piece)
            size += len(piece)
            if self._server.keep_content:
                pieces.append(piece)
        number = len(self._server.transactions) + 1
        answer = self._server.script.answer_at("BODY", f"250 2.0.0 Ok: queued as UP{number}")
        self._server.transactions.append(
            Transaction(
                sender=self._sender,
                recipients=tuple(self._recipients),
                content=b"".join(pieces),
                size=size,
                sha256=digest.hexdigest(),
                tls=self._tls,
                login=self._login,
                reply=answer.text or "",
                at=self._sent_at,
            )
        )
        self._recipients = []
        await self._say(answer)

    async def _rset(self, argument: str) -> None:
        self._recipients = []
        await self._answer("RSET", "250 2.0.0 Ok")

    async def _noop(self, argument: str) -> None:
        await self._answer("NOOP", "250 2.0.0 Ok")

    async def _quit(self, argument: str) -> None:
        await self._answer("QUIT", "221 2.0.0 Bye")
        self._open = False


def _decoded(text: str) -> str:
    return base64.b64decode("" if text == "=" else text).decode(errors="surrogateescape")
