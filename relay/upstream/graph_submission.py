"""One message given to Microsoft Graph: in one request where it fits, else as a draft with its attachments."""

from __future__ import annotations

import base64

from relay.envelope import Content, Envelope
from relay.reply import Reply, reply
from relay.upstream.contract import Cause, Clearance, Conversation, Phase
from relay.upstream.failures import ConversationEnded, reply_for
from relay.upstream.graph_answers import ACCEPTED, pause_of, reply_of, too_large, unknown_fate
from relay.upstream.graph_content import Guarded, Readdressed, addressed, whole
from relay.upstream.graph_draft import MIME_LIMIT, Draft, Refused, plan_for
from relay.upstream.graph_service import MIME, Ask, Channel, GraphService
from relay.upstream.http_protocol import HttpAnswer

SIZE_LIMIT = 150 * 1024 * 1024
"""Octets of a message that Exchange Online takes at most, whichever way (the SIZE of its EHLO)."""

_FINAL_REPLY_FACTOR = 5
"""The answer to the request that sends is waited for so many times the upstream's `timeout`."""

_OK = reply(250, "2.1.5", "Recipient ok")


class Submission:
    """Offers one message. `draft` was made for it and is still there where it has an ID, whatever passes through.

    `kept` tells that the connection had been idle before.
    """

    def __init__(self, service: GraphService, envelope: Envelope, content: Content, clearance: Clearance) -> None:
        self.draft: Draft | None = None
        self.kept = False
        self._service = service
        self._envelope = envelope
        self._content = content
        self._clearance = clearance

    async def run(self) -> Conversation:
        """Return what came of it."""
        if self._content.size > min(self._service.route.largest or SIZE_LIMIT, SIZE_LIMIT):
            return self._stopped(Cause.TOO_LARGE)
        try:
            mailboxes = [row.forward_path for row in self._envelope.recipients]
            prepared = await addressed(Guarded(self._content, self._service.host), mailboxes)
            # Before a connection is taken: an authority may take its time.
            await self._service.source.credential()
            async with self._service.channel() as channel:
                self.kept = channel.connection.kept
                await self._clearance.before_mail()
                await channel.renewed()
                return await self._offered(channel, prepared)
        except ConversationEnded as end:
            return self._report(end.phase, end.reply, end.cause)

    async def _offered(self, channel: Channel, prepared: Readdressed) -> Conversation:
        quiet = self._service.quiet()
        if quiet is not None:
            return self._report(Phase.MAIL, quiet[1], pause=quiet[0])
        most = MIME_LIMIT
        in_ascii = all(row.forward_path.ascii for row in self._envelope.recipients)
        if prepared.size <= MIME_LIMIT and in_ascii:
            octets = base64.b64encode(await whole(prepared))
            patience = self._service.route.timeout * _FINAL_REPLY_FACTOR
            cleared = self._clearance.before_final_dot
            answer = await channel.ask(Ask("POST", "/sendMail", octets, MIME), cleared, patience)
            if not too_large(answer):
                return self._concluded(answer, sent=True)
            most = prepared.size // 2
        # An address beyond ASCII goes this way too: of a draft Graph tells which recipients it has read.
        return await self._as_draft(channel, prepared, most)

    async def _as_draft(self, channel: Channel, prepared: Readdressed, most: int) -> Conversation:
        plan = await plan_for(prepared, most)
        if plan is None:
            return self._stopped(Cause.NOT_CARRIED)
        self.draft = Draft(self._service, channel, prepared, plan)
        try:
            made = await self.draft.create()
            if made.status != 201:
                return self._concluded(made)
            await self.draft.attach()
            return self._concluded(await self.draft.send(self._clearance.before_final_dot), sent=True)
        except Refused as refused:
            return self._concluded(refused.answer)
        except ConversationEnded:
            if channel.connection.phase is Phase.FINAL_DOT:
                # It may be on its way, and is not to be deleted.
                self.draft.id = ""
            raise

    def _concluded(self, answer: HttpAnswer, *, sent: bool = False) -> Conversation:
        """Return what an answer means; `sent` where the request was the one that sends the message."""
        if sent and answer.status == ACCEPTED:
            number = answer.headers.get("request-id", "")
            said = reply(250, "2.0.0", f"Accepted by Microsoft Graph {number:.64}".rstrip(), self._service.host)
            return Conversation(Phase.DONE, (_OK,) * len(self._envelope.recipients), said)
        if sent and unknown_fate(answer):
            return self._report(Phase.FINAL_DOT, None)
        phase, refusal = reply_of(answer, self._service.host)
        return self._report(phase, refusal, pause=pause_of(answer))

    def _stopped(self, cause: Cause) -> Conversation:
        return self._report(Phase.MAIL, reply_for(cause, Phase.MAIL, self._service.host), cause)

    def _report(self, phase: Phase, said: Reply | None, cause: Cause | None = None, pause: float = 0.0) -> Conversation:
        if phase is Phase.FINAL_DOT:
            # Whoever says nothing to the request that sends may have taken the message.
            said = None
        return Conversation(phase, (None,) * len(self._envelope.recipients), said, cause, pause=pause)
