"""A message's MIME structure, followed line by line however large it is (RFC 2045, RFC 2046); pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesHeaderParser

PIECE = 32 * 1024
"""Octets of a line that are kept together; a boundary is far shorter."""

HEADER_LIMIT = 256 * 1024
"""Octets of a header section that are read; one that is longer is no MIME header."""

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
    """A header section as it came, its blank line left out."""

    octets: bytes
    fields: Message

    @property
    def encoding(self) -> str:
        """The content-transfer-encoding, lower-case; 7bit where none is said (RFC 2045 §6.1)."""
        return str(self.fields.get("Content-Transfer-Encoding", "7bit")).strip().lower() or "7bit"

    def with_encoding(self, encoding: str) -> bytes:
        """Return the section with another content-transfer-encoding, in its place or at the end."""
        field = b"Content-Transfer-Encoding: " + encoding.encode("ascii") + b"\r\n"
        said, count = _ENCODING.subn(field, self.octets, count=1)
        return said if count else self.octets + field


def header_of(octets: bytes) -> Header:
    """Read a header section."""
    return Header(octets, BytesHeaderParser().parsebytes(octets))


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

    def enter(self, header: Header) -> bool:
        """Enter a multipart; False where it is none."""
        boundary = header.fields.get_boundary()
        if header.fields.get_content_maintype() != "multipart" or not boundary:
            return False
        octets = b"--" + str(boundary).encode("utf-8", "surrogateescape")
        self._boundaries.append((octets, header.fields.get_content_type() == "multipart/signed"))
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
