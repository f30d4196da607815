"""A message's MIME structure, followed line by line however large it is (RFC 2045, RFC 2046); pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesHeaderParser

from relay.message.content_type import Declared, declared, disposition
from relay.message.header_fields import Finder, edited

PIECE = 32 * 1024
"""Octets of a line that are kept together; a boundary is far shorter."""

HEADER_LIMIT = 256 * 1024
"""Octets of a header section that are read; one that is longer is no MIME header."""

_DECLARED = Finder("content-type", "content-transfer-encoding", "content-disposition")
_CHARSET = re.compile(
    rb"(;\s*)charset\s*=\s*(?:\"(?:[^\"\\]|\\.)*\"|[^\s;]*)(?:\s*\([^()]*\))?", re.IGNORECASE | re.DOTALL
)
_ENCODING = re.compile(rb"^content-transfer-encoding[ \t]*:(?:[^\r\n]|\r\n[ \t])*\r\n", re.IGNORECASE | re.MULTILINE)


class Lines:
    """Cuts content into lines. A piece is (octets without CRLF, whether a line begins with it, whether one ends)."""

    def __init__(self) -> None:
        self._rest = b""
        self._begins = True

    def of(self, chunk: bytes) -> Iterator[tuple[bytes, bool, bool]]:
        """Give the pieces that are complete by now."""
        *lines, self._rest = (self._rest + chunk).split(b"\r\n")
        for line in lines:
            rest = line
            while len(rest) > PIECE:
                yield rest[:PIECE], self._begins, False
                rest, self._begins = rest[PIECE:], False
            yield rest, self._begins, True
            self._begins = True
        while len(self._rest) > PIECE:
            yield self._rest[:PIECE], self._begins, False
            self._rest, self._begins = self._rest[PIECE:], False

    def end(self) -> Iterator[tuple[bytes, bool, bool]]:
        """Give what stands behind the last line end."""
        if self._rest or not self._begins:
            yield self._rest, self._begins, True


@dataclass(frozen=True, slots=True)
class Header:
    """A header section as it came, its blank line left out; what it declares of the body."""

    octets: bytes
    type: Declared
    disposition: Declared
    encoding: str
    """The content-transfer-encoding, lower-case; 7bit where none is said (RFC 2045 §6.1)."""

    @property
    def kind(self) -> str:
        """The media type, lower-case."""
        return self.type.kind

    @property
    def fields(self) -> Message:
        """All fields, as Python's parser reads them: for those who need more than what it declares."""
        return BytesHeaderParser().parsebytes(self.octets)

    def with_encoding(self, encoding: str) -> bytes:
        """Return the section with another content-transfer-encoding, in its place or at the end."""
        field = b"Content-Transfer-Encoding: " + encoding.encode("ascii") + b"\r\n"
        said, count = _ENCODING.subn(field, self.octets, count=1)
        return said if count else self.octets + field

    def with_charset(self, charset: str) -> Header:
        """Return the header with another charset, all else of its Content-Type as it is written."""
        new = b"charset=" + charset.encode("ascii")
        for found in _DECLARED.fields_in(self.octets):
            if found.name == b"content-type":
                value, count = _CHARSET.subn(rb"\1" + new, found.value, count=1)
                value = value if count else found.value.rstrip(b"; \t") + b"; " + new
                return header_of(edited(self.octets, [(found.start, found.end, b"Content-Type:" + value + b"\r\n")]))
        return header_of(self.octets + b"Content-Type: text/plain; " + new + b"\r\n")


def header_of(octets: bytes) -> Header:
    """Read a header section."""
    said: dict[bytes, bytes] = {}
    for found in _DECLARED.fields_in(octets):
        said.setdefault(found.name, found.value)
    type_, encoding = said.get(b"content-type"), said.get(b"content-transfer-encoding", b"")
    return Header(
        octets,
        declared(type_) if type_ is not None else Declared(),
        disposition(said.get(b"content-disposition", b"")),
        encoding.decode("ascii", "replace").strip().lower() or "7bit",
    )


class Structure:
    """Where in the structure a line stands: the boundaries that are open, and those under a signature."""

    def __init__(self) -> None:
        self._boundaries: list[tuple[bytes, bool]] = []

    @property
    def inside(self) -> bool:
        """True within a multipart."""
        return bool(self._boundaries)

    @property
    def depth(self) -> int:
        """How many multiparts are open."""
        return len(self._boundaries)

    @property
    def sealed(self) -> bool:
        """True within multipart/signed: one changed octet there breaks the signature (RFC 1847 §2.1)."""
        return any(signed for _, signed in self._boundaries)

    @property
    def boundaries(self) -> tuple[bytes, ...]:
        """The lines, two hyphens first, that part what is open."""
        return tuple(boundary for boundary, _ in self._boundaries)

    def enter(self, header: Header) -> bool:
        """Enter a multipart; False where it is none."""
        boundary = header.type.parameters.get("boundary", "").rstrip()
        if header.type.main != "multipart" or not boundary:
            return False
        octets = b"--" + boundary.encode("utf-8", "surrogateescape")
        self._boundaries.append((octets, header.kind == "multipart/signed"))
        return True

    def delimiter(self, line: bytes) -> bool | None:
        """Return True where the line is a boundary and a part follows, False where it closes, None for other lines."""
        if not line.startswith(b"--"):
            return None
        text = line.rstrip(b" \t")
        for depth in range(len(self._boundaries) - 1, -1, -1):
            boundary = self._boundaries[depth][0]
            if text == boundary:
                del self._boundaries[depth + 1 :]
                return True
            if text == boundary + b"--":
                del self._boundaries[depth:]
                return False
        return None
