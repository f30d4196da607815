"""Content-transfer-encodings of a body that comes in pieces (RFC 2045 §6.7, §6.8); pure."""

from __future__ import annotations

import binascii
from typing import Protocol

_BASE64_LINE = 57
"""Octets that make a base64 line of 76."""


class BodyEncoder(Protocol):
    """Takes a body's lines, in pieces: a line's last piece has `ends` True and comes without its CRLF."""

    def encoded(self, piece: bytes, *, ends: bool) -> bytes:
        """Return what can be said by now."""
        ...

    def finished(self, *, delimited: bool) -> bytes:
        """Return the rest; `delimited` where the last line end belongs to a boundary that follows."""
        ...


class Unchanged:
    """Passes the body on."""

    def encoded(self, piece: bytes, *, ends: bool) -> bytes:
        """Return it as it came."""
        return piece + b"\r\n" if ends else piece

    def finished(self, *, delimited: bool) -> bytes:
        """Nothing is left."""
        return b""


class QuotedPrintable:
    """For text: lines stay lines, those above 76 octets get soft breaks."""

    def encoded(self, piece: bytes, *, ends: bool) -> bytes:
        """Return the piece; where its line goes on, behind a soft break."""
        # Blanks at a line's end are encoded, as transports strip them; binascii does that at the end of its data.
        said = binascii.b2a_qp(piece, istext=True).replace(b"=\n", b"=\r\n")
        return said + (b"\r\n" if ends else b"=\r\n")

    def finished(self, *, delimited: bool) -> bytes:
        """Nothing is left: every line was encoded with its end."""
        return b""


class Base64:
    """For anything else: every octet is kept, line ends included."""

    def __init__(self) -> None:
        self._held = b""
        self._line_end = b""

    def encoded(self, piece: bytes, *, ends: bool) -> bytes:
        """Return full lines of base64."""
        self._held += self._line_end + piece
        self._line_end = b"\r\n" if ends else b""
        if len(self._held) < _BASE64_LINE:
            return b""
        cut = len(self._held) - len(self._held) % _BASE64_LINE
        full, self._held = self._held[:cut], self._held[cut:]
        return base64_lines(full)

    def finished(self, *, delimited: bool) -> bytes:
        """Return the last line."""
        rest, self._held = self._held + (b"" if delimited else self._line_end), b""
        return base64_lines(rest)


class Base64OfQuotedPrintable:
    """For quoted-printable that is to be base64: the octets that it stands for, line ends included."""

    def __init__(self) -> None:
        self._base64 = Base64()
        self._line = b""

    def encoded(self, piece: bytes, *, ends: bool) -> bytes:
        """Return full lines of base64."""
        self._line += piece
        if not ends:
            return b""
        # Blanks at a line's end are a transport's (RFC 2045 §6.7, rule 3).
        line, self._line = self._line.rstrip(b" \t"), b""
        soft = line.endswith(b"=")
        return self._base64.encoded(binascii.a2b_qp(line[:-1] if soft else line), ends=not soft)

    def finished(self, *, delimited: bool) -> bytes:
        """Return the last line."""
        return self._base64.finished(delimited=delimited)


class Rewrapped:
    """For base64 that came on overlong lines: the same characters, 76 a line."""

    def __init__(self) -> None:
        self._held = b""

    def encoded(self, piece: bytes, *, ends: bool) -> bytes:
        """Return full lines."""
        self._held += piece.strip()
        cut = len(self._held) - len(self._held) % 76
        full, self._held = self._held[:cut], self._held[cut:]
        return b"".join(full[start : start + 76] + b"\r\n" for start in range(0, cut, 76))

    def finished(self, *, delimited: bool) -> bytes:
        """Return the last line."""
        rest, self._held = self._held, b""
        return rest + b"\r\n" if rest else b""


def base64_lines(octets: bytes) -> bytes:
    """Return base64 in lines of 76, each ended."""
    pieces = (octets[start : start + _BASE64_LINE] for start in range(0, len(octets), _BASE64_LINE))
    return b"".join(binascii.b2a_base64(piece, newline=False) + b"\r\n" for piece in pieces)
