"""Where a line begins with a dot, against the plain search."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.message.line_dots import line_dot

_PIECES = st.lists(st.sampled_from([b".", b"\n", b"\r\n.", b"a" * 900, b"host.name ", b"\n..", b"x"]), max_size=60)


@given(_PIECES, st.integers(0, 20))
def test_as_the_plain_search_says(pieces: list[bytes], kilobytes: int) -> None:
    octets = b"base64\r\n" * (128 * kilobytes) + b"".join(pieces)
    assert line_dot(octets) == octets.find(b"\n.")


@pytest.mark.parametrize("before", [8190, 8191, 8192, 20_000])
@pytest.mark.parametrize("dots", [0, 31, 32, 33])
@pytest.mark.parametrize("end", [b"", b"\n.", b"\n.\n.", b"\n", b"."])
def test_near_and_far_and_behind_many_dots(before: int, dots: int, end: bytes) -> None:
    octets = b"x" * before + b"a.b" * dots + end
    assert line_dot(octets) == octets.find(b"\n.")
