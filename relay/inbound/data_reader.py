"""The end of DATA and its dots (RFC 5321 §4.5.2), found in bulk whatever pieces the octets come in."""

from __future__ import annotations

import re
from typing import Final

from relay.message.line_dots import line_dot

_END: Final = b"\r\n.\r\n"
_DOT: Final = b"\n."

# A dot that is followed by a bare CR or LF is a line of its own once line ends are mended, so it is not a stuffed one.
# Behind a bare LF two dots are one that was stuffed: clients that send a text of LF stuff its lines (Python's smtplib).
# One dot there is nobody's but the text's, and never the end.
_STUFFED: Final = re.compile(rb"(?<=\r\n)\.(?=[^\r\n])|(?<!\r\n)(?<=\n)\.(?=\.)")


class DotReader:
    """Finds the end and takes the stuffed dots off; bare CR and bare LF pass through, they never end anything."""

    __slots__ = ("_held", "_virtual")

    def __init__(self) -> None:
        # The line end before the first line is DATA's own, so that an empty message and a dot at the start are no
        # special cases. Where no dot comes first it is of no use.
        self._held = b"\r\n"
        self._virtual = 2

    def feed(self, octets: bytes) -> tuple[bytes, bytes | None]:
        """Return what became certain of the content, and what follows the end; None there until the end was found."""
        if self._virtual and octets and not octets.startswith(b".") and len(self._held) == self._virtual:
            self._held = b""
            self._virtual = 0
        octets = self._held + octets
        # The first line that begins with a dot is mostly the end, so that one search does for both.
        dot = line_dot(octets)
        end = octets.find(_END, max(dot - 1, 0)) if dot >= 0 else -1
        if end >= 0:
            after: bytes | None = octets[end + 5 :]
            content = octets[: end + 2]
        else:
            after = None
            content = octets[: len(octets) - _open_end(octets)]
            self._held = octets[len(content) :]
        if dot >= 0 and (end < 0 or dot != end + 1):
            content = _STUFFED.sub(b"", content)
        if self._virtual and content:
            content = content[2:]
            self._virtual = 0
        return content, after


def _open_end(octets: bytes) -> int:
    """Length of the longest tail that may still become the end, or that a stuffed dot may follow."""
    for tail in (b"\r\n.\r", b"\r\n.", b"\r\n", b"\r", _DOT, b"\n"):
        if octets.endswith(tail):
            return len(tail)
    return 0
