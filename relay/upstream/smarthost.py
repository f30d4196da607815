"""The upstream that is an SMTP server: offers messages over its connections and reports what was said."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Sequence

from relay.envelope import Content, Envelope
from relay.logs import Log
from relay.upstream.connection import Connection, Route
from relay.upstream.connections import IDLE_LIMIT, Connections
from relay.upstream.contract import Cause, Clearance, Conversation, Phase
from relay.upstream.credentials import Credential, CredentialSource, log_in, needs_renewal
from relay.upstream.examination import Admit, Examination
from relay.upstream.failures import ConversationEnded, reply_for
from relay.upstream.long_lines import speaks_of_long_lines
from relay.upstream.reencoding import reencoded
from relay.upstream.rehearsal import Trial
from relay.upstream.tokens import MailboxTokens
from relay.upstream.transaction import Transaction
from relay.upstream.trust import KeptContext, Trust

_log = Log("relay.upstream")


class Smarthost:
    """One account at one provider. `auth` is the setting that chooses the mechanism."""

    def __init__(
        self,
        name: str,
        route: Route,
        trust: Trust,
        source: CredentialSource,
        *,
        auth: str = "auto",
        max_connections: int = 10,
        session_limit: float = 900.0,
        idle_limit: float = IDLE_LIMIT,
        reencode_long_lines: bool = False,
    ) -> None:
        self._name = name
        self._route = route
        self._source = source
        self._auth = auth
        self._reencode_long_lines = reencode_long_lines
        self._largest_message: int | None = None
        self._context = KeptContext(trust, route.host)
        self._connections = Connections[Connection](max_connections, session_limit, self._open, idle_limit)

    def __repr__(self) -> str:
        return f"<Smarthost {self._name} {self._route.host}:{self._route.port} {self._connections!r}>"

    @property
    def name(self) -> str:
        """Its table's name in the configuration."""
        return self._name

    @property
    def token_expires_at(self) -> int | None:
        """When the access token in hand expires, in milliseconds since the epoch; None where there is none."""
        return self._source.expires_at if isinstance(self._source, MailboxTokens) else None

    @property
    def largest_message(self) -> int | None:
        """Octets of the largest message that is taken, as EHLO said last; None: no limit, or not known yet."""
        return self._largest_message

    @property
    def connections(self) -> int:
        """Connections open now."""
        return self._connections.count

    async def send(self, envelope: Envelope, content: Content, clearance: Clearance) -> Conversation:
        """Offer one message; once more re-encoded where it was refused for its long lines."""
        conversation = await self._sent(envelope, content, clearance, self._reencode_long_lines)
        refusal = conversation.reply if conversation.phase is Phase.DONE else None
        if refusal is None or self._reencode_long_lines or not speaks_of_long_lines(refusal):
            return conversation
        if await _readable(reencoded(content, eight_bit=False, long_lines=True)) in (content, None):
            return conversation
        return await self._sent(envelope, content, clearance, long_lines=True)

    async def probe(self) -> Conversation:
        """Connect and log in, on a connection of its own that is kept for the next message."""
        try:
            connection = await self._connections.acquire(fresh=True)
        except ConversationEnded as end:
            return end.conversation(0)
        said = connection.welcome
        self._connections.release(connection)
        return Conversation(Phase.DONE, (), said, dsn="DSN" in connection.extensions)

    async def examine(self, trials: Sequence[Trial], admit: Admit) -> Examination:
        """Try it step by step, on a connection of its own and with a new token; nothing is sent."""
        found = Examination()
        credential = await found.credential_from(self._source)
        try:
            context = await self._context.current() if self._route.security != "none" else None
            async with self._connections.aside():
                await found.converse(self._route, context, credential, self._auth, trials, admit)
        except ConversationEnded as end:
            found.ended = end
        return found

    async def retire(self) -> None:
        """Say QUIT on idle connections, and on each other one when its message has ended."""
        await self._connections.retire()

    async def aclose(self) -> None:
        """Say QUIT on idle connections and close all; messages on their way get a few seconds."""
        await self._connections.aclose()

    async def _sent(self, envelope: Envelope, content: Content, clearance: Clearance, long_lines: bool) -> Conversation:
        """Offer it once; again on a new connection where a kept one turned out to be dead."""
        conversation, kept = await self._attempt(envelope, content, clearance, long_lines, fresh=False)
        if kept and _stale(conversation):
            conversation, _ = await self._attempt(envelope, content, clearance, long_lines, fresh=True)
        return conversation

    async def _attempt(
        self, envelope: Envelope, content: Content, clearance: Clearance, long_lines: bool, *, fresh: bool
    ) -> tuple[Conversation, bool]:
        """Return the report, and whether the connection had been idle before."""
        try:
            connection = await self._connections.acquire(fresh=fresh)
        except ConversationEnded as end:
            return end.conversation(len(envelope.recipients)), False
        connection.transactions += 1
        try:
            narrow = content.eight_bit and "8BITMIME" not in connection.extensions
            offered: Content | None = content
            if narrow or long_lines:
                offered = await _readable(reencoded(content, eight_bit=narrow, long_lines=long_lines))
            if offered is None:
                said = reply_for(Cause.CONTENT_UNREADABLE, Phase.MAIL, self._route.host)
                nothing = (None,) * len(envelope.recipients)
                return Conversation(Phase.MAIL, nothing, said, Cause.CONTENT_UNREADABLE), False
            return await Transaction(connection, envelope, offered, clearance).run(), connection.kept
        except BaseException:
            connection.abort()
            raise
        finally:
            try:
                if self._connections.retired:
                    # Ours ends before the attempt does, in whose place our successor may open one.
                    await connection.quit()
            finally:
                self._connections.release(connection)

    async def _open(self) -> Connection:
        """Return a connection that is logged in; a token that is refused is replaced once."""
        credential = await self._source.credential()
        try:
            return await self._opened(credential)
        except ConversationEnded as end:
            if end.phase is not Phase.AUTH or not self._source.renewable or not needs_renewal(end.reply):
                raise
        return await self._opened(await self._source.credential(credential))

    async def _opened(self, credential: Credential) -> Connection:
        context = await self._context.current() if self._route.security != "none" else None
        connection = Connection(self._route, self._connections.lost)
        try:
            await connection.open(context)
            await log_in(connection, credential, self._auth)
            self._largest_message = connection.extensions.size_limit
        except ConversationEnded as end:
            if end.phase is Phase.AUTH:
                values = {"upstream": self._name, "reply": str(end.reply), "challenge": end.challenge}
                _log.write(logging.WARNING, "login_refused", values)
            # Said properly, so that the provider has forgotten this connection when the next one is opened.
            await connection.quit()
            raise
        except BaseException:
            connection.abort()
            raise
        return connection


async def _readable(reading: Awaitable[Content]) -> Content | None:
    """Return what is read; None where the content, which is somebody else's and may fail in any way, can't be."""
    try:
        return await reading
    except Exception:
        return None


def _stale(conversation: Conversation) -> bool:
    """Tell whether a kept connection had ended without our noticing; nothing of the message was sent then."""
    ended = conversation.cause in {Cause.DISCONNECTED, Cause.TIMEOUT}
    said = conversation.reply is not None and conversation.cause is None and conversation.reply.code == 421
    return conversation.phase <= Phase.DATA and (ended or said)
