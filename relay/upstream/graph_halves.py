"""A message of which Graph refuses a recipient, and does not say which: it is offered to ever smaller parts. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from relay.envelope import Envelope
from relay.reply import Reply, reply
from relay.upstream.contract import Conversation, Phase

_CODE = "ErrorInvalidRecipients"
_UNKNOWN = reply(451, "4.4.2", "No answer to the request that sends")


def refuses_somebody(conversation: Conversation) -> bool:
    """Tell whether all were refused because of one of them."""
    said = conversation.reply
    return len(conversation.recipients) > 1 and said is not None and said.permanent and _CODE in said.text


def halves_of(envelope: Envelope) -> tuple[Envelope, Envelope]:
    """Return the envelope in two."""
    middle = len(envelope.recipients) // 2
    rows = envelope.recipients
    return replace(envelope, recipients=rows[:middle]), replace(envelope, recipients=rows[middle:])


def joined(parts: Sequence[Conversation]) -> Conversation:
    """Return one conversation about all the parts; each part's end is told as the reply to its recipients.

    It is ambiguous as a whole where nobody is known to have been reached, and of somebody nobody can know. Where others
    were reached, he is tried again by himself.
    """
    taken = [part for part in parts if part.phase is Phase.DONE and part.reply is not None and part.reply.positive]
    replies = tuple(said for part in parts for said in _replies(part))
    pause = max(part.pause for part in parts)
    if taken:
        return Conversation(Phase.DONE, replies, taken[0].reply, pause=pause)
    lost = next((part for part in parts if part.ambiguous), None)
    if lost is not None:
        return Conversation(Phase.FINAL_DOT, (None,) * len(replies), None, lost.cause)
    return Conversation(Phase.RCPT, replies, parts[-1].reply, pause=pause)


def _replies(part: Conversation) -> tuple[Reply | None, ...]:
    if any(said is not None for said in part.recipients):
        return part.recipients
    return (part.reply or _UNKNOWN,) * len(part.recipients)
