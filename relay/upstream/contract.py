"""What transfer sees of an upstream: one method to offer a message, and a report of how far it came."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Protocol

from relay.envelope import Content, Envelope
from relay.reply import Reply


class Phase(enum.IntEnum):
    """How far a conversation came; the phase in which it ended, DONE when the final reply was read."""

    SECRET = 0
    TOKEN = 1
    CONNECT = 2
    GREETING = 3
    EHLO = 4
    STARTTLS = 5
    AUTH = 6
    MAIL = 7
    RCPT = 8
    DATA = 9
    CONTENT = 10
    FINAL_DOT = 11
    DONE = 12


class Cause(enum.StrEnum):
    """Why a conversation ended without the server's word."""

    SECRET_UNAVAILABLE = "secret_unavailable"  # noqa: S105 - a cause, not a password
    TOKEN_REFUSED = "token_refused"  # noqa: S105
    TOKEN_UNAVAILABLE = "token_unavailable"  # noqa: S105
    PROXY_SECRET_UNAVAILABLE = "proxy_secret_unavailable"  # noqa: S105
    PROXY_NOT_FOUND = "proxy_not_found"
    PROXY_UNREACHABLE = "proxy_unreachable"
    PROXY_TIMEOUT = "proxy_timeout"
    PROXY_GARBLED = "proxy_garbled"
    PROXY_LOGIN_REFUSED = "proxy_login_refused"
    PROXY_FORBIDS = "proxy_forbids"
    PROXY_REACHES_NOTHING = "proxy_reaches_nothing"
    NAME_NOT_FOUND = "name_not_found"
    CONNECTION_REFUSED = "connection_refused"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    DISCONNECTED = "disconnected"
    GARBLED = "garbled"
    TLS_UNTRUSTED = "tls_untrusted"
    TLS_FAILED = "tls_failed"
    STARTTLS_MISSING = "starttls_missing"
    AUTH_MISSING = "auth_missing"
    SMTPUTF8_MISSING = "smtputf8_missing"
    TOO_LARGE = "too_large"
    NOT_CARRIED = "not_carried"
    CONTENT_UNREADABLE = "content_unreadable"
    LEASE_LOST = "lease_lost"
    SENDER_NOT_ALLOWED = "sender_not_allowed"


@dataclass(frozen=True, slots=True)
class Conversation:
    """What was said. `recipients` are the replies to RCPT by position, None where it was not reached.

    `reply` ended the conversation: the final reply in phase DONE, else the one that stopped it. Where nobody said one
    (`cause` says why) it is a reply of ours, but for an end in phase FINAL_DOT without an answer: then it is None, and
    nobody can know whether the message was taken. `challenge` is the decoded 334 of a refused token, for diagnosis.
    `dsn` tells that the upstream took over the duty to notify (RFC 3461). `pause`: for how many seconds the upstream
    wants to be left alone (HTTP's Retry-After); 0 where it does not say.
    """

    phase: Phase
    recipients: tuple[Reply | None, ...]
    reply: Reply | None
    cause: Cause | None = None
    challenge: str | None = None
    dsn: bool = False
    pause: float = 0.0

    @property
    def ambiguous(self) -> bool:
        """True when the message may or may not have been taken."""
        return self.phase is Phase.FINAL_DOT and self.reply is None


class Clearance(Protocol):
    """The two moments at which an attempt is asked whether it may go on."""

    async def before_mail(self) -> None:
        """Wait until the upstream's quota admits one more message, and count it."""
        ...

    def before_final_dot(self) -> bool:
        """Return False when the lease was lost: the connection is then closed without the final dot."""
        ...


class Upstream(Protocol):
    """One provider's mailbox."""

    @property
    def name(self) -> str:
        """Its table's name in the configuration."""
        ...

    @property
    def connections(self) -> int:
        """Connections open now."""
        ...

    async def send(self, envelope: Envelope, content: Content, clearance: Clearance) -> Conversation:
        """Offer one message. Never raises but for cancellation, after which its connection is closed."""
        ...

    async def probe(self) -> Conversation:
        """Connect and log in, nothing more: phase DONE when that worked."""
        ...

    async def retire(self) -> None:
        """Close what is idle, and keep no connection from here on: another object takes this one's place."""
        ...

    async def aclose(self) -> None:
        """Say QUIT on idle connections and close all."""
        ...
