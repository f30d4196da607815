"""One side of an SMTP conversation: reads lines, says replies by name, and lets failures strike."""

from __future__ import annotations

import asyncio
import email.utils
import secrets
import time
from collections.abc import Iterable

from relay.simulator.connection import Connection, Hangup
from relay.simulator.faults import Fault
from relay.simulator.premises import Premises, milliseconds
from relay.simulator.provider import Provider, wire

_GARBLE = b"\x16\x03\x01\x00~~ 2x0 not a reply\xff\r\n"


class Closing(Exception):  # noqa: N818
    """The last reply has been said."""


class Dialogue:
    """What every part of a conversation needs. `login` is who has signed in, empty before."""

    def __init__(self, connection: Connection, provider: Provider, premises: Premises) -> None:
        self.connection = connection
        self.provider = provider
        self.premises = premises
        self.login = ""
        self._offered: tuple[Provider, bool, frozenset[str]] | None = None
        self.begun = time.monotonic()

    @property
    def offered(self) -> frozenset[str]:
        """The keywords of our EHLO reply as things stand."""
        tls = self.connection.tls is not None
        if self._offered is None or self._offered[0] is not self.provider or self._offered[1] is not tls:
            self._offered = (self.provider, tls, self.provider.offered(tls=tls))
        return self._offered[2]

    async def read_line(self, limit: int) -> bytes:
        """Return the client's next line; ends the conversation when it says nothing, or has gone on for too long."""
        options = self.premises.options
        left = self.begun + options.session_limit - time.monotonic()
        try:
            async with asyncio.timeout(max(min(options.idle_timeout, left), 0.0)):
                return await self.connection.read_line(limit)
        except TimeoutError:
            await self.say("session_limit" if left <= options.idle_timeout else "idle")
            raise Closing from None

    async def say(self, name: str, **fields: object) -> None:
        """Say the reply called `name`; a 421 ends the conversation."""
        await self.say_text(self.provider.texts[name], **fields)

    async def say_text(self, text: str, **fields: object) -> None:
        """Say a reply in the notation of the data files; a 421 ends the conversation."""
        self.connection.write(wire(text, _Facts(self, fields)))
        await self.connection.drain()
        if text.startswith("421"):
            raise Closing

    async def refuse(self, name: str, what: str, **fields: object) -> bool:
        """Note a breach; where strict also say the reply `name` and return True."""
        self.premises.violate(self.provider.name, what)
        if self.premises.options.strict:
            await self.say(name, **fields)
        return self.premises.options.strict

    async def struck(self, stage: str, recipients: Iterable[str] = (), **fields: object) -> bool:
        """Let the failure due at `stage` happen; True where it has answered in our place."""
        fault = self.due(stage, recipients)
        return fault is not None and await self.strike(fault, **fields)

    def due(self, stage: str, recipients: Iterable[str] = (), octets: int = 0) -> Fault | None:
        """Return the failure due at `stage`, which counts as having happened."""
        return self.premises.faults.take(self.provider.name, stage, recipients, self.login, octets)

    async def strike(self, fault: Fault, **fields: object) -> bool:
        """Let `fault` happen; True where it has answered in our place."""
        if fault.action == "slow":
            await asyncio.sleep(fault.seconds)
            return False
        if fault.action == "close":
            self.connection.abort()
            raise Hangup
        if fault.action == "silence":
            await self._say_nothing()
        if fault.action == "garbled":
            self.connection.write(_GARBLE)
            await self.connection.drain()
            return True
        await self.say_text(fault.reply, **fields)
        return True

    async def _say_nothing(self) -> None:
        try:
            async with asyncio.timeout(self.premises.options.idle_timeout):
                await self.connection.closed.wait()
        except TimeoutError:
            self.connection.abort()
        raise Hangup


class _Facts(dict[str, object]):
    """What can be filled into a reply; found out only when a text asks for it."""

    def __init__(self, dialogue: Dialogue, known: dict[str, object]) -> None:
        super().__init__(known)
        self._dialogue = dialogue

    def __missing__(self, key: str) -> object:
        dialogue, now = self._dialogue, milliseconds()
        match key:
            case "id":
                return secrets.token_hex(8).upper()
            case "host":
                return dialogue.provider.host
            case "peer":
                return dialogue.connection.peer
            case "login":
                return dialogue.login
            case "zone":
                return dialogue.premises.options.ses_region
            case "time":
                return email.utils.formatdate(now // 1000)
            case "epoch":
                return now // 1000
            case "stamp":
                return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 1000)) + f".{now % 1000:03d}Z"
            case "seconds":
                spent = int(time.monotonic() - dialogue.begun)
                return f"{spent // 3600:02d}:{spent // 60 % 60:02d}:{spent % 60:02d}"
        return ""
