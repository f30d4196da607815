import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.inbound.inflow import Inflow


@pytest.mark.parametrize(("octets", "line", "left"), [
    (b"", None, b""),
    (b"NOOP", None, b"NOOP"),
    (b"NOOP\r", None, b"NOOP\r"),
    (b"NOOP\r\nQUIT\r\n", b"NOOP", b"QUIT\r\n"),
    (b"NOOP\n", b"NOOP", b""),
    (b"\n", b"", b""),
    (b"\r\n", b"", b""),
    (b"a\rb\r\r\n", b"a\rb\r", b""),
    (b"12345678\r\nx", b"12345678", b"x"),
    (b"12345678\r", None, b"12345678\r"),
    (b"123456789\n", b"123456789", b""),
    (b"123456789\r\nx", b"123456789", b"x"),
    (b"1234567890abc\r\nx", b"123456789", b"x"),
    (b"1234567890abc", None, b"1234567890"),
])  # fmt: skip
def test_lines_of_at_most_eight_octets(octets: bytes, line: bytes | None, left: bytes) -> None:
    inflow = Inflow(octets)
    assert inflow.line(8) == line
    assert inflow.take() == left


@pytest.mark.parametrize("length", [*range(7, 14), 5000])
@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_the_length_of_a_line_tells_whether_it_is_too_long_however_it_comes_in(length: int, end: bytes) -> None:
    inflow, lines, most = Inflow(), [], 0
    for octet in b"x" * length + end + b"QUIT\r\n":
        inflow.extend(bytes([octet]))
        line = inflow.line(8)
        if line is not None:
            lines.append(line)
        most = max(most, len(inflow))
    assert lines == [b"x" * min(length, 9), b"QUIT"]
    assert most <= 10


def test_what_comes_in_when_nothing_waits_is_handed_on_as_it_is_and_not_copied() -> None:
    inflow, content = Inflow(b"DATA\r\n"), b"x" * 100_000
    assert inflow.line(8) == b"DATA"
    inflow.extend(content)
    assert inflow.take() is content


@given(st.lists(st.binary(max_size=12) | st.sampled_from(["line", "take", "put back"])))
def test_whatever_is_asked_of_it_in_any_order_no_octet_is_lost_or_doubled(steps: list[bytes | str]) -> None:
    inflow, plain = Inflow(), b""
    for step in steps:
        if isinstance(step, bytes):
            inflow.extend(step)
            plain += step
        elif step == "line":
            line, end, rest = plain.partition(b"\n")
            assert inflow.line(10_000) == (line.removesuffix(b"\r") if end else None)
            plain = rest if end else plain
        elif step == "take":
            assert inflow.take() == plain
            plain = b""
        else:
            inflow.put_back(b"QUIT\n")
            plain = b"QUIT\n" + plain
        assert len(inflow) == len(plain)


def test_what_is_put_back_comes_first() -> None:
    inflow = Inflow(b"QUIT\r\n")
    inflow.put_back(b"NOOP\r\n")
    assert (inflow.line(8), inflow.line(8), inflow.line(8)) == (b"NOOP", b"QUIT", None)
