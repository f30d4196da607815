"""Lists of mailboxes as From, Sender and Reply-To have them (RFC 5322 §3.4, RFC 6854), read as leniently as needed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from relay.address import Mailbox, parse_mailbox

_ONE_MAILBOX: Final = re.compile(
    rb"[ \t]*+(?:([ \tA-Za-z0-9.'&/-]*+)<([!-9;=?-~]++)>|([!#-'*+./-9=?A-Z^-~-]++@[a-zA-Z0-9.-]++))\s*+"
)
_OUTSIDE: Final = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*"|[^"()]++', re.DOTALL)
_IN_COMMENT: Final = re.compile(r"\\.|[^\\()]++", re.DOTALL)
_QUOTED: Final = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*"')
_COMMENT: Final = re.compile(r"\(([^()]*)\)")
_TOKEN: Final = re.compile(
    r'"(?P<quoted>[^"\\]*+(?:\\.[^"\\]*+)*)"|(?P<angle><)|(?P<close>>)|(?P<comma>[,;])|(?P<group>:)|(?P<text>[^"<>,;:()]++)',
    re.DOTALL,
)
_PIECE: Final = re.compile(r"[^\s<>()\[\]:;,\"]+")


@dataclass(frozen=True, slots=True)
class Author:
    """One mailbox of a list. `phrase` is the display name as it was written, quotes and encoded words included.

    `mailbox` is None where nothing in it can be an address. `proper`: written as RFC 5322 asks; where it is not, the
    mailbox is what was most likely meant, and nothing to base a permission on.
    """

    phrase: str
    mailbox: Mailbox | None
    proper: bool = True


def mailboxes_in(value: bytes) -> list[Mailbox | None]:
    """Return the addresses of a mailbox list; None for each that is not written as it should be.

    Of `a@b.test <c@d.test>` the address is c@d.test, whatever the display name pretends.
    """
    plain = _ONE_MAILBOX.fullmatch(value)
    if plain is not None:
        return [_mailbox((plain[2] or plain[3]).decode())]
    text = _without_comments(_unfolded(value))
    if text is None:
        return [None]
    return [_address(part) for part, _ in _members(text) if part.strip()]


def authors_in(value: bytes) -> tuple[Author, ...]:
    """Return the mailboxes of a list, groups opened; one whose address is missing or unreadable has None."""
    plain = _ONE_MAILBOX.fullmatch(value)
    if plain is not None:
        mailbox = _mailbox((plain[2] or plain[3]).decode())
        if mailbox is not None:
            return (Author((plain[1] or b"").decode().strip(), mailbox),)
    written = _unfolded(value)
    text = _without_comments(written)
    if text is None:
        text = written.replace("(", " ").replace(")", " ")
    found = [_author(part, grouped) for part, grouped in _members(text) if part.strip()]
    if len(found) == 1 and not found[0].phrase and (comment := _COMMENT.search(written)):
        # The way of before RFC 822: smith@clinic.test (Dr Smith)
        return (Author(f'"{comment[1].strip()}"', found[0].mailbox, found[0].proper),)
    return tuple(found)


def _unfolded(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape").replace("\r\n", "")


def _author(member: str, grouped: bool) -> Author:
    mailbox = _address(member)
    if mailbox is not None:
        phrase = _hidden(member).find("<")
        return Author(member[:phrase].strip() if phrase >= 0 else "", mailbox, proper=not grouped)
    places = [piece for piece in _PIECE.finditer(member) if "@" in piece[0]]
    for place in reversed(places):
        mailbox = _mailbox(place[0].strip("'."))
        if mailbox is not None:
            return Author(member[: place.start()].strip(" \t<"), mailbox, proper=False)
    return Author(member.strip(), None, proper=False)


def _hidden(member: str) -> str:
    """The member with its quoted strings blotted out, everything at its place."""
    return _QUOTED.sub(lambda found: "\0" * len(found[0]), member)


def _address(member: str) -> Mailbox | None:
    quoted = _hidden(member)
    if "<" not in quoted and ">" not in quoted:
        return _mailbox(member)
    start, end = quoted.find("<"), quoted.find(">")
    if quoted.count("<") != 1 or quoted.count(">") != 1 or end < start or quoted[end + 1 :].strip():
        return None
    return _mailbox(member[start + 1 : end])


def _mailbox(text: str) -> Mailbox | None:
    # Blanks around the dots and the at sign are allowed by RFC 5322's obsolete syntax only; none is added to a match.
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return None
    mailbox = parse_mailbox(text.strip())
    return mailbox if mailbox is not None and mailbox.domain else None


def _members(text: str) -> Iterator[tuple[str, bool]]:
    """The members of a list, groups opened, and whether each stood in one; commas outside quotes and brackets part."""
    in_angle = grouped = False
    start = position = 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            yield '"', grouped  # a quote that does not end: it can't be told what is an address
            return
        position = found.end()
        kind = found.lastgroup
        if kind == "comma" and not in_angle:
            yield text[start : found.start()], grouped
            start = position
            grouped = grouped and found[0] != ";"
        elif kind == "group" and not in_angle:
            start, grouped = position, True
        else:
            in_angle = (in_angle or kind == "angle") and kind != "close"
    yield text[start:], grouped


def _without_comments(text: str) -> str | None:
    """The text less its comments, which nest; None where parentheses don't match. Quotes mean nothing in a comment."""
    if "(" not in text and ")" not in text:
        return text
    kept: list[str] = []
    depth = position = 0
    while position < len(text):
        found = (_IN_COMMENT if depth else _OUTSIDE).match(text, position)
        piece = found[0] if found else text[position]
        position += len(piece)
        if piece == "(":
            depth += 1
        elif piece == ")":
            depth -= 1
            if depth < 0:
                return None
        elif depth == 0:
            kept.append(piece)
    return "".join(kept) if depth == 0 else None
