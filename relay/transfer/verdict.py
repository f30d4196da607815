"""What a conversation means for each recipient, and for the upstream as a whole. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from relay.config.providers import Provider
from relay.reply import Reply, reply
from relay.spool.records import Claim, HoldReason, SpooledMessage, SpooledRecipient
from relay.transfer.classification import Named, Occasion, Stage, outcome_for, stage_of
from relay.transfer.outcome import Deferred, Hold, Outcome, Relayed, Scope, Uncertain
from relay.upstream.contract import Cause, Conversation, Phase

_OF_THE_MESSAGE = frozenset(
    {Cause.SMTPUTF8_MISSING, Cause.TOO_LARGE, Cause.NOT_CARRIED, Cause.CONTENT_UNREADABLE, Cause.LEASE_LOST}
)
# Begins where a word does, so that a long word without an address is looked through once.
_ADDRESS = re.compile(r"(?<![^\s<>()\[\]:;,\"'])[^\s<>()\[\]:;,\"']+@[\w.-]+")
_NO_ANSWER = reply(451, "4.4.2", "The conversation ended without an answer")


def outcomes_of(
    conversation: Conversation, claim: Claim, provider: Provider, *, logs_in: bool = True
) -> tuple[Outcome, ...]:
    """Return the outcome of each of the claim's recipients, by position: its own refusal first, then the common end.

    `logs_in` False: the upstream was given no login, so that one that is asked for is missed by whatever message.
    """
    return tuple(_outcome(conversation, at, claim, provider, logs_in) for at in range(len(claim.recipients)))


def outcome_of_probe(conversation: Conversation, provider: Provider) -> Outcome:
    """Return what a login alone came to: Relayed stands for success."""
    ended = conversation.reply or _NO_ANSWER
    if conversation.phase is Phase.DONE:
        return Relayed(ended)
    return outcome_for(Occasion(provider, stage_of(conversation.phase), ended), conversation.cause)


def unreachable(conversation: Conversation) -> bool:
    """True where the conversation failed before MAIL for a reason that has nothing to do with the message.

    So it is too where the upstream wants to be left alone for a while.
    """
    before_mail = conversation.phase < Phase.MAIL and conversation.cause not in _OF_THE_MESSAGE
    return before_mail or conversation.pause > 0


def unanswered(conversation: Conversation) -> bool:
    """True where a reply to MAIL, or behind it, was waited for in vain."""
    return conversation.cause is Cause.TIMEOUT and conversation.phase > Phase.AUTH


def account_hold(outcomes: Sequence[Outcome]) -> Hold | None:
    """Return the hold that concerns the whole upstream, where there is one."""
    for one in outcomes:
        if isinstance(one, Hold) and one.scope is Scope.UPSTREAM:
            return one
    return None


def complains_of_connections(outcomes: Sequence[Outcome]) -> bool:
    """True where the upstream says that fewer connections would do."""
    return any(isinstance(one, Deferred) and one.slower for one in outcomes)


def _outcome(conversation: Conversation, at: int, claim: Claim, provider: Provider, logs_in: bool) -> Outcome:
    said = conversation.recipients[at] if at < len(conversation.recipients) else None
    if said is not None and not said.positive:
        return outcome_for(Occasion(provider, Stage.RCPT, said, named_in(said, at, claim.message, claim.recipients)))
    if conversation.ambiguous:
        return Uncertain(conversation.phase)
    ended = conversation.reply or _NO_ANSWER
    if conversation.phase is Phase.DONE and ended.positive:
        # A recipient that was never offered cannot have been taken, whatever the final reply says.
        return Relayed(ended) if said is not None else Deferred(_NO_ANSWER)
    if conversation.cause is Cause.SMTPUTF8_MISSING and _held_up_by_others(claim, at):
        return Deferred(ended, conversation.cause.value)
    occasion = Occasion(
        provider, stage_of(conversation.phase), ended, named_in(ended, at, claim.message, claim.recipients)
    )
    outcome = outcome_for(occasion, conversation.cause)
    refused = conversation.phase is Phase.MAIL and isinstance(outcome, Hold) and outcome.reason is HoldReason.AUTH
    if refused and logs_in and claim.message.reverse_path is None:
        # Microsoft says "530 5.7.57 Client not authenticated" to MAIL FROM:<> of a client that is.
        return Hold(ended, HoldReason.SEND_AS, Scope.SENDER)
    return outcome


def _held_up_by_others(claim: Claim, at: int) -> bool:
    """True where an envelope needs SMTPUTF8 because of other recipients: without them this one can be sent to."""
    sender, path = claim.message.reverse_path, claim.recipients[at].recipient.forward_path
    others = not all(row.recipient.forward_path.ascii for row in claim.recipients)
    return path.ascii and others and (sender is None or sender.ascii)


def named_in(said: Reply, at: int, message: SpooledMessage, recipients: Sequence[SpooledRecipient]) -> Named:
    """Return who of an envelope stands in a reply; `at` is the recipient whose outcome it is."""
    named = {found.rstrip(".-").casefold() for found in _ADDRESS.findall(said.text)}
    if not named:
        return "nobody"
    if message.header_from.casefold() in named or (message.reverse_path and message.reverse_path.key in named):
        return "sender"
    paths = [row.recipient.forward_path.key for row in recipients]
    if paths[at] in named:
        return "recipient"
    return "other" if named.intersection(paths) else "nobody"
