from __future__ import annotations

import pytest

from relay.reply import Reply, parse_reply, reply
from relay.spool.records import Gate, HoldReason
from relay.transfer.direct_reply import NO_ANSWER, Answer, answer_to, held_by, passed_on, softened
from relay.transfer.outcome import Deferred, Failed, Hold, Outcome, Relayed, Scope, Uncertain
from tests.unit.transfer.made import said

OK = said("250 2.0.0 Ok: queued as 77")
BUSY, FULL = said("450 4.2.1 Busy"), said("452 4.2.2 Full")
UNKNOWN, SPAM = said("550 5.1.1 Unknown"), said("554 5.7.1 Spam")
NOT_YOURS = said("554 5.2.252 SendAsDenied; you may not")
PASSWORD = said("535 5.7.139 Authentication unsuccessful")
RELAYED, DEFERRED, FAILED = Relayed(OK), Deferred(BUSY), Failed(UNKNOWN)
SEND_AS = Hold(NOT_YOURS, HoldReason.SEND_AS, Scope.SENDER)
AUTH = Hold(PASSWORD, HoldReason.AUTH)


@pytest.mark.parametrize(
    ("outcomes", "answer"),
    [
        ([RELAYED], Answer(OK, taken=True)),
        ([RELAYED, RELAYED], Answer(OK, taken=True)),
        ([FAILED, RELAYED], Answer(OK, taken=True)),
        ([DEFERRED, RELAYED], Answer(OK, taken=True)),
        ([Uncertain(), RELAYED], Answer(OK, taken=True)),
        ([AUTH, RELAYED], Answer(OK, taken=True)),
        ([FAILED], Answer(UNKNOWN, taken=False)),
        ([FAILED, Failed(SPAM)], Answer(UNKNOWN, taken=False)),
        ([Failed(SPAM), FAILED], Answer(SPAM, taken=False)),
        ([SEND_AS], Answer(NOT_YOURS, taken=False)),
        ([SEND_AS, FAILED], Answer(NOT_YOURS, taken=False)),
        ([DEFERRED], Answer(BUSY, taken=False)),
        ([FAILED, DEFERRED, Deferred(FULL)], Answer(BUSY, taken=False)),
        ([SEND_AS, DEFERRED], Answer(BUSY, taken=False)),
        ([Uncertain()], Answer(NO_ANSWER, taken=False)),
        ([FAILED, DEFERRED, Uncertain()], Answer(NO_ANSWER, taken=False)),
    ],
)
def test_one_reply_for_all_recipients(outcomes: list[Outcome], answer: Answer) -> None:
    assert answer_to(outcomes) == answer


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (AUTH, "451 4.7.139 The upstream is held (auth): 535 5.7.139 Authentication unsuccessful"),
        (Hold(BUSY, HoldReason.QUOTA), "450 4.2.1 Busy"),
        (Deferred(said("552 5.2.2 Over quota")), "452 4.2.2 Try again later: 552 5.2.2 Over quota"),
        (Deferred(said("554 No SMTP service here")), "451 4.0.0 Try again later: 554 No SMTP service here"),
        (Deferred(said("421 4.3.2 Closing")), "451 4.3.2 Closing"),
        (Deferred(said("421 Closing")), "451 Closing"),
        (
            Deferred(parse_reply(535, "5.7.3 first\n5.7.3 second", "mx")),
            "451 4.7.3 Try again later: 535 5.7.3 first second",
        ),
    ],
)
def test_what_may_go_later_is_of_class_4(outcome: Outcome, text: str) -> None:
    assert str(answer_to([outcome]).reply) == text


def test_a_held_upstream_is_of_class_4_and_says_why() -> None:
    gate = Gate("m365", HoldReason.CONSENT, 0, said("400 invalid_grant"), 1)
    assert str(held_by(gate)) == "400 invalid_grant"
    assert str(held_by(Gate("m365", HoldReason.OPERATOR, 0, None, None))).startswith(
        "451 4.3.2 The upstream is held (operator)"
    )
    refused = Gate("m365", HoldReason.AUTH, 0, PASSWORD, 1)
    assert held_by(refused) == softened(PASSWORD, "The upstream is held (auth)")


@pytest.mark.parametrize(
    ("upstream", "wire"),
    [
        (OK, b"250 2.0.0 Ok: queued as 77 (ID1)\r\n"),
        (said("250 Ok"), b"250 Ok (ID1)\r\n"),
        (Reply(250, None, ""), b"250 (ID1)\r\n"),
        (parse_reply(550, "5.7.1 one\n5.7.1 two", "mx"), b"550-5.7.1 one\r\n550 5.7.1 two (ID1)\r\n"),
        (
            parse_reply(554, "5.6.0 a\rb\x00\x1b[31mc\td\r\n5.6.0 e", "mx"),
            b"554-5.6.0 ab??[31mc d\r\n554 5.6.0 e (ID1)\r\n",
        ),
        (parse_reply(554, "5.6.0 Postf\u00e4cher", "mx"), b"554 5.6.0 Postf?cher (ID1)\r\n"),
        (Reply(554, None, "a\r250 Ok"), b"554 a?250 Ok (ID1)\r\n"),
    ],
)
def test_it_is_the_upstreams_own_reply_made_safe_with_our_id(upstream: Reply, wire: bytes) -> None:
    assert passed_on(upstream, "ID1").wire() == wire


def test_a_long_reply_is_cut_to_what_a_client_can_read() -> None:
    lines = passed_on(reply(554, "5.7.1", "\n".join(["x" * 2000] * 500)), "A" * 32).wire().split(b"\r\n")
    assert len(lines) <= 21
    assert all(len(line) + 2 <= 512 for line in lines)
    assert lines[-2].startswith(b"554 5.7.1 x")
    assert lines[-2].endswith(b" (" + b"A" * 32 + b")")
