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

    def feed(self, octets: bytes) -> bytes | memoryview:
        """Return what became certain of the body; a view of what came where nothing had to be changed."""
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
            self._raw = ended if _FIELDS.fullmatch(ended) else section
            body = bytes(self._split(len(self._raw), len(self._raw), separated=False))
        if self._held or self._open:
            self._held = self._open = False
            body += b"\r\n"
        return body

    def _part(self, searched: int) -> bytes | memoryview:
        raw = self._raw
        if raw.startswith((b"\r\n", b"\n")):
            return self._split(0, raw.index(b"\n") + 1, separated=True)
        found = _EMPTY_LINE.search(raw, searched)
        if found:
            return self._split(found.start() + 1, found.end(), separated=True)
        if len(raw) > HEADER_LIMIT:
            fields = _FIELDS.match(raw)
            end = fields.end() if fields else 0
            if end > HEADER_LIMIT or _FIELD_START.match(raw, end):
                self._drop()
                return b""
            return self._split(len(raw), len(raw), separated=False)
        return b""

    def _split(self, end: int, rest: int, *, separated: bool) -> bytes | memoryview:
        """Part what came: lines up to `end`, and what is body in any case from `rest` on."""
        raw = self._raw
        fields = _FIELDS.match(raw, 0, end)
        fields_end = fields.end() if fields else 0
        if fields_end > HEADER_LIMIT:
            self._drop()
            return b""
        self._raw = b""
        if fields_end < end:
            self.header = header_lines(raw[:fields_end])
            return self._body(raw[fields_end:end] + (b"\r\n" if separated else b"") + raw[rest:])
        self.separated = separated
        if not _mended(raw):
            self.header = header_lines(raw[:end])
            return self._body(raw[rest:])
        # Nearly always so: looked at once for header and body, and not copied.
        self.header = raw[:end]
        self._open = rest < len(raw) and not raw.endswith(b"\n")
        return memoryview(raw)[rest:]

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
    # None is left without the CRLFs: a fraction of the time of looking for one that stands alone. By something of the
    # same length they are replaced in half the time that it takes to remove them.
    rest = octets.replace(b"\r\n", b"  ")
    return b"\r" not in rest and b"\n" not in rest
