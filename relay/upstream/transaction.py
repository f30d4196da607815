"""One mail transaction on an open connection: MAIL, RCPT and DATA pipelined where offered, then the content."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

from relay.envelope import Content, Envelope
from relay.reply import Reply, reply
from relay.upstream.commands import mail_command, misfit_of, rcpt_command
from relay.upstream.connection import NETWORK_ERRORS, Connection
from relay.upstream.contract import Cause, Clearance, Conversation, Phase
from relay.upstream.dot_stuffing import DotStuffing
from relay.upstream.failures import ConversationEnded, ended_by, reply_for

WINDOW = 100
"""Commands in flight at most; RFC 2920 sets no limit, and servers' input buffers do."""

PIECE = 128 * 1024
"""Octets written before the network has to show progress within the timeout."""

FINAL_REPLY_FACTOR = 10
"""The reply to the final dot is waited for so many times the upstream's `timeout`: with its 60 s the 10 minutes of
RFC 5321 §4.5.3.2.6. Hanging up earlier would send messages twice that the server was still storing."""

_UNSAFE = re.compile(rb"[\x00-\x1f\x7f]")


class Transaction:
    """Offers one message. `phase` and `replies` are exact at any moment, also when it is cancelled."""

    def __init__(self, connection: Connection, envelope: Envelope, content: Content, clearance: Clearance) -> None:
        self.phase = Phase.MAIL
        self.replies: list[Reply | None] = [None] * len(envelope.recipients)
        self._connection = connection
        self._protocol = connection.protocol
        self._timeout = connection.route.timeout
        self._envelope = envelope
        self._content = content
        self._clearance = clearance
        self._mail: Reply | None = None
        self._data: Reply | None = None

    async def run(self) -> Conversation:
        """Return what came of it. The connection may be used again only where it is still `usable` afterwards."""
        try:
            misfit = misfit_of(self._envelope, self._content, self._connection.extensions)
            if misfit is not None:
                return self._report(reply_for(misfit, self.phase, self._connection.route.host), misfit)
            commands = self._commands()
            await self._clearance.before_mail()
            if not self._protocol.usable:
                # It was open when we began to wait for the quota: the same as one that ended while it was idle.
                self._connection.kept = True
                raise self._end(Cause.DISCONNECTED)
            await self._reset()
            await self._offer(commands)
            return await self._concluded()
        except ConversationEnded as end:
            self._connection.abort()
            self.phase = end.phase
            return self._report(end.reply, end.cause)
        except NETWORK_ERRORS as error:
            self._connection.abort()
            ended = ended_by(error, self.phase, self._connection.route.host)
            return self._report(ended.reply, ended.cause)

    def _commands(self) -> list[bytes]:
        extensions = self._connection.extensions
        envelope = self._envelope
        commands = [mail_command(envelope, self._content, extensions)]
        commands += [rcpt_command(recipient, extensions) for recipient in envelope.recipients]
        commands.append(b"DATA")
        if _UNSAFE.search(b"".join(commands)):
            # Addresses are checked when they come in; what slips through must not become a command of its own.
            raise ConversationEnded(Phase.MAIL, reply(553, "5.1.3", "An address with control characters"))
        return commands

    async def _reset(self) -> None:
        if self._connection.needs_reset:
            if (await self._connection.command(b"RSET")).code != 250:
                # No fault of this message: a new connection remembers nothing.
                self._connection.kept = True
                raise self._end(Cause.DISCONNECTED)
            self._connection.needs_reset = False

    async def _offer(self, commands: list[bytes]) -> None:
        """Say the commands and take their replies, as many at a time as the server allows."""
        window = WINDOW if "PIPELINING" in self._connection.extensions else 1
        last = len(commands) - 1
        for start in range(0, len(commands), window):
            group = commands[start : start + window]
            if start and (self._mail_refused or (start == last and not self._accepted)):
                return
            self._protocol.write(b"\r\n".join(group) + b"\r\n")
            for index in range(start, start + len(group)):
                self.phase = Phase.MAIL if index == 0 else Phase.DATA if index == last else Phase.RCPT
                self._take(await self._protocol.next_reply(self._timeout), index, last)

    def _take(self, said: Reply, index: int, last: int) -> None:
        if index == 0:
            self._mail = said
        elif index == last:
            self._data = said
        elif not self._mail_refused:
            self.replies[index - 1] = said
        if said.code == 421:
            # RFC 5321 §3.8: it closes the connection now, and nothing more will be said.
            first = self._mail if self._mail is not None and self._mail_refused else said
            raise ConversationEnded(Phase.MAIL if self._mail_refused else self.phase, first)
        expected = said.code == 354 if index == last else said.code // 100 == 2
        if said.positive and not expected:
            raise self._end(Cause.GARBLED)

    @property
    def _mail_refused(self) -> bool:
        return self._mail is not None and not self._mail.positive

    @property
    def _accepted(self) -> bool:
        return any(said is not None and said.positive for said in self.replies)

    async def _concluded(self) -> Conversation:
        refused = self._refusal()
        if refused is None:
            return self._report(await self._send_content())
        self.phase, said = refused
        if self._data is not None and self._data.positive:
            await self._send_nothing()
        else:
            self._connection.needs_reset = not self._mail_refused
        return self._report(said)

    def _refusal(self) -> tuple[Phase, Reply] | None:
        if self._mail is not None and not self._mail.positive:
            return Phase.MAIL, self._mail
        if not self._accepted:
            refusals = [said for said in self.replies if said is not None]
            return (Phase.RCPT, refusals[-1]) if refusals else (Phase.RCPT, reply(554, "5.5.1", "No recipients"))
        if self._data is not None and not self._data.positive:
            return Phase.DATA, self._data
        return None

    async def _send_nothing(self) -> None:
        """End a DATA that was allowed although nobody is to get it, with a lone dot (RFC 2920 §3.1)."""
        if self._mail_refused:
            # A server that goes on without a sender may have accepted recipients, and send them an empty message.
            self._connection.abort()
            return
        try:
            self._protocol.write(b".\r\n")
            await self._protocol.next_reply(self._timeout)
        except NETWORK_ERRORS:
            self._connection.abort()

    async def _send_content(self) -> Reply:
        self.phase = Phase.CONTENT
        stuffing = DotStuffing()
        held = memoryview(b"")
        chunks = self._content.chunks()
        while (chunk := await self._next_of(chunks)) is not None:
            await self._write(held)
            held = memoryview(stuffing.stuffed(chunk))
        cut = max(len(held) - PIECE, 0)
        await self._write(held[:cut])
        if not self._clearance.before_final_dot():
            raise self._end(Cause.LEASE_LOST)
        await self._interruption()
        self._protocol.write_together(held[cut:], stuffing.end())
        self.phase = Phase.FINAL_DOT
        said = await self._protocol.next_reply(self._timeout * FINAL_REPLY_FACTOR)
        if said.code // 100 == 3:
            raise self._end(Cause.GARBLED)
        self.phase = Phase.DONE
        if said.code == 421:
            self._connection.abort()
        return said

    async def _next_of(self, chunks: AsyncIterator[bytes]) -> bytes | None:
        try:
            return await anext(chunks, None)
        except Exception as error:
            # The content is somebody else's, who may fail in any way; nothing of the message must be taken then.
            raise self._end(Cause.CONTENT_UNREADABLE) from error

    async def _write(self, octets: memoryview) -> None:
        for start in range(0, len(octets), PIECE):
            await self._interruption()
            self._protocol.write(octets[start : start + PIECE])  # type: ignore[arg-type]
            await self._protocol.drained(self._timeout)

    async def _interruption(self) -> None:
        """End here where the server has already spoken or gone: what it says is not about the complete message."""
        if self._protocol.interrupted:
            said = await self._protocol.next_reply(0.0)
            if said.positive:
                raise self._end(Cause.GARBLED)
            raise ConversationEnded(self.phase, said)

    def _end(self, cause: Cause) -> ConversationEnded:
        self._connection.phase = self.phase
        return self._connection.end(cause)

    def _report(self, said: Reply | None, cause: Cause | None = None) -> Conversation:
        if self.phase is Phase.FINAL_DOT:
            # Whoever says nothing after the final dot may have taken the message.
            said = None
        dsn = "DSN" in self._connection.extensions
        return Conversation(self.phase, tuple(self.replies), said, cause, dsn=dsn)
