"""Replies out of octets, however they are cut."""

import pytest

from relay.reply import Reply
from relay.upstream.reply_reader import LINE_LIMIT, REPLY_LIMIT, TEXT_KEPT, ReplyReader

TWO = b"250-upstream.test\r\n250-SIZE 100\r\n250 DSN\r\n550-5.1.1 No such\r\n550 5.1.1 user\r\n"


def test_pipelined_replies_in_order() -> None:
    reader = ReplyReader("mail.test")
    replies = reader.feed(TWO)
    assert [str(reply) for reply in replies] == ["250 upstream.test SIZE 100 DSN", "550 5.1.1 No such user"]
    assert replies[1] == Reply(550, replies[1].status, "No such\nuser", "mail.test")
    assert reader.between_replies


def test_cut_anywhere() -> None:
    for cut in range(len(TWO)):
        reader = ReplyReader("mail.test")
        replies = reader.feed(TWO[:cut]) + reader.feed(TWO[cut:])
        assert [reply.code for reply in replies] == [250, 550], cut


@pytest.mark.parametrize(
    "octets",
    [
        b"what?\r\n",
        b"25\r\n",
        b"\r\n",
        b"150 no such class\r\n",
        b"650 no such class\r\n",
        b"250+ what\r\n",
        b" 250 blank first\r\n",
        "２５０ wide digits\r\n".encode(),
        b"HTTP/1.1 400 Bad Request\r\n",
        b"250 " + b"x" * LINE_LIMIT + b"\r\n",
        b"x" * (LINE_LIMIT + 1),
        b"250-x\r\n" * (REPLY_LIMIT // 5 + 1),
    ],
)
def test_what_is_not_smtp(octets: bytes) -> None:
    reader = ReplyReader("mail.test")
    assert [reply.code for reply in reader.feed(b"220 hello\r\n" + octets)] == [220]
    assert reader.garbled
    assert reader.feed(b"250 ok\r\n") == []


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (b"250\r\n", ""),
        (b"250 ok\n", "ok"),
        (b"250 \xff\xc3\xa4\r\n", "\N{REPLACEMENT CHARACTER}ä"),
        (
            b"535-5.7.8 Username and Password not accepted.\r\n535 5.7.8  https://x\r\n",
            "Username and Password not accepted.\nhttps://x",
        ),
        (b"354 go\x00 on\r\n", "go? on"),
        ("550 one\u2028two \u202ethree\r\n".encode(), "one?two ?three"),
        (
            b"550-" + b"x" * 4000 + b"\r\n550-" + b"y" * 4000 + b"\r\n550 z\r\n",
            ("x" * 4000 + "\n" + "y" * 4000)[:TEXT_KEPT],
        ),
    ],
)
def test_texts(octets: bytes, text: str) -> None:
    assert [reply.text for reply in ReplyReader("mail.test").feed(octets)] == [text]
