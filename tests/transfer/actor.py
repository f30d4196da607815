"""An upstream that plays a part: it answers by script, through the face that transfer sees."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from relay.envelope import Content, Envelope
from relay.reply import Reply, parse_reply
from relay.upstream.contract import Cause, Clearance, Conversation, Phase

Line = Callable[[Envelope], Conversation]
"""What an actor makes of an envelope."""


def said(code: int, text: str) -> Reply:
    """A reply as a server says it."""
    return parse_reply(code, text, "mx.provider.test")


OK = said(250, "2.0.0 Ok: taken")
RCPT_OK = said(250, "2.1.5 Ok")


def taken(envelope: Envelope, *, dsn: bool = False) -> Conversation:
    """Everything went well."""
    return Conversation(Phase.DONE, (RCPT_OK,) * len(envelope.recipients), OK, dsn=dsn)


def taken_with_dsn(envelope: Envelope) -> Conversation:
    """Everything went well, and the upstream notifies of success itself."""
    return taken(envelope, dsn=True)


def ends(phase: Phase, reply: Reply | None, cause: Cause | None = None) -> Line:
    """The conversation ends in `phase`; recipients that were offered before it had been accepted."""

    def line(envelope: Envelope) -> Conversation:
        reached = RCPT_OK if phase > Phase.RCPT else None
        return Conversation(phase, (reached,) * len(envelope.recipients), reply, cause)

    return line


def final(code: int, text: str) -> Line:
    """The final reply."""
    return ends(Phase.DONE, said(code, text))


def refuses(refused: dict[str, Reply], end: Line = taken) -> Line:
    """RCPT is refused to those named; the others go on to `end`."""

    def line(envelope: Envelope) -> Conversation:
        ended = end(envelope)
        replies = tuple(
            refused.get(str(one.forward_path), reply)
            for one, reply in zip(envelope.recipients, ended.recipients, strict=True)
        )
        if all(reply is not None and not reply.positive for reply in replies):
            return Conversation(Phase.RCPT, replies, replies[-1])
        return Conversation(ended.phase, replies, ended.reply, ended.cause)

    return line


CONNECTION_REFUSED = ends(Phase.CONNECT, Reply(421, None, "Connection refused"), Cause.CONNECTION_REFUSED)
VANISHED = ends(Phase.FINAL_DOT, None, Cause.DISCONNECTED)
PASSWORD_REFUSED = ends(Phase.AUTH, said(535, "5.7.8 Username and Password not accepted"))


@dataclass(frozen=True, slots=True)
class Offer:
    """A message that the actor was offered."""

    envelope: Envelope
    octets: bytes
    at: float


class Actor:
    """Follows `script` line by line, then `always`. While `go` is not set, messages it was offered wait for the answer:
    before the final dot, or with `waits_after_dot` behind it.
    """

    def __init__(self, name: str, *script: Line, always: Line = taken) -> None:
        self._name = name
        self.script = deque(script)
        self.always = always
        self.offers: list[Offer] = []
        self.probes = 0
        self.conversations = 0
        self.open = 0
        self.most_open = 0
        self.waits_after_dot = False
        self.go = asyncio.Event()
        self.go.set()

    @property
    def name(self) -> str:
        return self._name

    @property
    def connections(self) -> int:
        return self.open

    async def send(self, envelope: Envelope, content: Content, clearance: Clearance) -> Conversation:
        self.open += 1
        self.conversations += 1
        self.most_open = max(self.most_open, self.open)
        try:
            line = self.script.popleft() if self.script else self.always
            conversation = line(envelope)
            if conversation.phase < Phase.MAIL:
                return conversation
            await clearance.before_mail()
            octets = b"".join([piece async for piece in content.chunks()])
            self.offers.append(Offer(envelope, octets, asyncio.get_running_loop().time()))
            if not self.waits_after_dot:
                await self.go.wait()
            if conversation.phase >= Phase.FINAL_DOT and not clearance.before_final_dot():
                return Conversation(Phase.CONTENT, conversation.recipients, None, Cause.LEASE_LOST)
            if self.waits_after_dot:
                await self.go.wait()
            return conversation
        finally:
            self.open -= 1

    async def probe(self) -> Conversation:
        self.probes += 1
        line = self.script.popleft() if self.script else self.always
        conversation = line(Envelope(None, ()))
        return conversation if conversation.phase < Phase.MAIL else Conversation(Phase.DONE, (), OK)

    async def retire(self) -> None:
        return None

    async def aclose(self) -> None:
        return None
