"""What we have to know of a message's header section (RFC 5322 §3.6), found in its octets without parsing the rest."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from relay.address import Mailbox
from relay.message.address_list import mailboxes_in
from relay.message.header_fields import Finder

_RECEIPT: Final = frozenset({b"return-receipt-to", b"disposition-notification-to"})
_WANTED: Final = _RECEIPT | {b"received", b"from", b"message-id", b"date", b"mime-version", b"bcc", b"resent-bcc"}
_FIRST_OCTETS: Final = frozenset(name[0] for name in _WANTED) | frozenset(name[0] - 32 for name in _WANTED)
_FIELD_END: Final = re.compile(rb"\r\n(?![ \t])")
_SENDER: Final = Finder("sender")
_MESSAGE_ID: Final = re.compile(rb"<[^<>\s]{1,998}>")


@dataclass(frozen=True, slots=True)
class HeaderSection:
    """`authors`: the addresses of From, None for each that cannot be read; `blind`: where Bcc fields begin and end.

    `asks_receipt`: a delivery receipt is asked for, or one of reading, of which we can tell the delivery.
    """

    received: int
    authors: tuple[Mailbox | None, ...]
    message_id: str
    has_message_id: bool
    has_date: bool
    has_mime_version: bool
    blind: tuple[tuple[int, int], ...]
    asks_receipt: bool

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
        not seen.isdisjoint(_RECEIPT),
    )


def senders_in(octets: bytes) -> tuple[Mailbox | None, ...]:
    """Return the addresses of Sender: who sends for the authors (RFC 5322 §3.6.2); None for each that is not right."""
    return tuple(sender for found in _SENDER.fields_in(octets) for sender in mailboxes_in(found.value))


def _end_of_field(octets: bytes, start: int) -> int:
    found = _FIELD_END.search(octets, start)
    return found.end() if found else len(octets)
