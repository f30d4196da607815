"""The header section as Microsoft Graph needs it: with Graph the header decides who receives a message. Pure.

To and Cc keep, of those they name, the recipients of this envelope; all its other recipients are named in Bcc, which
Exchange takes off when it sends. So nobody but the envelope's recipients gets the message, none is missed, and nobody
learns of one whom the header did not show. What can't be read as an address list for certain is taken for no address.
"""

from __future__ import annotations

import email.header
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from relay.address import Mailbox, parse_path

_FIELD = re.compile(rb"[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*")
_TOKEN = re.compile(
    r'(?P<quoted>"(?:[^"\\]|\\.)*")|(?P<angle><[^<>]*>)|(?P<comment>\((?:[^()\\]|\\.)*\))|(?P<mark>[,;:])'
    r'|(?P<word>[^\s"<>(),;:]+)|(?P<blank>\s+)|(?P<odd>.)',
    re.DOTALL,
)
_ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+")
_VISIBLE = ("to", "cc")
_DROPPED = frozenset({"bcc", "resent-to", "resent-cc", "resent-bcc"})
"""Resent fields too: whether Exchange reads recipients in them is not documented."""


@dataclass(slots=True)
class _Entry:
    """One member of an address list while it is read."""

    words: list[str] = field(default_factory=list)
    address: str = ""
    odd: bool = False

    def mailbox(self) -> Mailbox | None:
        """Return whose address it is; None where that is not certain."""
        if self.odd:
            return None
        if self.address:
            return parse_path(self.address)
        return parse_path(self.words[0]) if len(self.words) == 1 else None

    @property
    def name(self) -> str:
        """The display name as it may stand before an address; empty where there is none."""
        if not self.address or not self.words:
            return ""
        if all(_ATOM.fullmatch(word) for word in self.words):
            return " ".join(self.words)
        if len(self.words) == 1 and self.words[0].startswith('"') and self.words[0].isascii():
            return self.words[0]
        plain = " ".join(_unquoted(word) for word in self.words)
        if not plain.isascii():
            return email.header.Header(plain, "utf-8").encode(linesep="\r\n")
        escaped = plain.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'


@dataclass(frozen=True, slots=True)
class Addressee:
    """A recipient; `name` as it stands in the header in front of the address, empty where there is none."""

    name: str
    mailbox: Mailbox

    def __str__(self) -> str:
        return f"{self.name} <{self.mailbox}>".lstrip()


@dataclass(frozen=True, slots=True)
class Placement:
    """Who is named where; together exactly the envelope's recipients, each once."""

    to: tuple[Addressee, ...]
    cc: tuple[Addressee, ...]
    bcc: tuple[Addressee, ...]


def placement_of(header: bytes, recipients: Sequence[Mailbox]) -> Placement:
    """Return where to name the recipients of an envelope, by a message's header section."""
    missing = {mailbox.key: mailbox for mailbox in recipients}
    parsed = _fields(header)
    to, cc = (_shown(name, parsed, missing) for name in _VISIBLE)
    return Placement(to, cc, tuple(Addressee("", mailbox) for mailbox in missing.values()))


def header_for(header: bytes, placement: Placement) -> bytes:
    """Return a header section (its blank line left out) that names exactly these recipients.

    From gets its angle brackets, and a display name its quotes where it holds an `@`: Graph refuses it otherwise.
    """
    shown = {"to": _field("To", placement.to), "cc": _field("Cc", placement.cc)}
    said: list[bytes] = []
    for name, octets in _fields(header):
        if name in shown:
            said.append(shown.pop(name))
        elif name == "from":
            said.append(_author(octets))
        elif name not in _DROPPED and name not in _VISIBLE:
            said.append(octets)
    return b"".join([*said, _field("Bcc", placement.bcc)])


def _fields(header: bytes) -> list[tuple[str, bytes]]:
    return [(octets.partition(b":")[0].strip().decode("latin-1").lower(), octets) for octets in _FIELD.findall(header)]


def _shown(name: str, parsed: Iterable[tuple[str, bytes]], missing: dict[str, Mailbox]) -> tuple[Addressee, ...]:
    """Return the recipients that the fields of that name show; they are then no longer missing."""
    told = []
    for entry in (entry for other, octets in parsed if other == name for entry in _entries(_value(octets))):
        mailbox = entry.mailbox()
        recipient = missing.pop(mailbox.key, None) if mailbox is not None else None
        if recipient is not None:
            told.append(Addressee(entry.name, recipient))
    return tuple(told)


def _author(octets: bytes) -> bytes:
    entries = [entry for entry in _entries(_value(octets)) if entry.words or entry.address]
    mailbox = entries[0].mailbox() if len(entries) == 1 else None
    return octets if mailbox is None else _field("From", [Addressee(entries[0].name, mailbox)])


def _entries(value: str) -> Iterator[_Entry]:
    """Read an address list (RFC 5322 §3.4); a group's members are taken by themselves."""
    entry = _Entry()
    for found in _TOKEN.finditer(value):
        kind, text = found.lastgroup, found[0]
        if kind == "mark" and text == ":":
            entry = _Entry()
        elif kind == "mark":
            yield entry
            entry = _Entry()
        elif kind == "angle":
            entry.odd = entry.odd or bool(entry.address)
            entry.address = text[1:-1].strip()
        elif kind in {"quoted", "word"}:
            # Words behind an address belong to nothing that we know.
            entry.odd = entry.odd or bool(entry.address)
            entry.words.append(text)
        elif kind == "odd":
            entry.odd = True
    yield entry


def _value(octets: bytes) -> str:
    text = octets.partition(b":")[2].replace(b"\r\n", b"")
    return text.decode("utf-8", "replace")


def _field(name: str, members: Sequence[Addressee]) -> bytes:
    listed = ",\r\n ".join(map(str, members))
    return f"{name}: {listed}\r\n".encode() if listed else b""


def _unquoted(word: str) -> str:
    return re.sub(r"\\(.)", r"\1", word[1:-1]) if word.startswith('"') else word
