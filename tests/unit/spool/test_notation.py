import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.address import Mailbox
from relay.reply import Reply, reply
from relay.spool.notation import candidates_of, candidates_text, mailbox_of, reply_of, reply_text, storable


@pytest.mark.parametrize(
    "said",
    [
        reply(250, "2.0.0", "Ok"),
        reply(550, "", "no status", "mx.test"),
        reply(451, "4.7.500", "two\nlines, of 5.1.1", "[2001:db8::1]"),
        reply(421, "", "", "mx.test"),
        reply(535, "5.7.139", " leading and trailing ", "mx.test"),
        reply(250, "", "2.0.0 in the text", "mx.test"),
    ],
)
def test_replies_come_back_as_they_were(said: Reply) -> None:
    assert reply_of(reply_text(said)) == said


def test_no_reply() -> None:
    assert reply_text(None) is None
    assert reply_of(None) is None


@pytest.mark.parametrize(("said_by", "kept"), [("two words", "two_words"), ("", "-"), ("tab\there", "tab_here")])
def test_who_said_it_is_one_word(said_by: str, kept: str) -> None:
    read = reply_of(reply_text(Reply(250, None, "Ok", said_by)))
    assert read is not None
    assert read.said_by == kept


@given(st.text(st.characters(codec=None)))
def test_what_is_stored_can_be_stored(text: str) -> None:
    kept = storable(text)
    assert len(kept) == len(text)
    assert "\0" not in kept
    kept.encode("utf-8")
    if "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text):
        assert kept == text


@pytest.mark.parametrize(
    "mailbox",
    [
        Mailbox("a", "b.test"),
        Mailbox('"a@b c"', "b.test"),
        Mailbox("jürgen", "bücher.test"),
        Mailbox("a", "[IPv6:::1]"),
        Mailbox("postmaster", ""),
    ],
)
def test_mailboxes_come_back_as_they_were(mailbox: Mailbox) -> None:
    assert mailbox_of(str(mailbox)) == mailbox


@given(st.lists(st.text(min_size=1), min_size=1).map(tuple))
def test_candidates_come_back_as_they_were(names: tuple[str, ...]) -> None:
    assert candidates_of(candidates_text(names)) == names
