from __future__ import annotations

import pytest

from relay.config.operating_settings import QueueSettings
from relay.spool.records import HoldReason, RecipientState, Settlement
from relay.transfer.outcome import Deferred, Failed, Hold, Outcome, Relayed, Scope, Uncertain
from relay.transfer.settlement import NO_FINAL_REPLY, Terms, expired, noted, settlement_for
from tests.unit.transfer.made import ACCEPTED_AT, HOUR, row, said

NOW = ACCEPTED_AT + HOUR
TERMS = Terms(NOW, QueueSettings(retry_first=30.0, jitter=0.0), 0.5)
OK, LATER, NO = said("250 2.0.0 Ok"), said("451 4.3.0 Later"), said("550 5.1.1 No such mailbox")
QUEUED, HELD = RecipientState.QUEUED, RecipientState.HELD


@pytest.mark.parametrize(
    ("outcome", "settlement"),
    [
        (Relayed(OK), Settlement(0, RecipientState.RELAYED, "relayed", OK)),
        (Failed(NO), Settlement(0, RecipientState.FAILED, "failed", NO)),
        (Deferred(LATER), Settlement(0, QUEUED, "deferred", LATER, next_attempt_at=NOW + 30_000)),
        (
            Uncertain(),
            Settlement(0, QUEUED, "uncertain", NO_FINAL_REPLY, next_attempt_at=NOW + 300_000, uncertain=True),
        ),
        (Hold(NO, HoldReason.AUTH), Settlement(0, QUEUED, "deferred", NO, next_attempt_at=ACCEPTED_AT + 60_000)),
        (
            Hold(NO, HoldReason.SEND_AS, Scope.SENDER),
            Settlement(0, HELD, "held", NO, hold_reason=HoldReason.SEND_AS),
        ),
    ],
)
def test_outcomes(outcome: Outcome, settlement: Settlement) -> None:
    assert settlement_for(row(), outcome, TERMS) == settlement


def test_pauses_grow_with_the_attempts() -> None:
    settlement = settlement_for(row(attempts=4), Deferred(LATER), TERMS)
    assert settlement.next_attempt_at == NOW + 240_000


def test_whoever_finds_an_upstream_unreachable_keeps_its_turn() -> None:
    terms = Terms(NOW, TERMS.queue, 0.5, trial_at=NOW + 7000)
    assert settlement_for(row(attempts=9), Deferred(LATER), terms).next_attempt_at == ACCEPTED_AT
    assert settlement_for(row(give_up_at=NOW), Deferred(LATER), terms).state is RecipientState.FAILED


def test_a_deferral_after_the_time_is_over_fails_with_the_last_reply() -> None:
    settlement = settlement_for(row(give_up_at=NOW), Deferred(LATER), TERMS)
    assert settlement.state is RecipientState.FAILED
    assert settlement.reply == expired(LATER)
    assert str(settlement.reply) == "451 4.4.7 Delivery time expired; the last answer was: 451 4.3.0 Later"


def test_who_finds_an_upstream_held_stands_back_a_little() -> None:
    hold = Hold(NO, HoldReason.QUOTA)
    assert settlement_for(row(attempts=3), hold, TERMS).next_attempt_at == ACCEPTED_AT + 180_000
    assert settlement_for(row(attempts=99), hold, TERMS).next_attempt_at == NOW


def test_a_hold_never_fails_even_when_the_time_is_over() -> None:
    assert settlement_for(row(give_up_at=NOW - HOUR), Hold(NO, HoldReason.QUOTA), TERMS).state is QUEUED


def test_too_many_uncertain_ends_are_for_a_person() -> None:
    settlement = settlement_for(row(uncertain=3), Uncertain(), TERMS)
    assert (settlement.state, settlement.hold_reason, settlement.uncertain) == (HELD, HoldReason.AMBIGUOUS, True)


def test_what_may_have_been_taken_is_not_offered_again_when_its_time_is_over() -> None:
    in_time = settlement_for(row(give_up_at=NOW + 300_000), Uncertain(), TERMS)
    assert (in_time.state, in_time.event) == (QUEUED, "uncertain")
    settlement = settlement_for(row(give_up_at=NOW + 299_999), Uncertain(), TERMS)
    assert (settlement.state, settlement.event, settlement.uncertain) == (RecipientState.FAILED, "failed", True)
    assert settlement.reply == expired(NO_FINAL_REPLY)
    assert settlement_for(row(uncertain=3, give_up_at=NOW), Uncertain(), TERMS).state is HELD


def test_expired_without_any_reply() -> None:
    assert str(expired(None)) == "451 4.4.7 Delivery time expired"
    assert expired(LATER).said_by == "relay"


def test_what_was_done_to_a_message_is_told_of_its_end_only() -> None:
    put_off, ended = (
        Settlement(at, RecipientState.QUEUED, event, None) for at, event in enumerate(("deferred", "failed"))
    )
    note = said("250 2.6.0 From rewritten")
    assert [one.note for one in noted([put_off, ended], note)] == [None, note]
    assert [one.note for one in noted([put_off, ended], None)] == [None, None]
