from __future__ import annotations

import time

import pytest

from relay.reply import reply
from relay.spool.records import HoldReason
from relay.transfer.outcome import Deferred, Failed, Hold, Relayed, Scope, Uncertain
from relay.transfer.verdict import account_hold, complains_of_connections, outcome_of_probe, outcomes_of, unreachable
from relay.upstream.contract import Cause, Conversation, Phase
from tests.unit.transfer.made import claim, message, row, said

OK, RCPT_OK = said("250 2.0.0 Ok"), said("250 2.1.5 Ok")
BUSY, UNKNOWN, LATER = said("450 4.2.1 Busy"), said("550 5.1.1 Unknown"), said("451 4.3.0 Later")
OURS = reply(451, "4.4.2", "closed the connection")
THREE = claim(row("a@far.test", 0), row("b@far.test", 1), row("c@far.test", 2))


def test_each_recipient_has_its_own_end() -> None:
    conversation = Conversation(Phase.DONE, (RCPT_OK, BUSY, UNKNOWN), OK)
    assert outcomes_of(conversation, THREE, "smtp") == (
        Relayed(OK),
        Deferred(BUSY, "transient"),
        Failed(UNKNOWN, "no_such_mailbox"),
    )


def test_refused_at_the_end_those_accepted_share_the_final_reply() -> None:
    conversation = Conversation(Phase.DONE, (RCPT_OK, BUSY, RCPT_OK), said("554 5.7.1 Refused"))
    first, second, third = outcomes_of(conversation, THREE, "smtp")
    assert isinstance(first, Failed)
    assert isinstance(second, Deferred)
    assert first == third


def test_without_a_final_reply_accepted_recipients_are_deferred_and_refused_ones_are_not() -> None:
    conversation = Conversation(Phase.DATA, (RCPT_OK, UNKNOWN, RCPT_OK), LATER)
    assert [type(one) for one in outcomes_of(conversation, THREE, "smtp")] == [Deferred, Failed, Deferred]


def test_no_answer_after_the_final_dot_leaves_only_the_accepted_uncertain() -> None:
    conversation = Conversation(Phase.FINAL_DOT, (RCPT_OK, UNKNOWN, BUSY), None, Cause.DISCONNECTED)
    assert [type(one) for one in outcomes_of(conversation, THREE, "smtp")] == [Uncertain, Failed, Deferred]


def test_a_connection_lost_between_two_recipients() -> None:
    conversation = Conversation(Phase.RCPT, (RCPT_OK, UNKNOWN, None), OURS, Cause.DISCONNECTED)
    assert [type(one) for one in outcomes_of(conversation, THREE, "smtp")] == [Deferred, Failed, Deferred]


def test_a_recipient_never_offered_was_never_taken() -> None:
    conversation = Conversation(Phase.DONE, (RCPT_OK, None, RCPT_OK), OK)
    assert [type(one) for one in outcomes_of(conversation, THREE, "smtp")] == [Relayed, Deferred, Relayed]


@pytest.mark.parametrize("phase", [Phase.GREETING, Phase.EHLO, Phase.STARTTLS])
def test_a_permanent_reply_before_auth_is_nobodys_fault(phase: Phase) -> None:
    conversation = Conversation(phase, (None, None, None), said("554 5.3.2 Go away"))
    assert {type(one) for one in outcomes_of(conversation, THREE, "smtp")} == {Deferred}
    assert unreachable(conversation)


def test_ses_names_the_recipient_that_is_not_verified() -> None:
    refused = said("554 Message rejected: Email address is not verified. These failed in region EU-WEST-1: B@far.test.")
    conversation = Conversation(Phase.DONE, (RCPT_OK,) * 3, refused)
    assert [type(one) for one in outcomes_of(conversation, THREE, "ses")] == [Deferred, Failed, Deferred]


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        (("zoë@far.test", "ok@far.test"), [Failed, Deferred]),
        (("zoë@far.test",), [Failed]),
        (("ok@far.test", "fine@far.test"), [Failed, Failed]),
    ],
)
def test_only_recipients_that_need_smtputf8_fail_without_it(addresses: tuple[str, ...], expected: list[type]) -> None:
    said_no = reply(550, "5.6.7", "mx cannot take addresses or headers that are not ASCII")
    nobody = (None,) * len(addresses)
    conversation = Conversation(Phase.MAIL, nobody, said_no, Cause.SMTPUTF8_MISSING)
    found = outcomes_of(conversation, claim(*(row(one, at) for at, one in enumerate(addresses))), "smtp")
    assert [type(one) for one in found] == expected


@pytest.mark.parametrize(
    ("sender", "expected"), [("app@clinic.test", Deferred), (None, Deferred), ("zoë@c.test", Failed)]
)
def test_a_sender_that_needs_smtputf8_needs_it_for_every_recipient(sender: str | None, expected: type) -> None:
    said_no = reply(550, "5.6.7", "mx cannot take addresses or headers that are not ASCII")
    both = claim(row("zoë@far.test", 0), row("ok@far.test", 1), of=message(sender))
    found = outcomes_of(Conversation(Phase.MAIL, (None, None), said_no, Cause.SMTPUTF8_MISSING), both, "smtp")
    assert [type(one) for one in found] == [Failed, expected]


