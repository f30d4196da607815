"""A disclaimer as text and as HTML, either made from the other where only one is given; known again where it stands."""

from __future__ import annotations

import functools
import html
import re
from dataclasses import dataclass
from typing import Final

_UNSEEN: Final = re.compile(r"<(script|style|head|title)\b.*?</\1\s*>|<!--.*?-->", re.IGNORECASE | re.DOTALL)
_BREAK: Final = re.compile(r"<br\b[^<>]*>|</(?:p|div|tr|li|h[1-6]|table|ul|ol|blockquote)\s*>", re.IGNORECASE)
_TAG: Final = re.compile(r"<[^<>]*>")
_QUOTES: Final = re.compile(r"^[ \t]*(?:>[ \t]*)+", re.MULTILINE)
_PLAIN: Final = re.compile(r"[a-z0-9]+")
_LONGEST: Final = 900
"""Octets of a line of HTML of ours, within the 998 of RFC 5322 §2.1.1."""


@dataclass(frozen=True, slots=True)
class Disclaimer:
    """`text`: lines parted by line feeds, none at the end; `html`: ASCII, its lines ended by CRLF.

    `mark` and `html_mark` are what is looked for, to put it into a message only once.
    """

    text: str
    html: bytes
    mark: str
    html_mark: str

    def stands_in(self, text: str, *, as_html: bool) -> bool:
        """Return whether the disclaimer is in a text already, quoted or not, however its lines are broken."""
        if _word(self.html_mark if as_html else self.mark) not in text.casefold():
            return False
        if as_html:
            return self.html_mark in _normal(html.unescape(_TAG.sub("", _BREAK.sub(" ", text))))
        return self.mark in _normal(_QUOTES.sub("", text))


def disclaimer_of(text: str | None, html_text: str | None) -> Disclaimer | None:
    """Return the disclaimer of these settings; None where they have none, or blank ones only."""
    text, html_text = (text or "").strip(), (html_text or "").strip()
    if not text and html_text:
        text = text_of(html_text)
    if not html_text and text:
        html_text = "<p>" + "<br>\n".join(html.escape(line, quote=False) for line in text.splitlines()) + "</p>"
    lines = "\n".join(line.rstrip() for line in text.splitlines())
    if not lines.strip():
        return None
    return Disclaimer(lines, _ascii(html_text), _normal(lines), _normal(text_of(html_text)))


def text_of(html_text: str) -> str:
    """Return what somebody reads of HTML: a line for each paragraph, no tags, no entities."""
    seen = " ".join(_UNSEEN.sub(" ", html_text).split())
    plain = html.unescape(_TAG.sub("", _BREAK.sub("\n", seen)))
    return "\n".join(" ".join(line.split()) for line in plain.split("\n")).strip()


@functools.lru_cache(maxsize=64)
def _word(mark: str) -> str:
    """The longest plain word: where it is missing there is no need for a closer look."""
    return max(_PLAIN.findall(mark), key=len, default="")


def _ascii(html_text: str) -> bytes:
    """HTML that says the same in every charset: what is beyond ASCII by number; no line is too long."""
    octets = html_text.encode("ascii", "xmlcharrefreplace")
    lines: list[bytes] = []
    for line in octets.splitlines():
        rest = line
        while len(rest) > _LONGEST and (cut := rest.rfind(b" ", 0, _LONGEST)) > 0:
            lines.append(rest[:cut])
            rest = rest[cut + 1 :]
        lines.append(rest)
    return b"".join(line + b"\r\n" for line in lines)


def _normal(text: str) -> str:
    return " ".join(text.split()).casefold()
