"""Header fields found and replaced in the octets of a header section: folded lines kept, nothing else touched."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

LINE: Final = 76
"""Octets of a line of ours without its CRLF; RFC 5322 §2.1.1 asks for 78."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field: `name` in lower case; `value` with its folds, without the final line end; where it begins and ends."""

    name: bytes
    value: bytes
    start: int
    end: int


class Finder:
    """Finds the fields of the given names, lower case, in one search."""

    def __init__(self, *names: str) -> None:
        either = "|".join(map(re.escape, names)).encode("ascii")
        self._pattern = re.compile(
            rb"^(" + either + rb")[ \t]*:([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)(?:\r\n|\Z)", re.IGNORECASE | re.MULTILINE
        )

    def fields_in(self, header: bytes) -> list[Field]:
        """Return the fields in their order; `header` has CRLF line ends, each field's last line included."""
        return [
            Field(found[1].lower(), found[2], found.start(), found.end()) for found in self._pattern.finditer(header)
        ]


def edited(header: bytes, changes: Iterable[tuple[int, int, bytes]]) -> bytes:
    """Return the section with spans (start, end, new octets) replaced, which must not overlap; the rest as it is."""
    parts: list[bytes] = []
    position = 0
    for start, end, octets in sorted(changes):
        parts += (header[position:start], octets)
        position = end
    parts.append(header[position:])
    return b"".join(parts)


def field(name: str, words: Sequence[bytes]) -> bytes:
    """Return a field made of words, folded between them (RFC 5322 §2.2.3), its line ended.

    Raises ValueError where a word has a CR, LF or NUL: it would become a field of its own.
    """
    lines = [name.encode("ascii") + b":"]
    for word in words:
        if b"\r" in word or b"\n" in word or b"\0" in word:
            raise ValueError(f"a line end within {name}")
        if len(lines[-1]) + 1 + len(word) > LINE and not lines[-1].endswith(b":"):
            lines.append(b"")
        lines[-1] += b" " + word
    return b"\r\n".join(lines) + b"\r\n"
