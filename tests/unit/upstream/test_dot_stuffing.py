"""Dots stuffed wherever the pieces are cut."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.upstream.dot_stuffing import DotStuffing

LINES = st.lists(st.sampled_from([b".", b"..", b"", b"a", b".a", b"a.", b"a.b"])).map(
    lambda lines: b"".join(line + b"\r\n" for line in lines)
)


def stuffed(pieces: list[bytes]) -> bytes:
    stuffing = DotStuffing()
    return b"".join(stuffing.stuffed(piece) for piece in pieces) + stuffing.end()


def expected(content: bytes) -> bytes:
    lines = content.split(b"\r\n")[:-1]
    return b"".join((b"." + line if line.startswith(b".") else line) + b"\r\n" for line in lines) + b".\r\n"


@given(LINES, st.lists(st.integers(0, 60)))
def test_any_cut(content: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(content), *(min(cut, len(content)) for cut in cuts)})
    pieces = [content[start:end] for start, end in itertools.pairwise(places)]
    assert stuffed(pieces) == expected(content)


@given(LINES)
def test_octet_by_octet(content: bytes) -> None:
    assert stuffed([content[at : at + 1] for at in range(len(content))]) == expected(content)


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", b".\r\n"), (b"x", b"x\r\n.\r\n"), (b"x\r\n", b"x\r\n.\r\n"), (b"x\n.\n", b"x\n.\n\r\n.\r\n")],
)
def test_ends(content: bytes, said: bytes) -> None:
    assert stuffed([content]) == said
