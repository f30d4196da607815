"""The end of DATA and its dots: the same in whatever pieces the octets come."""

from itertools import product

import pytest

from relay.inbound.data_reader import DotReader

_WORDS = (b"\r\n", b"\n", b"\r", b".", b"a")


def read(*pieces: bytes) -> tuple[bytes, bytes | None]:
    """The content, and what follows its end as far as it came."""
    reader = DotReader()
    content, after = b"", None
    for piece in pieces:
        if after is not None:
            after += piece
            continue
        got, after = reader.feed(piece)
        content += got
    return content, after


@pytest.mark.parametrize("pieces", [(b".\r\n",), (b".", b"\r\n"), (b".\r", b"\n"), (b".", b"\r", b"\n")])
def test_an_empty_message_whose_dot_comes_before_its_line_end(pieces: tuple[bytes, ...]) -> None:
    assert read(*pieces) == (b"", b"")


def test_where_a_piece_ends_makes_no_difference() -> None:
    for words in product(_WORDS, repeat=5):
        octets = b"".join(words) + b"\r\n.\r\nNOOP"
        whole = read(octets)
        assert read(*(bytes([octet]) for octet in octets)) == whole
        for cut in range(1, len(octets) - 6):
            assert read(octets[:cut], octets[cut:]) == whole, (octets[:cut], octets[cut:])
