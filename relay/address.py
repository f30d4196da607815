"""Mailboxes and paths as SMTP writes them (RFC 5321 §4.1.2, RFC 6531 §3.3)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

# Classes are written by the ASCII that is not in them: re takes milliseconds for each that names all of Unicode.
_ATOM = r'[^\x00-\x20()<>\[\]:;@\\,."\x7f]+'
_DOT_STRING = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_QUOTED_STRING = re.compile(r'"(?:[^\x00-\x1f"\\\x7f]|\\[\x20-~])*"')
_LETTER = r"[^\x00-/:-@\[-^`{-\x7f]"
_LETTER_OR_HYPHEN = r"[^\x00-,./:-@\[-^`{-\x7f]"
_LABEL = rf"{_LETTER}(?:{_LETTER_OR_HYPHEN}{{0,61}}{_LETTER})?"
_DOMAIN = re.compile(rf"(?=.{{1,255}}\Z){_LABEL}(?:\.{_LABEL})*")
_ADDRESS_LITERAL = re.compile(r"\[(?:\d{1,3}(?:\.\d{1,3}){3}|IPv6:[0-9A-Fa-f:.]{2,45})\]")
_SOURCE_ROUTE = re.compile(r"@[^:@,\s]+(?:,@[^:@,\s]+)*:")
# Begins where a word does, so that a long word without an address is looked through once.
_IN_TEXT = re.compile(
    r'(?:"(?:[^"\\\r\n]|\\[^\r\n]){0,80}"|(?<![^\s<>()\[\]:;,"\'])[^\s<>()\[\]:;,"\'][^\s<>()\[\]:;,"]*)@'
    rf"(?:{_LETTER}[^\x00-,/:-@\[-^`{{-\x7f]*|\[[^\]\s]*\])"
)
# As links in replies have it: `http://www.openspf.org/Why?s=mfrom;id=ann%40clinic.test`.
_IN_LINK = re.compile(
    r"(?<![^\s<>()\[\]:;,\"'=?&/])(?:%(?!40)|[^\s<>()\[\]:;,\"'=?&/%])+%40"
    rf"{_LETTER}[^\x00-,/:-@\[-^`{{-\x7f]*"
)
_LOGIN_ADDRESS = re.compile(r"[\w.+-]+@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,63}", re.ASCII)

Disclosure: TypeAlias = Literal["full", "masked", "none"]
"""How much of an address a log may show: all, the first character and the domain, or nothing."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A mailbox: local part as written (quotes kept), domain as written. Compared with the domain's case folded."""

    local_part: str
    domain: str

    def __str__(self) -> str:
        return f"{self.local_part}@{self.domain}" if self.domain else self.local_part

    @property
    def ascii(self) -> bool:
        """True when it can be sent without SMTPUTF8 (RFC 6531)."""
        return self.local_part.isascii() and self.domain.isascii()

    @property
    def key(self) -> str:
        """The form to compare by: all lower-case, since no provider of ours tells cases of a local part apart."""
        return str(self).lower()


ReversePath: TypeAlias = Mailbox | None
"""The reverse-path; `<>` is None."""


def parse_mailbox(text: str) -> Mailbox | None:
    """Read `local@domain`; None where RFC 5321 §4.1.2 does not allow it. `postmaster` may stand alone (§4.1.1.3)."""
    if len(text) > 320:
        return None
    if text.lower() == "postmaster":
        return Mailbox(text, "")
    local_part, at, domain = text.rpartition("@")
    if not at or len(local_part.encode("utf-8")) > 64:
        return None
    if not (_DOT_STRING.fullmatch(local_part) or _QUOTED_STRING.fullmatch(local_part)):
        return None
    if not (_DOMAIN.fullmatch(domain) or _ADDRESS_LITERAL.fullmatch(domain)):
        return None
    return Mailbox(local_part, domain)


def parse_path(text: str) -> Mailbox | None:
    """Read what stands between the angle brackets of a path; a source route is dropped (RFC 5321 appendix C)."""
    route = _SOURCE_ROUTE.match(text) if text.startswith("@") else None
    return parse_mailbox(text[route.end() :] if route else text)


def shown(address: str, disclosure: Disclosure) -> str:
    """Return `address` as a log may show it: `a***@clinic.test` when masked, `***` when none. `<>` is nobody's."""
    if disclosure == "full" or address in {"", "<>"}:
        return address
    if disclosure == "none":
        return "***"
    local_part, at, domain = address.rpartition("@")
    return f"{local_part[:1]}***@{domain}" if at else f"{address[:1]}***"


def shown_text(text: str, disclosure: Disclosure) -> str:
    """Return `text`, somebody's free words, with every address in it as a log may show it."""
    if disclosure == "full":
        return text
    if "%40" in text:
        text = _IN_LINK.sub(lambda found: shown(found[0].replace("%40", "@"), disclosure).replace("@", "%40"), text)
    return _IN_TEXT.sub(lambda found: shown(found[0], disclosure), text) if "@" in text else text


def login_name(text: str) -> str:
    """Return what a log may know of a user name that failed: an address, else its first character and `***`.

    It may be a password in the wrong field, and many of these have an at sign.
    """
    if not text or _LOGIN_ADDRESS.fullmatch(text):
        return text
    return f"{text[:1]}***" if text[:1].isprintable() else "?***"
