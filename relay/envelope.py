"""The envelope: what RFC 5321 and RFC 3461 say about a message besides its content; and the content's face."""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Protocol

from relay.address import Mailbox, ReversePath

CHUNK = 256 * 1024
"""Octets of content that are handed on at a time; no more of a large message than a few of these is ever in memory."""

WHOLE = 1024 * 1024
"""Octets up to which a message may be whole in memory."""


class Body(enum.StrEnum):
    """The BODY parameter (RFC 6152, RFC 3030)."""

    SEVEN_BIT = "7BIT"
    EIGHT_BIT_MIME = "8BITMIME"


class DsnReturn(enum.StrEnum):
    """The RET parameter: what a DSN returns of the message (RFC 3461 §4.3)."""

    FULL = "FULL"
    HDRS = "HDRS"


class Notify(enum.Flag):
    """The NOTIFY parameter (RFC 3461 §4.1); NEVER stands alone."""

    NEVER = 0
    SUCCESS = enum.auto()
    FAILURE = enum.auto()
    DELAY = enum.auto()

    def __str__(self) -> str:
        return ",".join(flag.name or "" for flag in self) or "NEVER"

    @classmethod
    def parse(cls, text: str) -> Notify | None:
        """Read `NEVER` or a list of the others; None for anything else."""
        words = text.upper().split(",")
        if words == ["NEVER"]:
            return cls.NEVER
        known = {flag.name: flag for flag in cls}
        if any(word not in known for word in words):
            return None
        wanted = cls.NEVER
        for word in words:
            wanted |= known[word]
        return wanted


@dataclass(frozen=True, slots=True)
class Recipient:
    """A forward-path; `notify` None where not given; `original` ORCPT's value as said: `rfc822;` and xtext."""

    forward_path: Mailbox
    notify: Notify | None = None
    original: str | None = None


@dataclass(frozen=True, slots=True)
class Envelope:
    """The envelope of one message; `envelope_id` is ENVID's xtext as said, case kept."""

    reverse_path: ReversePath
    recipients: tuple[Recipient, ...]
    body: Body = Body.SEVEN_BIT
    smtputf8: bool = False
    envelope_id: str | None = None
    dsn_return: DsnReturn | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """Who brought a message: `listener` and `client` by name, `peer` without its port, `tls` like `TLSv1.3`."""

    listener: str
    client: str
    peer: str
    helo: str
    tls: str | None = None
    mechanism: str | None = None


class Content(Protocol):
    """A message's header and body: line ends CRLF, dots not stuffed, last line ended. Can be read more than once."""

    @property
    def size(self) -> int:
        """Octets in all."""
        ...

    @property
    def eight_bit(self) -> bool:
        """True where an octet above 127 occurs."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """Give the content in order, in pieces of at most `WHOLE` octets; a piece may end anywhere."""
        ...


@dataclass(frozen=True, slots=True)
class WholeContent:
    """Content that is in memory."""

    octets: bytes = field(repr=False)

    @property
    def size(self) -> int:
        """Octets in all."""
        return len(self.octets)

    @property
    def eight_bit(self) -> bool:
        """True where an octet above 127 occurs."""
        return not self.octets.isascii()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Give all in one piece."""
        yield self.octets
