"""One connection of the load program: an application that waits for each reply, as smtp-source does."""

from __future__ import annotations

import asyncio
import base64
import hmac
import ssl
import time
from array import array
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import cast

SENDER, RECIPIENT = b"app@clinic.test", b"patient@example.test"
USERNAME, PASSWORD = "bench", "a-password-of-the-load-program"
_EHLO = b"EHLO app.clinic.test\r\n"
_TO_TLS = b"(TLS begins)"
_LINE = b"X" * 78 + b"\r\n"


class UnexpectedReplyError(Exception):
    """The system refused, or closed, where it should not have."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What sessions send: messages of `size` octets, all on one connection or, unless `reused`, each on its own."""

    size: int = 4096
    reused: bool = True
    mechanism: str | None = None
    starttls: bool = False


@dataclass(slots=True)
class Tally:
    """Seconds of every message: from the final dot to its 250, and from MAIL (or connecting, where new) to its 250."""

    acceptance: array[float] = field(default_factory=lambda: array("d"))
    transaction: array[float] = field(default_factory=lambda: array("d"))

    def add(self, began: float, dotted: float) -> None:
        """A message was just answered with 250."""
        now = time.monotonic()
        self.acceptance.append(now - dotted)
        self.transaction.append(now - began)


class Connection(asyncio.Protocol):
    """Holds one conversation; `over` is done when it has ended, with UnexpectedReplyError when it went wrong."""

    def __init__(self, plan: Plan, numbers: Iterator[int], tally: Tally) -> None:
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._steps = _conversation(plan, numbers, tally)
        self._transport: asyncio.Transport | None = None
        self._left = b""
        self._upgrade: asyncio.Task[None] | None = None
        next(self._steps)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the greeting."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Take one step when the reply is whole: nothing is pipelined, so there is never more than one."""
        reply = self._left + data if self._left else data
        last = reply.rfind(b"\n", 0, -1) + 1
        if reply[-1:] != b"\n" or reply[last + 3 : last + 4] == b"-":
            self._left = reply
            return
        self._left = b""
        self._step(reply[last:])

    def _step(self, reply: bytes) -> None:
        assert self._transport is not None
        try:
            octets = self._steps.send(reply)
        except StopIteration:
            self._end(None)
        except UnexpectedReplyError as unexpected:
            self._end(unexpected)
        else:
            if octets is _TO_TLS:
                self._upgrade = asyncio.get_running_loop().create_task(self._begin_tls())
            else:
                self._transport.write(octets)

    async def _begin_tls(self) -> None:
        assert self._transport is not None
        try:
            upgraded = await asyncio.get_running_loop().start_tls(self._transport, self, _tls())
        except OSError as error:
            self._end(UnexpectedReplyError(f"TLS: {error}"))
            return
        assert upgraded is not None
        self._transport = upgraded
        self._step(b"")

    def connection_lost(self, error: Exception | None) -> None:
        """The system hung up."""
        self._end(UnexpectedReplyError(f"connection lost: {error}"))

    def _end(self, error: Exception | None) -> None:
        if self.over.done():
            return
        if error is None:
            self.over.set_result(None)
        else:
            self.over.set_exception(error)
        if self._transport is not None:
            self._transport.close()


def content_of(size: int) -> bytes:
    """The content behind its Message-ID, dot included: about `size` octets, and nothing to be stuffed."""
    head = b"From: <%s>\r\nTo: <%s>\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\nSubject: load\r\n\r\n" % (
        SENDER,
        RECIPIENT,
    )
    lines = _LINE * max(1, (size - len(head)) // len(_LINE))
    return head + lines + b".\r\n"


def _conversation(plan: Plan, numbers: Iterator[int], tally: Tally) -> Generator[bytes, bytes, None]:
    """What is sent next, given the last line of each reply."""
    began, content = time.monotonic(), content_of(plan.size)
    _expect(b"220", (yield b""))
    _expect(b"250", (yield _EHLO))
    if plan.starttls:
        _expect(b"220", (yield b"STARTTLS\r\n"))
        yield _TO_TLS
        _expect(b"250", (yield _EHLO))
    if plan.mechanism is not None:
        yield from _log_in(plan.mechanism)
    for number in numbers:
        if plan.reused:
            began = time.monotonic()
        _expect(b"250", (yield b"MAIL FROM:<%s>\r\n" % SENDER))
        _expect(b"250", (yield b"RCPT TO:<%s>\r\n" % RECIPIENT))
        _expect(b"354", (yield b"DATA\r\n"))
        whole = b"Message-ID: <%d@app.clinic.test>\r\n%s" % (number, content)
        dotted = time.monotonic()
        _expect(b"250", (yield whole))
        tally.add(began, dotted)
    _expect(b"221", (yield b"QUIT\r\n"))


def _log_in(mechanism: str) -> Generator[bytes, bytes, None]:
    if mechanism == "PLAIN":
        response = base64.b64encode(f"\0{USERNAME}\0{PASSWORD}".encode())
        _expect(b"235", (yield b"AUTH PLAIN %s\r\n" % response))
        return
    challenge = yield b"AUTH CRAM-MD5\r\n"
    _expect(b"334", challenge)
    digest = hmac.new(PASSWORD.encode(), base64.b64decode(challenge[4:]), "md5").hexdigest()
    _expect(b"235", (yield base64.b64encode(f"{USERNAME} {digest}".encode()) + b"\r\n"))


def _expect(code: bytes, reply: bytes) -> None:
    if not reply.startswith(code):
        raise UnexpectedReplyError(f"expected {code.decode()}, got {reply.decode(errors='replace').rstrip()}")


_context: list[ssl.SSLContext] = []


def _tls() -> ssl.SSLContext:
    """Verifies nothing: what is measured is the system's share of the handshake. Whole handshakes, none resumed."""
    if not _context:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        _context.append(context)
    return _context[0]
