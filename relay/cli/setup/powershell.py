"""PowerShell that is written for somebody else to run: names are quoted so that they stay names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

_QUOTES: Final = re.compile("['\u2018\u2019\u201a\u201b]")
"""PowerShell ends a text in single quotes at any of these (about_Quoting_Rules; CharTraits.IsSingleQuote)."""

_PLACEHOLDER: Final = re.compile(r"\{([a-z_]+)\}")
_WIDTH: Final = 116


@dataclass(frozen=True, slots=True)
class Line:
    """One statement, and why it is there."""

    why: str
    statement: str


def quoted(text: str) -> str:
    """Return the text as a literal, in which nothing is expanded. Raises ValueError for control characters."""
    if not text.isprintable():
        raise ValueError("a name with characters that can't be shown")
    return "'" + _QUOTES.sub(lambda quote: quote[0] * 2, text) + "'"


def filter_text(text: str) -> str:
    """Return the text as a literal within an OPATH or OData filter, which doubles the plain quote only."""
    return "'" + text.replace("'", "''") + "'"


def statement_of(template: str, literals: Mapping[str, str]) -> str:
    """Fill `{name}` with a literal that is quoted already, in one pass: what is filled in is not looked at again.

    Raises KeyError for an unknown name. PowerShell's own braces have a blank after them.
    """
    return _PLACEHOLDER.sub(lambda found: literals[found[1]], template).rstrip()


def script_text(title: Iterable[str], lines: Iterable[Line]) -> str:
    """Return the whole script, each statement below its reason."""
    parts = [*(line for text in title for line in _comment(text)), ""]
    for line in lines:
        parts += [*_comment(line.why), line.statement, ""]
    return "\n".join(parts).rstrip() + "\n"


def octets_of(script: str) -> bytes:
    """Return the file: with Windows' line ends, and marked as UTF-8, lest Windows PowerShell read it in another way."""
    return script.replace("\n", "\r\n").encode("ascii" if script.isascii() else "utf-8-sig")


def _comment(text: str) -> list[str]:
    import textwrap

    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    return textwrap.wrap(shown, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_long_words=False)
