import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.simulator.dot_reader import ContentFaults, DotReader

PIECES = st.lists(st.sampled_from([b"\r\n", b".", b"\r", b"\n", b"a", b"\r\n.", b"\r\n..", b"line\r\n"]), max_size=24)


def stuffed(content: bytes) -> bytes:
    """The transmitting side of RFC 5321 §4.5.2, line by line."""
    lines = content.split(b"\r\n")
    return b"\r\n".join(b"." + line if line.startswith(b".") else line for line in lines) + b".\r\n"


def read(stream: bytes, cuts: list[int]) -> tuple[bytes, bytes | None]:
    reader = DotReader()
    content, begin = b"", 0
    for cut in [*sorted(set(cuts)), len(stream)]:
        if reader.rest is not None:
            return content, reader.rest + stream[begin:]
        content += reader.feed(stream[begin:cut])
        begin = max(begin, cut)
    return content, reader.rest


@given(PIECES, st.lists(st.integers(1, 120), max_size=12), st.binary(max_size=12))
def test_what_was_stuffed_comes_out_whatever_way_it_is_cut(pieces: list[bytes], cuts: list[int], behind: bytes) -> None:
    content = b"".join(pieces)
    content = content if not content or content.endswith(b"\r\n") else content + b"\r\n"
    stream = stuffed(content) + behind
    assert read(stream, [cut for cut in cuts if cut < len(stream)]) == (content, behind)


@pytest.mark.parametrize(
    "stream",
    [b"a\n.\n", b"a\n.\r\n", b"a\r\n.\n", b"a\r.\r", b"a\r\n.\r", b"a\r\n\0.\r\n", b"a\r\n. \r\n"],
)
def test_only_a_dot_between_two_crlf_ends_the_data(stream: bytes) -> None:
    reader = DotReader()
    reader.feed(stream + b"more")
    assert reader.rest is None


@pytest.mark.parametrize(
    ("pieces", "bare", "eight", "longest"),
    [
        ([b"a\r\nbc\r\n"], False, False, 2),
        ([b"a\r", b"\nbc\r\n"], False, False, 2),
        ([b"a\r", b"b\r\n"], True, False, 3),
        ([b"a\n"], True, False, 0),
        ([b"a", b"\n"], True, False, 0),
        ([b"a\r\n\r"], True, False, 1),
        ([b"\r\r\n"], True, False, 1),
        ([b"\xc3\xa9\r\n"], False, True, 2),
        ([b"x" * 600, b"x" * 600, b"\r\nab\r\n"], False, False, 1200),
    ],
)
def test_what_is_wrong_with_content_is_noticed(pieces: list[bytes], bare: bool, eight: bool, longest: int) -> None:
    faults = ContentFaults()
    for piece in pieces:
        faults.look_at(piece)
    faults.end()
    assert (faults.bare_line_end, faults.eight_bit, faults.longest_line) == (bare, eight, longest)
