"""What the spool records of one recipient after an attempt. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from relay.config.operating_settings import QueueSettings
from relay.reply import Reply, reply
from relay.spool.records import HoldReason, RecipientState, Settlement, SpooledRecipient
from relay.transfer.outcome import Deferred, Failed, Hold, Outcome, Relayed, Scope, Uncertain
from relay.transfer.schedule import after_uncertain, next_attempt

_STANDS_BACK = 60_000

NO_FINAL_REPLY = reply(451, "4.4.2", "No answer after the final dot: nobody knows whether the message was taken")


@dataclass(frozen=True, slots=True)
class Terms:
    """When and by which rules an attempt is settled.

    `trial_at` is when an unreachable upstream is tried again: the message keeps its turn, for it is not at fault.
    """

    at: int
    queue: QueueSettings
    chance: float
    trial_at: int | None = None


def settlement_for(row: SpooledRecipient, outcome: Outcome, terms: Terms) -> Settlement:
    """Return the record of one recipient's outcome."""
    if isinstance(outcome, Relayed):
        return Settlement(row.position, RecipientState.RELAYED, "relayed", outcome.reply)
    if isinstance(outcome, Failed):
        return Settlement(row.position, RecipientState.FAILED, "failed", outcome.reply)
    if isinstance(outcome, Uncertain):
        return _uncertain(row, terms)
    if isinstance(outcome, Hold):
        return _held(row, outcome, terms)
    return _deferred(row, outcome, terms)


def passed_on(settlement: Settlement, upstream: str, at: int) -> Settlement:
    """Return the record of a recipient that would be held, and that another upstream may send."""
    return Settlement(
        settlement.position,
        RecipientState.QUEUED,
        "deferred",
        settlement.reply,
        next_attempt_at=at,
        upstream=upstream,
        delay_told=settlement.delay_told,
    )


def noted(settlements: Sequence[Settlement], note: Reply | None) -> Sequence[Settlement]:
    """Add to what ended what was done to the message before it was offered; a mere deferral needs no second telling."""
    if note is None:
        return settlements
    return [one if one.event == "deferred" else replace(one, note=note) for one in settlements]


def expired(last: Reply | None) -> Reply:
    """Return what is said of a recipient that was tried until its time was over, RFC 3463 X.4.7."""
    words = f"; the last answer was: {last}" if last else ""
    return reply(451, "4.4.7", f"Delivery time expired{words}")


def _deferred(row: SpooledRecipient, outcome: Deferred, terms: Terms) -> Settlement:
    due_at = next_attempt(row.attempts, terms.at, row.give_up_at, terms.queue, terms.chance)
    if due_at is None:
        return Settlement(row.position, RecipientState.FAILED, "failed", expired(outcome.reply))
    if terms.trial_at is not None:
        due_at = row.next_attempt_at
    return Settlement(row.position, RecipientState.QUEUED, "deferred", outcome.reply, next_attempt_at=due_at)


def _uncertain(row: SpooledRecipient, terms: Terms) -> Settlement:
    due_at = after_uncertain(row.uncertain, terms.at, terms.queue)
    if due_at is not None and due_at > row.give_up_at:
        # Too late to be offered again. The sender hears that nobody knows.
        return Settlement(row.position, RecipientState.FAILED, "failed", expired(NO_FINAL_REPLY), uncertain=True)
    if due_at is None:
        return Settlement(
            row.position,
            RecipientState.HELD,
            "held",
            NO_FINAL_REPLY,
            uncertain=True,
            hold_reason=HoldReason.AMBIGUOUS,
        )
    return Settlement(
        row.position, RecipientState.QUEUED, "uncertain", NO_FINAL_REPLY, next_attempt_at=due_at, uncertain=True
    )


def _held(row: SpooledRecipient, outcome: Hold, terms: Terms) -> Settlement:
    if outcome.scope is Scope.SENDER:
        return Settlement(row.position, RecipientState.HELD, "held", outcome.reply, hold_reason=outcome.reason)
    # Due at once, for the gate holds it back; a little behind its turn, so that the next probe is another message.
    due_at = min(terms.at, row.next_attempt_at + row.attempts * _STANDS_BACK)
    return Settlement(row.position, RecipientState.QUEUED, "deferred", outcome.reply, next_attempt_at=due_at)
