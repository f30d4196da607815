from relay.reply import reply
from relay.upstream.contract import Conversation, Phase
from relay.upstream.graph_halves import halves_of, joined, refuses_somebody
from tests.upstream.offering import envelope

OK = reply(250, "2.1.5", "Ok")
SENT = reply(250, "2.0.0", "Accepted")
REFUSED = reply(550, "5.1.3", "HTTP 400 ErrorInvalidRecipients: At least one recipient is not valid.")
BUSY = reply(451, "4.3.2", "HTTP 429")

TAKEN = Conversation(Phase.DONE, (OK,), SENT)
NOT_TAKEN = Conversation(Phase.DONE, (None,), REFUSED)
LOST = Conversation(Phase.FINAL_DOT, (None,), None)
THROTTLED = Conversation(Phase.MAIL, (None,), BUSY, pause=7.0)


def test_when_a_message_is_halved() -> None:
    assert refuses_somebody(Conversation(Phase.DONE, (None, None), REFUSED))
    assert not refuses_somebody(NOT_TAKEN)
    assert not refuses_somebody(Conversation(Phase.MAIL, (None, None), BUSY))
    assert not refuses_somebody(Conversation(Phase.DONE, (OK, OK), SENT))


def test_halves() -> None:
    whole = envelope("a@x.test", "b@x.test", "c@x.test")
    first, second = halves_of(whole)
    assert first.recipients + second.recipients == whole.recipients
    assert (len(first.recipients), first.reverse_path) == (1, whole.reverse_path)


def test_what_the_halves_come_to() -> None:
    assert joined([TAKEN, NOT_TAKEN]) == Conversation(Phase.DONE, (OK, REFUSED), SENT)
    assert joined([NOT_TAKEN, NOT_TAKEN]) == Conversation(Phase.RCPT, (REFUSED, REFUSED), REFUSED)
    assert joined([NOT_TAKEN, THROTTLED]) == Conversation(Phase.RCPT, (REFUSED, BUSY), BUSY, pause=7.0)
    assert joined([TAKEN, THROTTLED]) == Conversation(Phase.DONE, (OK, BUSY), SENT, pause=7.0)
    assert joined([NOT_TAKEN, LOST]).ambiguous
    known = joined([TAKEN, LOST])
    assert (known.phase, known.recipients[0]) == (Phase.DONE, OK)
    assert known.recipients[1] is not None
    assert known.recipients[1].transient
