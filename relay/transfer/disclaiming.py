"""A disclaimer put into a message as it streams: into what is read as its text, once; never into what is sealed.

Of alternatives each text gets it, of other multiparts the first part that can have it; attachments, calendars and other
messages never. At most `TAIL` octets of a part are held: of a larger one only the end is read and changed.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from relay.envelope import WHOLE, Content, WholeContent
from relay.message.mime_entities import HEADER_LIMIT, Header, Structure, header_of
from relay.transfer.disclaimed_part import Part, can_read, disclaimed
from relay.transfer.disclaimer import Disclaimer

TAIL: Final = 256 * 1024
_HELD: Final = 1024
"""Octets that may be the beginning of a boundary's line."""

_MOST, _DEEPEST = 200, 30
"""Multiparts that are looked into, and how deep: what a composer makes has three or four."""

_BLANK: Final = re.compile(rb"\r\n(?=\r\n)")
_TEXTS: Final = frozenset({"text/plain", "text/html"})
_CLOSED: Final = frozenset({"multipart/signed", "multipart/encrypted", "multipart/report", "multipart/digest"})


@dataclass(frozen=True, slots=True)
class Disclaimed:
    """Large content with the disclaimer in it."""

    original: Content
    disclaimer: Disclaimer
    size: int
    eight_bit: bool

    async def chunks(self) -> AsyncIterator[bytes]:
        """Give the content in order."""
        walk = Walk(self.disclaimer)
        async for chunk in self.original.chunks():
            if said := walk.feed(chunk):
                yield said
        if said := walk.finish():
            yield said


async def with_disclaimer(content: Content, disclaimer: Disclaimer) -> Content:
    """Return the content with the disclaimer; itself where there is no place for it, or it is there already."""
    walk = Walk(disclaimer)
    if content.size <= WHOLE:
        octets = b"".join([chunk async for chunk in content.chunks()])
        said = walk.feed(octets) + walk.finish()
        return WholeContent(said) if walk.changed else content
    size, eight_bit = 0, False
    async for chunk in content.chunks():
        said = walk.feed(chunk)
        size, eight_bit = size + len(said), eight_bit or not said.isascii()
    said = walk.finish()
    if not walk.changed:
        return content
    return Disclaimed(content, disclaimer, size + len(said), eight_bit or not said.isascii())


@dataclass(slots=True)
class _Level:
    """An open multipart: `open` to a disclaimer at all; `placed`: it has one; `parts` begun so far."""

    kind: str
    open: bool
    placed: bool = False
    parts: int = 0

    @property
    def takes(self) -> bool:
        """Whether the part that begins now may have the disclaimer."""
        if not self.open:
            return False
        if self.kind == "multipart/alternative":
            return True
        return self.parts == 1 if self.kind == "multipart/related" else not self.placed


