"""Bodies re-encoded for servers that take no 8-bit octets, or no lines above 998 octets (RFC 6152 §3, RFC 5322 §2.1.1).

A first reading finds the parts that need it, so that all others pass unchanged; a second gives the result. Both
stream. Header fields are left as they are: raw 8-bit ones have no equivalent that every reader understands. What a
multipart/signed covers is never touched. Quoted-printable becomes base64 where a provider can't be trusted with it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from relay.envelope import Content
from relay.message.mime_entities import HEADER_LIMIT, Header, Lines, Structure, header_of
from relay.message.transfer_encodings import (
    Base64,
    Base64OfQuotedPrintable,
    BodyEncoder,
    QuotedPrintable,
    Rewrapped,
    Unchanged,
)

LONGEST_LINE = 998
"""Octets of a line without its CRLF (RFC 5322 §2.1.1)."""

_IDENTITY = frozenset({"7bit", "8bit", "binary"})


@dataclass(frozen=True, slots=True)
class Reencoded:
    """Content of which some parts are encoded otherwise than it came."""

    original: Content
    parts: frozenset[int]
    size: int
    eight_bit: bool

    async def chunks(self) -> AsyncIterator[bytes]:
        """Give the result in order."""
        async for chunk in _converted(self.original, self.parts):
            yield chunk


async def reencoded(content: Content, *, eight_bit: bool, long_lines: bool) -> Content:
    """Return content without what the flags name, as far as its MIME structure allows; itself where nothing is."""
    return await _surveyed(content, _Survey(eight_bit, long_lines))


async def without_quoted_printable(content: Content) -> Content:
    """Return content whose bodies in quoted-printable are in base64, but for signed ones; itself where none is."""
    return await _surveyed(content, _QuotedPrintableSurvey())


async def _surveyed(content: Content, survey: _Survey) -> Content:
    lines = Lines()
    async for chunk in content.chunks():
        for piece in lines.of(chunk):
            survey.take(*piece)
    for piece in lines.end():
        survey.take(*piece)
    parts = survey.finished()
    if not parts:
        return content
    size, still_eight_bit = 0, False
    async for chunk in _converted(content, parts):
        size += len(chunk)
        still_eight_bit = still_eight_bit or not chunk.isascii()
    return Reencoded(content, parts, size, still_eight_bit)


async def _converted(content: Content, parts: frozenset[int]) -> AsyncIterator[bytes]:
    conversion, lines = _Conversion(parts), Lines()
    async for chunk in content.chunks():
        said = b"".join(part for piece in lines.of(chunk) for part in conversion.take(*piece))
        if said:
            yield said
    said = b"".join([part for piece in lines.end() for part in conversion.take(*piece)] + [conversion.finished()])
    if said:
        yield said


class _Walk:
    """Follows the structure; numbers the leaves in order. What becomes of headers and bodies is the subclass's."""

    def __init__(self) -> None:
        self._structure = Structure()
        self._header: list[bytes] | None = []
        self._header_size = 0
        self._leaf = -1
        self._in_leaf = False

    def _walked(self, piece: bytes, begins: bool, ends: bool) -> Iterator[bytes]:
        if begins and ends:
            follows = self._structure.delimiter(piece)
            if follows is not None:
                yield from self._delimiter(piece, follows)
                return
        if self._header is None:
            yield self._body(piece, ends)
        elif piece or not begins:
            self._header.append(piece + b"\r\n" if ends else piece)
            self._header_size += len(piece)
            if self._header_size > HEADER_LIMIT:
                yield self._given_up()
        else:
            yield self._header_ended()

    def _delimiter(self, line: bytes, follows: bool) -> Iterator[bytes]:
        yield self._part_ended(delimited=True)
        yield line + b"\r\n"
        self._header, self._header_size = ([], 0) if follows else (None, 0)

    def _part_ended(self, *, delimited: bool) -> bytes:
        """A header section without a blank line has no body."""
        rest = b"".join(self._header or ())
        if self._in_leaf:
            rest += self._leaf_ended(delimited)
        self._in_leaf = False
        return rest

    def _given_up(self) -> bytes:
        rest, self._header = b"".join(self._header or ()), None
        return rest

    def _header_ended(self) -> bytes:
        header = header_of(b"".join(self._header or ()))
        self._header, self._header_size = None, 0
        sealed = self._structure.sealed
        # What stands there as a container's own encoding stays right: 8bit allows what is 7bit (RFC 2045 §6.4).
        if self._structure.enter(header):
            return header.octets + b"\r\n"
        if header.kind == "message/rfc822" and header.encoding in _IDENTITY:
            self._header = []
            return header.octets + b"\r\n"
        self._leaf += 1
        self._in_leaf = True
        return self._leaf_begins(header, sealed) + b"\r\n"

    def _leaf_begins(self, header: Header, sealed: bool) -> bytes:
        return header.octets

    def _leaf_ended(self, delimited: bool) -> bytes:
        return b""

    def _body(self, piece: bytes, ends: bool) -> bytes:
        return piece + b"\r\n" if ends else piece


