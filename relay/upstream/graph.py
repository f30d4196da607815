"""The upstream that is a mailbox at Microsoft Graph: sendMail with MIME, and drafts for what is larger.

Sources, at learn.microsoft.com/graph: api/user-sendmail, outlook-send-mime-message, outlook-large-attachments,
throttling-limits.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from relay.envelope import Content, Envelope
from relay.reply import reply
from relay.upstream.connection import Route
from relay.upstream.connections import GRACE
from relay.upstream.contract import Cause, Clearance, Conversation, Phase
from relay.upstream.examination import Admit, Examination
from relay.upstream.failures import ConversationEnded
from relay.upstream.graph_answers import pause_of, reply_of
from relay.upstream.graph_draft import Draft
from relay.upstream.graph_examination import NOTHING, examined, welcome
from relay.upstream.graph_halves import halves_of, joined, refuses_somebody
from relay.upstream.graph_service import GraphService
from relay.upstream.graph_submission import Submission
from relay.upstream.rehearsal import Trial
from relay.upstream.tokens import MailboxTokens
from relay.upstream.trust import Trust


class Graph:
    """One mailbox, as one application or person."""

    def __init__(
        self,
        name: str,
        mailbox: str,
        route: Route,
        trust: Trust,
        source: MailboxTokens,
        *,
        max_connections: int = 4,
        session_limit: float = 900.0,
    ) -> None:
        self._name = name
        self._source = source
        self._service = GraphService(
            route, trust, source, mailbox, max_connections=max_connections, session_limit=session_limit
        )
        self._removing: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<Graph {self._name} {self._service.host} {self._service.connections!r}>"

    @property
    def name(self) -> str:
        """Its table's name in the configuration."""
        return self._name

    @property
    def token_expires_at(self) -> int | None:
        """When the access token in hand expires, in milliseconds since the epoch; None where there is none."""
        return self._source.expires_at

    @property
    def connections(self) -> int:
        """Connections open now."""
        return self._service.connections.count

    async def send(self, envelope: Envelope, content: Content, clearance: Clearance) -> Conversation:
        """Offer one message; once more where a kept connection turned out to be dead before anything was sent.

        Where Graph refuses one of several recipients the others get it in smaller parts.
        """
        conversation, stale = await self._offered(envelope, content, clearance)
        if stale:
            conversation, _ = await self._offered(envelope, content, clearance)
        if not refuses_somebody(conversation):
            return conversation
        return joined([await self.send(half, content, clearance) for half in halves_of(envelope)])

    async def probe(self) -> Conversation:
        """Ask for what can't be sent, by the way of mail: phase DONE when mail would be taken."""
        quiet = self._service.quiet()
        if quiet is not None:
            return Conversation(Phase.MAIL, (), quiet[1], pause=quiet[0])
        try:
            await self._source.credential()
            async with self._service.channel() as channel:
                answer = await channel.ask(NOTHING)
        except ConversationEnded as end:
            return end.conversation(0)
        if welcome(answer):
            return Conversation(Phase.DONE, (), reply(250, "2.0.0", "Ok", self._service.host))
        phase, said = reply_of(answer, self._service.host)
        return Conversation(min(phase, Phase.MAIL), (), said, pause=pause_of(answer))

    async def examine(self, trials: Sequence[Trial], admit: Admit) -> Examination:
        """Try it step by step, on a connection of its own and with a new token; nothing is sent."""
        return await examined(self._service)

    async def retire(self) -> None:
        """Close idle connections, and each other one when its message has ended."""
        await self._service.connections.retire()

    async def aclose(self) -> None:
        """Close all connections; messages on their way get a few seconds."""
        if self._removing:
            await asyncio.wait(self._removing, timeout=GRACE)
        await self._service.connections.aclose()

    async def _offered(self, envelope: Envelope, content: Content, clearance: Clearance) -> tuple[Conversation, bool]:
        submission = Submission(self._service, envelope, content, clearance)
        try:
            conversation = await submission.run()
        finally:
            if submission.draft is not None and submission.draft.id:
                self._remove(submission.draft)
        early = conversation.phase <= Phase.CONTENT and conversation.cause is Cause.DISCONNECTED
        return conversation, early and submission.kept and submission.draft is None

    def _remove(self, draft: Draft) -> None:
        """Delete a draft that will not be sent, as far as that can be done; nobody waits for it."""

        async def removed() -> None:
            with contextlib.suppress(ConversationEnded, TimeoutError):
                async with asyncio.timeout(GRACE), self._service.channel() as channel:
                    await channel.ask(draft.removal)

        task = asyncio.get_running_loop().create_task(removed())
        self._removing.add(task)
        task.add_done_callback(self._removing.discard)
