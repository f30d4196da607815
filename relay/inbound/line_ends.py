"""Line ends are made CRLF, and the header section is parted from the body, before anything else looks at a message.

In the body a bare CR and a bare LF are line ends. In the header section a bare LF is one and a bare CR becomes a blank:
as a line end it would let somebody's subject smuggle in header fields.
"""

from __future__ import annotations

import re
from typing import Final

HEADER_LIMIT: Final = 256 * 1024
"""Octets of header section that are accepted."""

_EMPTY_LINE: Final = re.compile(rb"\n\r?\n")
_FIELDS: Final = re.compile(rb"(?:[!-9;-~]++[ \t]*+:[^\n]*+\n(?:[ \t][^\n]*+\n)*)*")
_FIELD_START: Final = re.compile(rb"[!-9;-~]++[ \t]*+:|[ \t]")


class ContentReader:
    """Takes a message's octets in any pieces.

    `header` is None until the header section is complete, then its fields, each line ended; `separated` tells that an
    empty line followed. A line that is no field ends the section too (RFC 5322 §2.2): what follows is body.
    `overlong`: the section is above `HEADER_LIMIT`, nothing more is kept.
    """

    __slots__ = ("_held", "_open", "_raw", "header", "overlong", "separated")

    def __init__(self) -> None:
        self.header: bytes | None = None
        self.separated = False
        self.overlong = False
        self._raw = b""
        self._held = False
        self._open = False

    def feed(self, octets: bytes) -> bytes:
        """Return what became certain of the body."""
        if self.header is not None:
            return self._body(octets)
        if self.overlong:
            return b""
        searched = max(0, len(self._raw) - 2)
        self._raw += octets
        return self._part(searched)

    def finish(self) -> bytes:
        """Return the rest of the body, its last line ended. The message has ended."""
        if self.overlong:
            return b""
        body = b""
        if self.header is None:
            section = self._raw
            ended = section if section.endswith(b"\n") or not section else section + b"\r\n"
            fields = _FIELDS.fullmatch(ended)
            body = self._split(ended if fields else section, b"", separated=False)
        if self._held or self._open:
            self._held = self._open = False
            body += b"\r\n"
        return body

    def _part(self, searched: int) -> bytes:
        raw = self._raw
        if raw.startswith((b"\r\n", b"\n")):
            return self._split(b"", raw[raw.index(b"\n") + 1 :], separated=True)
        found = _EMPTY_LINE.search(raw, searched)
        if found:
            return self._split(raw[: found.start() + 1], raw[found.end() :], separated=True)
        if len(raw) > HEADER_LIMIT:
            fields = _FIELDS.match(raw)
            end = fields.end() if fields else 0
            if end > HEADER_LIMIT or _FIELD_START.match(raw, end):
                self._drop()
                return b""
            return self._split(raw, b"", separated=False)
        return b""

    def _split(self, section: bytes, rest: bytes, *, separated: bool) -> bytes:
        fields = _FIELDS.match(section)
        end = fields.end() if fields else 0
        if end > HEADER_LIMIT:
            self._drop()
            return b""
        self._raw = b""
        self.header = header_lines(section[:end])
        if end == len(section):
            self.separated = separated
            return self._body(rest)
        return self._body(section[end:] + (b"\r\n" if separated else b"") + rest)

    def _drop(self) -> None:
        self.overlong = True
        self._raw = b""

    def _body(self, octets: bytes) -> bytes:
        if self._held:
            octets = b"\r" + octets
            self._held = False
        if octets.endswith(b"\r"):
            octets = octets[:-1]
            self._held = True
        if octets:
            self._open = not octets.endswith(b"\n")
        return body_lines(octets)


def header_lines(octets: bytes) -> bytes:
    """Return a header section with its line ends mended."""
    if _mended(octets):
        return octets
    return octets.replace(b"\r\n", b"\n").replace(b"\r", b" ").replace(b"\n", b"\r\n")


def body_lines(octets: bytes) -> bytes:
    """Return a piece of a body, none of whose ends lies within a CRLF, with its line ends mended."""
    if _mended(octets):
        return octets
    return octets.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")


def _mended(octets: bytes) -> bool:
    # Nothing is left of them without the CRLFs: a fraction of the time of looking for one that stands alone.
    rest = octets.replace(b"\r\n", b"")
    return b"\r" not in rest and b"\n" not in rest