class Walk:
    """Takes a message in any pieces and gives it back; `changed` tells whether with anything in it."""

    def __init__(self, disclaimer: Disclaimer) -> None:
        self.changed = False
        self._disclaimer = disclaimer
        self._structure = Structure()
        self._levels: list[_Level] = []
        self._delimiter: re.Pattern[bytes] | None = None
        self._header_end = _BLANK
        self._rest = b""
        self._at = 0
        self._entered = 0
        self._in_header = True
        self._part: Header | None = None
        self._body = b""
        self._whole = True

    def feed(self, octets: bytes) -> bytes:
        """Return what is certain by now."""
        self._rest += octets
        return b"".join(self._steps(final=False))

    def finish(self) -> bytes:
        """Return the rest; the message has ended."""
        said = self._steps(final=True)
        return b"".join([*said, self._part_ended(), self._rest])

    def _steps(self, *, final: bool) -> list[bytes]:
        said: list[bytes] = []
        going = True
        while going:
            going = self._header_step(said, final) if self._in_header else self._body_step(said, final)
        # Cut once, and not for each of ten thousand parts.
        self._rest, self._at = self._rest[self._at :], 0
        return said

    # ---- headers ---------------------------------------------------------------------------------------

    def _header_step(self, said: list[bytes], final: bool) -> bool:
        """Of a part the rest begins with the end of its boundary's line."""
        rest, at = self._rest, self._at
        start = at + 2 if self._levels else at
        found = self._header_end.search(rest, at)
        end = found.start() + 2 if found is not None else len(rest)
        if not self._levels and rest.startswith(b"\r\n", at):
            end = at
        elif found is None or found[0] != b"\r\n":
            # No blank line yet, or a boundary before it: then there is no body, or nothing that we understand.
            over = len(rest) - at > HEADER_LIMIT if found is None else found.end() < len(rest)
            self._in_header = not (final or over)
            return not self._in_header
        self._in_header = False
        said.append(rest[at:start])
        self._at = end
        self._begin(header_of(rest[start:end]), said)
        return True

    def _begin(self, header: Header, said: list[bytes]) -> None:
        """A part's header is complete; the rest begins with the blank line."""
        level = self._levels[-1] if self._levels else None
        takes = level is None or level.takes
        if self._entered < _MOST and self._structure.depth < _DEEPEST and self._structure.enter(header):
            self._entered += 1
            self._levels.append(_Level(header.kind, takes and header.kind not in _CLOSED))
            self._look_for_delimiters()
        elif takes and header.kind in _TEXTS and can_read(header) and not _attached(header, inner=level is not None):
            self._part, self._body, self._whole = header, b"", True
            return
        said.append(header.octets)

    def _look_for_delimiters(self) -> None:
        boundaries = self._structure.boundaries
        if not boundaries:
            self._delimiter, self._header_end = None, _BLANK
            return
        either = b"|".join(map(re.escape, boundaries))
        line = rb"\r\n((?:" + either + rb")(?:--)?[ \t]*)(?=\r\n|\Z)"
        self._delimiter, self._header_end = re.compile(line), re.compile(_BLANK.pattern + b"|" + line)

    # ---- bodies ----------------------------------------------------------------------------------------

    def _body_step(self, said: list[bytes], final: bool) -> bool:
        rest, at = self._rest, self._at
        found = self._delimiter.search(rest, at) if self._delimiter is not None else None
        if found is not None and (final or found.end() < len(rest)):
            self._take(rest[at : found.start()], said)
            said.append(self._part_ended())
            said.append(found[0])
            self._at = found.end()
            self._delimited_by(found[1])
            return True
        self._at = len(rest) - (0 if final else self._kept(rest, at))
        self._take(rest[at : self._at], said)
        return False

    def _kept(self, rest: bytes, start: int) -> int:
        """Octets at the end that may be the beginning of a boundary's line."""
        if self._delimiter is None:
            return 0
        at = rest.rfind(b"\r\n", max(start, len(rest) - _HELD))
        return len(rest) - at if at >= 0 else int(len(rest) > start and rest.endswith(b"\r"))

    def _delimited_by(self, line: bytes) -> None:
        follows = self._structure.delimiter(line)
        placed, before = False, len(self._levels)
        while len(self._levels) > self._structure.depth:
            placed = self._levels.pop().placed or placed
        if self._levels:
            self._levels[-1].placed = self._levels[-1].placed or placed
        if len(self._levels) != before:
            self._look_for_delimiters()
        if follows:
            self._levels[-1].parts += 1
        self._in_header = bool(follows)

    def _take(self, octets: bytes, said: list[bytes]) -> None:
        if self._part is None:
            said.append(octets)
            return
        self._body += octets
        if len(self._body) > 2 * TAIL:
            cut = _cut(self._body, self._part.encoding)
            if self._whole:
                said.append(self._part.octets)
                self._whole = False
            said.append(self._body[:cut])
            self._body = self._body[cut:]

    def _part_ended(self) -> bytes:
        header, self._part = self._part, None
        if header is None:
            return b""
        # The first two octets of the body are the blank line's.
        blank, body = (b"\r\n", self._body.removeprefix(b"\r\n")) if self._whole else (b"", self._body)
        found = disclaimed(Part(header, body, self._whole), self._disclaimer)
        if found.body is not body:
            self.changed = True
        elif self._whole:
            blank = self._body[: len(self._body) - len(body)]
        for level in self._levels:
            level.placed = level.placed or found.placed
        return (found.header + blank if self._whole else b"") + found.body


def _attached(header: Header, *, inner: bool) -> bool:
    """True for what is shown as a file beside the text."""
    given = header.disposition
    if given.kind == "attachment":
        return True
    return inner and ("filename" in given.parameters or "name" in header.type.parameters)


def _cut(body: bytes, encoding: str) -> int:
    """Where a held body may be cut, so that its end can be read by itself."""
    cut = body.rfind(b"\r\n", 0, len(body) - TAIL)
    cut = cut if cut > 0 else len(body) - TAIL
    if encoding == "base64":
        # Groups of four stay together; behind the cut a line end may come first, which means nothing.
        return cut - len(body[:cut].translate(None, b"\r\n \t")) % 4
    if encoding == "quoted-printable" and b"=" in body[cut - 2 : cut]:
        return cut - 2 + body[cut - 2 : cut].index(b"=")
    return cut
