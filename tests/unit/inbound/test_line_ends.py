"""Line ends are whole afterwards, and nothing else has changed."""

from __future__ import annotations

import itertools
import re

from hypothesis import given
from hypothesis import strategies as st

from relay.inbound.line_ends import body_lines


def test_every_mixture_of_ends_and_dots_comes_out_with_whole_line_ends() -> None:
    for length in range(8):
        for octets in map(bytes, itertools.product(b"\r\n.", repeat=length)):
            left = body_lines(octets).replace(b"\r\n", b"")
            assert left == octets.replace(b"\r", b"").replace(b"\n", b""), octets


@given(st.lists(st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\r", b"\n", b" ", b"x" * 78])).map(b"".join))
def test_no_end_is_lost_or_added(octets: bytes) -> None:
    assert body_lines(octets) == re.sub(rb"\r\n|\r|\n", b"\r\n", octets)
