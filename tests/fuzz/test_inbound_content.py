"""DATA's framing and line ends, whatever pieces the octets come in, against a reference that has them all at once."""

import re

from hypothesis import given
from hypothesis import strategies as st

from relay.inbound.data_reader import DotReader
from relay.inbound.line_ends import ContentReader

_PIECE = st.sampled_from(
    [b"\r\n.\r\n", b"\r\n", b"\n", b"\r", b".", b"..", b"a", b"Subject: x", b" ", b"\0", b"b:c", b"\xff"]
)
_OCTETS = st.lists(_PIECE, max_size=40).map(b"".join)
_CUTS = st.lists(st.integers(1, 7), max_size=60)


def pieces(octets: bytes, cuts: list[int]) -> list[bytes]:
    found = []
    position = 0
    for cut in cuts:
        found.append(octets[position : position + cut])
        position += cut
    return [*found, octets[position:]]


def unstuffed(octets: bytes) -> tuple[bytes, bytes]:
    """RFC 5321 §4.5.2, a line at a time; only lines that end with CRLF matter for the end. The rest is what follows it.

    Of two dots behind a bare LF the first was stuffed.
    """
    content = b""
    while True:
        line, end, octets = octets.partition(b"\r\n")
        assert end, "no end of data"
        if line == b".":
            return content, octets
        if line.startswith(b".") and not line.startswith((b".\r", b".\n")):
            line = line[1:]
        content += re.sub(rb"\n\.(?=\.)", b"\n", line) + end


def mended(octets: bytes) -> tuple[bytes, bytes]:
    """Header section and body by the letter of the contract, character by character."""
    lines = re.findall(rb"[^\n]*\n|[^\n]+\Z", octets)
    header: list[bytes] = []
    rest = b"".join(lines)
    position = 0
    for line in lines:
        if line in (b"\r\n", b"\n"):
            rest = octets[position + len(line) :]
            break
        is_field = re.match(rb"[!-9;-~]+[ \t]*:", line) or (header and line[:1] in (b" ", b"\t"))
        if not is_field:
            rest = octets[position:]
            break
        header.append(line)
        position += len(line)
        rest = octets[position:]
    section = b"".join(line if line.endswith(b"\n") else line + b"\r\n" for line in header)
    section = re.sub(rb"\r(?!\n)", b" ", section)
    section = re.sub(rb"\r?\n", b"\r\n", section)
    body = re.sub(rb"\r\n|\r|\n", b"\r\n", rest)
    if body and not body.endswith(b"\r\n"):
        body += b"\r\n"
    return section, body


@given(_OCTETS, _CUTS)
def test_the_end_is_found_and_dots_come_off(octets: bytes, cuts: list[int]) -> None:
    sent = octets + b"\r\n.\r\n" + b"NOOP\r\n"
    reader = DotReader()
    content = b""
    rest = b""
    after: bytes | None = None
    for piece in pieces(sent, cuts):
        if after is not None:
            rest += piece
            continue
        got, after = reader.feed(piece)
        content += got
        rest = after or b""
    assert after is not None
    assert (content, rest) == unstuffed(sent)


@given(_OCTETS, _CUTS)
def test_line_ends_are_mended(octets: bytes, cuts: list[int]) -> None:
    reader = ContentReader()
    body = b"".join(reader.feed(piece) for piece in pieces(octets, cuts))
    body += reader.finish()
    assert (reader.header, body) == mended(octets)


@given(_OCTETS)
def test_what_is_sent_comes_through(octets: bytes) -> None:
    """A client that keeps to the RFC: stuffs lines of CRLF, ends with a dot."""
    body = re.sub(rb"\r\n|\r|\n", b"\r\n", octets)
    body += b"" if body.endswith(b"\r\n") or not body else b"\r\n"
    stuffed = re.sub(rb"(?m)^\.", b"..", body) if body else b""
    reader = DotReader()
    content, after = reader.feed(stuffed + b".\r\n")
    assert (content, after) == (body, b"")


@given(_OCTETS, _CUTS)
def test_what_is_sent_with_bare_line_feeds_comes_through(octets: bytes, cuts: list[int]) -> None:
    """A client that stuffs the lines of a text of LF, and ends with a dot: Python's smtplib, given bytes."""
    text = octets.replace(b"\r", b"")
    sent = re.sub(rb"(?m)^\.", b"..", text) + b"\r\n.\r\n"
    reader = DotReader()
    content = b""
    for piece in pieces(sent, cuts):
        content += reader.feed(piece)[0]
    assert content == text + b"\r\n"