def test_ses_names_the_sender_that_is_not_verified() -> None:
    refused = said("554 Message rejected: Email address is not verified: Lab <LAB@clinic.test>, a@far.test")
    offered = claim(row("a@far.test"), of=message("bounces@clinic.test", header_from="lab@clinic.test"))
    (outcome,) = outcomes_of(Conversation(Phase.DONE, (RCPT_OK,), refused), offered, "ses")
    assert outcome == Hold(refused, HoldReason.SEND_AS, Scope.SENDER)
    assert account_hold((outcome,)) is None


def test_an_account_at_fault() -> None:
    refused = said("535 5.7.3 Authentication unsuccessful")
    outcomes = outcomes_of(Conversation(Phase.AUTH, (None, None, None), refused), THREE, "microsoft365")
    assert account_hold(outcomes) == Hold(refused, HoldReason.AUTH)


@pytest.mark.parametrize(
    ("phase", "cause", "is_unreachable"),
    [
        (Phase.CONNECT, Cause.CONNECTION_REFUSED, True),
        (Phase.TOKEN, Cause.TOKEN_UNAVAILABLE, True),
        (Phase.AUTH, None, True),
        (Phase.MAIL, Cause.DISCONNECTED, False),
        (Phase.EHLO, Cause.SMTPUTF8_MISSING, False),
        (Phase.FINAL_DOT, Cause.DISCONNECTED, False),
    ],
)
def test_unreachable(phase: Phase, cause: Cause | None, is_unreachable: bool) -> None:
    assert unreachable(Conversation(phase, (None,), OURS, cause)) is is_unreachable


def test_an_upstream_that_wants_to_be_left_alone_is_not_reached() -> None:
    assert unreachable(Conversation(Phase.MAIL, (None,), OURS, pause=3.0))


def test_complaints_of_connections() -> None:
    conversation = Conversation(Phase.DONE, (RCPT_OK,) * 3, said("432 4.3.2 Concurrent connections limit exceeded"))
    assert complains_of_connections(outcomes_of(conversation, THREE, "microsoft365"))
    assert not complains_of_connections(outcomes_of(Conversation(Phase.DONE, (RCPT_OK,) * 3, LATER), THREE, "smtp"))


def test_probes() -> None:
    assert isinstance(outcome_of_probe(Conversation(Phase.DONE, (), None), "smtp"), Relayed)
    refused = outcome_of_probe(Conversation(Phase.AUTH, (), said("535 5.7.8 No")), "smtp")
    assert isinstance(refused, Hold)
    lost = outcome_of_probe(Conversation(Phase.CONNECT, (), OURS, Cause.TIMEOUT), "smtp")
    assert isinstance(lost, Deferred)


def test_a_null_reverse_path_that_is_refused_holds_that_message_only() -> None:
    refused = said("530 5.7.57 Client not authenticated to send mail")
    conversation = Conversation(Phase.MAIL, (None,), refused)
    ordinary, bounce = claim(row()), claim(row(), of=message(sender=None))
    assert outcomes_of(conversation, ordinary, "microsoft365") == (Hold(refused, HoldReason.AUTH),)
    assert outcomes_of(conversation, bounce, "microsoft365") == (Hold(refused, HoldReason.SEND_AS, Scope.SENDER),)


def test_a_null_reverse_path_misses_the_login_that_an_upstream_was_not_given_as_any_other_does() -> None:
    refused = said("530 5.7.0 Authentication required")
    bounce = claim(row(), of=message(sender=None))
    outcomes = outcomes_of(Conversation(Phase.MAIL, (None,), refused), bounce, "smtp", logs_in=False)
    assert outcomes == (Hold(refused, HoldReason.AUTH),)


@pytest.mark.parametrize(
    ("phase", "text", "reason"),
    [
        (Phase.AUTH, "535 5.7.3 Authentication unsuccessful", HoldReason.AUTH),
        (Phase.MAIL, "550 5.1.90 You have reached your daily limit for message recipients", HoldReason.QUOTA),
    ],
)
def test_with_a_null_reverse_path_too_the_account_is_held_for_its_own_faults(
    phase: Phase, text: str, reason: HoldReason
) -> None:
    bounce = claim(row(), of=message(sender=None))
    assert outcomes_of(Conversation(phase, (None,), said(text)), bounce, "microsoft365") == (Hold(said(text), reason),)


def test_a_reply_may_name_the_recipient_of_a_null_reverse_path() -> None:
    refused = said("554 Message rejected: Email address is not verified: a@far.test")
    bounce = claim(row("a@far.test"), of=message(sender=None))
    (outcome,) = outcomes_of(Conversation(Phase.DONE, (RCPT_OK,), refused), bounce, "ses")
    assert outcome == Failed(refused, "ses_recipient_not_verified")


def test_a_long_reply_to_many_recipients_holds_nobody_up() -> None:
    # With 100 recipients 4 KiB without a blank once took five seconds, in which nobody else was served.
    everybody = claim(*(row(f"a{at}@far.test", at) for at in range(100)))
    long = said("554 5.7.1 " + "x" * 2000 + "@" * 2000)
    began = time.process_time()
    outcomes = outcomes_of(Conversation(Phase.DONE, (RCPT_OK,) * 100, long), everybody, "smtp")
    assert time.process_time() - began < 1.0
    assert set(outcomes) == {Failed(long, "permanent")}
