"""Reads what follows DATA: finds the end, takes the stuffed dots off, and notes breaches; pure (RFC 5321 §4.5.2)."""

from __future__ import annotations

from dataclasses import dataclass

_END = b"\r\n.\r\n"


@dataclass(slots=True)
class ContentFaults:
    """What is wrong with content so far: a CR or LF alone, an octet above 127; and the longest line without its end."""

    bare_line_end: bool = False
    eight_bit: bool = False
    longest_line: int = 0
    _line: int = 0
    _after_cr: bool = False

    def look_at(self, piece: bytes) -> None:
        """Take the next piece of content into account."""
        if not piece:
            return
        pairs = piece.count(b"\r\n")
        lone_lf = piece.count(b"\n") - pairs
        lone_cr = piece.count(b"\r") - pairs
        if self._after_cr:
            if piece[:1] == b"\n":
                lone_lf -= 1
            else:
                self.bare_line_end = True
        self._after_cr = piece[-1:] == b"\r"
        if self._after_cr:
            lone_cr -= 1
        self.bare_line_end = self.bare_line_end or lone_lf > 0 or lone_cr > 0
        self.eight_bit = self.eight_bit or not piece.isascii()
        lengths = list(map(len, piece.split(b"\n")))
        lengths[0] += self._line
        self._line = lengths[-1]
        # Every line has its CR still.
        self.longest_line = max(self.longest_line, max(lengths) - 1)

    def end(self) -> None:
        """Say that no more comes."""
        self.bare_line_end = self.bare_line_end or self._after_cr


class DotReader:
    """Feed it what comes; it gives content until the end of data, and then what came behind it."""

    def __init__(self) -> None:
        # As though the line before the content ended here: a dot that comes first counts.
        self._held = b"\r\n"
        self._begun = False
        self.rest: bytes | None = None

    def feed(self, data: bytes) -> bytes:
        """Return content that is certain by now; `rest` is not None once the end was seen."""
        octets = self._held + data
        end = octets.find(_END)
        if end >= 0:
            self.rest, self._held = octets[end + len(_END) :], b""
            return self._unstuffed(octets[: end + 2])
        cut = len(octets) - (len(_END) - 1)
        if cut <= 2:
            self._held = octets
            return b""
        # A stuffed dot's CRLF must not be parted from it.
        if octets[cut - 1 : cut + 2] == b"\r\n.":
            cut -= 1
        elif octets[cut - 2 : cut + 1] == b"\r\n.":
            cut -= 2
        self._held = octets[cut:]
        return self._unstuffed(octets[:cut])

    def _unstuffed(self, octets: bytes) -> bytes:
        content = octets.replace(b"\r\n.", b"\r\n")
        if not self._begun and octets:
            self._begun = True
            return content[2:]
        return content
