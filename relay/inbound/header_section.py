"""What we have to know of a message's header section (RFC 5322 §3.6), found in its octets without parsing the rest."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from relay.address import Mailbox, parse_mailbox

_WANTED: Final = frozenset({b"received", b"from", b"message-id", b"date", b"mime-version", b"bcc", b"resent-bcc"})
_FIRST_OCTETS: Final = frozenset(name[0] for name in _WANTED) | frozenset(name[0] - 32 for name in _WANTED)
_FIELD_END: Final = re.compile(rb"\r\n(?![ \t])")
_ONE_MAILBOX: Final = re.compile(
    rb"[ \t]*+(?:[ \tA-Za-z0-9.'&/-]*+<([!-9;=?-~]++)>|([!#-'*+./-9=?A-Z^-~-]++@[a-zA-Z0-9.-]++))\s*+"
)
_OUTSIDE: Final = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*"|[^"()]++', re.DOTALL)
_IN_COMMENT: Final = re.compile(r"\\.|[^\\()]++", re.DOTALL)
_MESSAGE_ID: Final = re.compile(rb"<[^<>\s]{1,998}>")


@dataclass(frozen=True, slots=True)
class HeaderSection:
    """`authors`: the addresses of From, None for each that cannot be read; `blind`: where Bcc fields begin and end."""

    received: int
    authors: tuple[Mailbox | None, ...]
    message_id: str
    has_message_id: bool
    has_date: bool
    has_mime_version: bool
    blind: tuple[tuple[int, int], ...]

    @property
    def header_from(self) -> str:
        """The first author's address; empty where there is none."""
        return next((str(author) for author in self.authors if author is not None), "")


def read_header_section(octets: bytes) -> HeaderSection:
    """Read fields whose lines end with CRLF."""
    received = 0
    authors: list[Mailbox | None] = []
    blind: list[tuple[int, int]] = []
    message_id = ""
    seen: set[bytes] = set()
    position = 0
    for line in octets.split(b"\r\n"):
        start, position = position, position + len(line) + 2
        if not line or line[0] not in _FIRST_OCTETS:
            continue
        colon = line.find(b":")
        name = line[:colon].rstrip().lower()
        if colon < 0 or name not in _WANTED:
            continue
        seen.add(name)
        if name == b"received":
            received += 1
        elif name == b"from":
            authors += mailboxes_in(octets[start + colon + 1 : _end_of_field(octets, start)])
        elif name == b"message-id" and not message_id:
            word = _MESSAGE_ID.search(octets, start, _end_of_field(octets, start))
            message_id = word[0].decode("utf-8", "replace") if word else ""
        elif name in (b"bcc", b"resent-bcc"):
            blind.append((start, _end_of_field(octets, start)))
    return HeaderSection(
        received,
        tuple(authors),
        message_id,
        b"message-id" in seen,
        b"date" in seen,
        b"mime-version" in seen,
        tuple(blind),
    )


def _end_of_field(octets: bytes, start: int) -> int:
    found = _FIELD_END.search(octets, start)
    return found.end() if found else len(octets)


_TOKEN: Final = re.compile(
    r'"(?P<quoted>[^"\\]*+(?:\\.[^"\\]*+)*)"|(?P<angle><)|(?P<close>>)|(?P<comma>[,;])|(?P<group>:)|(?P<text>[^"<>,;:()]++)',
    re.DOTALL,
)


def mailboxes_in(value: bytes) -> list[Mailbox | None]:
    """Return the addresses of a mailbox list (RFC 5322 §3.4); None for each that cannot be read.

    Of `a@b.test <c@d.test>` the address is c@d.test, whatever the display name pretends.
    """
    plain = _ONE_MAILBOX.fullmatch(value)
    if plain is not None:
        return [_mailbox((plain[1] or plain[2]).decode())]
    text = _without_comments(value.decode("utf-8", "surrogateescape").replace("\r\n", ""))
    if text is None:
        return [None]
    return [_address(part) for part in _members(text) if part.strip()]


def _address(member: str) -> Mailbox | None:
    quoted = re.sub(r'"[^"\\]*+(?:\\.[^"\\]*+)*"', lambda found: "\0" * len(found[0]), member)
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


def _members(text: str) -> Iterator[str]:
    """The members of a list, groups opened: commas outside quotes and angle brackets part them."""
    member = ""
    in_angle = False
    position = 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            yield '"'  # a quote that does not end: it can't be told what is an address
            return
        position = found.end()
        kind = found.lastgroup
        if kind == "comma" and not in_angle:
            yield member
            member = ""
        elif kind == "group" and not in_angle:
            member = ""
        else:
            in_angle = (in_angle or kind == "angle") and kind != "close"
            member += found[0]
    yield member


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