class _Survey(_Walk):
    """Finds the leaves that have what must not be there."""

    def __init__(self, eight_bit: bool, long_lines: bool) -> None:
        super().__init__()
        self._eight_bit = eight_bit
        self._long_lines = long_lines
        self._found: set[int] = set()
        self._encoding: str | None = None
        self._line = 0

    def take(self, piece: bytes, begins: bool, ends: bool) -> None:
        """Look at the next piece."""
        for _ in self._walked(piece, begins, ends):
            pass

    def finished(self) -> frozenset[int]:
        """Return the leaves to be encoded, by number."""
        return frozenset(self._found)

    def _leaf_begins(self, header: Header, sealed: bool) -> bytes:
        self._encoding = None if sealed else header.encoding
        self._line = 0
        return b""

    def _body(self, piece: bytes, ends: bool) -> bytes:
        self._line += len(piece)
        if self._in_leaf and self._encoding is not None:
            identity = self._encoding in _IDENTITY
            long = self._long_lines and self._line > LONGEST_LINE and (identity or self._encoding == "base64")
            if long or (self._eight_bit and identity and not piece.isascii()):
                self._found.add(self._leaf)
        if ends:
            self._line = 0
        return b""


class _QuotedPrintableSurvey(_Survey):
    """Finds the leaves in quoted-printable."""

    def __init__(self) -> None:
        super().__init__(eight_bit=False, long_lines=False)

    def _leaf_begins(self, header: Header, sealed: bool) -> bytes:
        if header.encoding == "quoted-printable" and not sealed:
            self._found.add(self._leaf)
        return b""


class _Conversion(_Walk):
    """Encodes the leaves named, and says in the headers what became of them."""

    def __init__(self, parts: frozenset[int]) -> None:
        super().__init__()
        self._parts = parts
        self._encoder: BodyEncoder = Unchanged()

    def take(self, piece: bytes, begins: bool, ends: bool) -> Iterator[bytes]:
        """Give what the next piece becomes."""
        return self._walked(piece, begins, ends)

    def finished(self) -> bytes:
        """Return what is left."""
        return self._part_ended(delimited=False)

    def _leaf_begins(self, header: Header, sealed: bool) -> bytes:
        self._encoder = Unchanged()
        if self._leaf not in self._parts:
            return header.octets
        if header.encoding == "base64":
            self._encoder = Rewrapped()
            return header.octets
        if header.encoding == "quoted-printable":
            self._encoder = Base64OfQuotedPrintable()
            return header.with_encoding("base64")
        text = header.type.main == "text"
        self._encoder = QuotedPrintable() if text else Base64()
        return header.with_encoding("quoted-printable" if text else "base64")

    def _leaf_ended(self, delimited: bool) -> bytes:
        rest, self._encoder = self._encoder.finished(delimited=delimited), Unchanged()
        return rest

    def _body(self, piece: bytes, ends: bool) -> bytes:
        return self._encoder.encoded(piece, ends=ends) if self._in_leaf else super()._body(piece, ends)
