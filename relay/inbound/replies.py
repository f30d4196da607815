"""What we say to applications. Codes are RFC 5321 §4.2.3, enhanced status codes RFC 3463 and RFC 4954 §6."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Final

from relay.address import Mailbox
from relay.reply import Reply, reply

OK: Final = reply(250, "2.0.0", "Ok")
SENDER_OK: Final = reply(250, "2.1.0", "Ok")
RECIPIENT_OK: Final = reply(250, "2.1.5", "Ok")
BYE: Final = reply(221, "2.0.0", "Bye")
HELP: Final = reply(214, "2.0.0", "EHLO HELO STARTTLS AUTH MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT")
CANNOT_VERIFY: Final = reply(252, "2.0.0", "Cannot verify the address, send the message to find out")
START_INPUT: Final = reply(354, "", "End data with <CR><LF>.<CR><LF>")
READY_FOR_TLS: Final = reply(220, "2.0.0", "Ready to start TLS")
AUTHENTICATED: Final = reply(235, "2.7.0", "Authentication successful")

TIMED_OUT: Final = reply(421, "4.4.2", "Timed out waiting for the client, closing the connection")
TOO_MANY_CONNECTIONS: Final = reply(421, "4.3.2", "Too many connections, try again later")
SHUTTING_DOWN: Final = reply(421, "4.3.2", "Service shutting down, try again later")
TOO_MANY_FAILURES: Final = reply(421, "4.7.0", "Too many authentication failures, closing the connection")
ADDRESS_BLOCKED: Final = reply(421, "4.7.0", "Too many authentication failures from your address, try again later")
TOO_MANY_ERRORS: Final = reply(421, "4.7.0", "Too many unrecognized commands, closing the connection")
NOT_SMTP: Final = reply(421, "4.7.0", "This is not an HTTP server, closing the connection")
CONFIGURATION_CHANGED: Final = reply(451, "4.3.2", "The configuration has changed, send the message again")
OUR_ERROR: Final = reply(451, "4.3.0", "Local error, try again later")
SPOOL_BROKEN: Final = reply(451, "4.3.0", "The queue is not available, try again later")
SPOOL_FULL: Final = reply(452, "4.3.1", "Insufficient storage, try again later")
SECRET_UNAVAILABLE: Final = reply(454, "4.7.0", "Temporary authentication failure, try again later")

UNRECOGNIZED: Final = reply(500, "5.5.2", "Command not recognized")
LINE_TOO_LONG: Final = reply(500, "5.5.2", "Line too long")
NO_ARGUMENT_ALLOWED: Final = reply(501, "5.5.4", "No argument allowed")
HELLO_NAME_MISSING: Final = reply(501, "5.5.4", "Say your host name after EHLO or HELO")
MAIL_SYNTAX: Final = reply(501, "5.5.4", "Syntax: MAIL FROM:<address>")
RCPT_SYNTAX: Final = reply(501, "5.5.4", "Syntax: RCPT TO:<address>")
BDAT_SYNTAX: Final = reply(501, "5.5.4", "Syntax: BDAT size [LAST]")
AUTH_SYNTAX: Final = reply(501, "5.5.4", "Syntax: AUTH mechanism [initial-response]")
AUTH_UNDECODABLE: Final = reply(501, "5.5.2", "Cannot decode the response")
AUTH_CANCELLED: Final = reply(501, "5.7.0", "Authentication cancelled")
NOT_IMPLEMENTED: Final = reply(502, "5.5.1", "Command not implemented")
HELLO_FIRST: Final = reply(503, "5.5.1", "Send EHLO or HELO first")
EHLO_FIRST: Final = reply(503, "5.5.1", "Send EHLO first; HELO does not offer AUTH")
NESTED_MAIL: Final = reply(503, "5.5.1", "Nested MAIL command")
MAIL_FIRST: Final = reply(503, "5.5.1", "Send MAIL first")
NO_VALID_RECIPIENTS: Final = reply(554, "5.5.1", "No valid recipients")
BDAT_IN_PROGRESS: Final = reply(503, "5.5.1", "BDAT in progress, DATA not allowed")
TLS_ACTIVE: Final = reply(503, "5.5.1", "TLS is already active")
AUTHENTICATED_ALREADY: Final = reply(503, "5.5.1", "Already authenticated")
AUTH_IN_TRANSACTION: Final = reply(503, "5.5.1", "AUTH not allowed during a mail transaction")
MECHANISM_UNKNOWN: Final = reply(504, "5.5.4", "Authentication mechanism not supported")
TLS_FIRST: Final = reply(530, "5.7.0", "Must issue a STARTTLS command first")
LOGIN_OVER: Final = reply(421, "4.7.0", "The login does not count any more, connect and log in again")
AUTHENTICATION_REQUIRED: Final = reply(530, "5.7.0", "Authentication required")
CREDENTIALS_INVALID: Final = reply(535, "5.7.8", "Authentication credentials invalid")
ENCRYPTION_REQUIRED: Final = reply(538, "5.7.11", "Encryption required for requested authentication mechanism")
NOT_A_CLIENT: Final = reply(550, "5.7.1", "Relaying denied: your address is not that of a client")

BAD_REVERSE_PATH: Final = reply(501, "5.1.7", "Bad sender address syntax")
BAD_FORWARD_PATH: Final = reply(501, "5.1.3", "Bad recipient address syntax")
SENDER_NOT_ALLOWED: Final = reply(550, "5.7.1", "Sender address not allowed for this client")
AUTHOR_NOT_ALLOWED: Final = reply(550, "5.7.1", "From address not allowed for this client")
SMTPUTF8_NEEDED: Final = reply(553, "5.6.7", "SMTPUTF8 required for this address")
TOO_MANY_RECIPIENTS: Final = reply(452, "4.5.3", "Too many recipients")
TOO_MUCH_WAITING: Final = reply(450, "4.7.1", "Too many messages of this client are waiting, try again later")
TOO_LARGE: Final = reply(552, "5.3.4", "Message size exceeds the limit")
HEADER_TOO_LARGE: Final = reply(552, "5.3.4", "Header section exceeds 256 KiB")
MAIL_LOOP: Final = reply(554, "5.4.6", "Too many Received fields, the message loops")


def too_large_for(upstream: str, limit: int) -> Reply:
    """Return the refusal of a message that is larger than an upstream takes."""
    most = f"{limit} octets ({limit / 1e6:.1f} MB)" if limit >= 100_000 else f"{limit} octets"
    text = f"Message too large: {upstream:.80} takes at most {most}; attachments grow by a third on their way"
    return reply(552, "5.3.4", text)


_RENDERED: Final[dict[int, bytes]] = {
    id(value): value.wire() for value in list(globals().values()) if isinstance(value, Reply)
}


def wire(said: Reply) -> bytes:
    """Return the lines of a reply; those that are said all the time were made beforehand."""
    return _RENDERED.get(id(said)) or said.wire()


def _kept(said: Reply) -> Reply:
    """Make the lines of a reply that stays."""
    _RENDERED[id(said)] = said.wire()
    return said


@functools.cache
def greeting(hostname: str) -> Reply:
    """What is said first: RFC 5321 §3.1."""
    return _kept(Reply(220, None, f"{hostname} ESMTP Relay"))


@functools.cache
def offers(hostname: str, max_message_size: int, mechanisms: str, *, starttls: bool) -> Reply:
    """The reply to EHLO: RFC 5321 §4.1.1.1. `mechanisms` of AUTH parted by blanks; empty where it is not offered."""
    lines = [hostname, "PIPELINING", f"SIZE {max_message_size}", "8BITMIME", "SMTPUTF8"]
    lines += ["ENHANCEDSTATUSCODES", "CHUNKING", "DSN"]
    if starttls:
        lines.append("STARTTLS")
    if mechanisms:
        # The second form is that of a draft, which old Outlook understands instead of the first.
        lines += [f"AUTH {mechanisms}", f"AUTH={mechanisms}"]
    return _kept(Reply(250, None, "\n".join([*lines, "HELP"])))


def bad_parameter(text: str) -> Reply:
    """A parameter of MAIL or RCPT that does not hold: RFC 5321 §4.1.1.11, 501 5.5.4."""
    return reply(501, "5.5.4", text)


def unknown_parameter(keyword: str) -> Reply:
    """A parameter that was not offered: RFC 5321 §4.1.1.11, 555 5.5.4."""
    return reply(555, "5.5.4", f"Parameter {keyword} not recognized or not implemented")


def queued(message_id: str) -> Reply:
    """The one reply by which we take responsibility."""
    return Reply(250, OK.status, f"Ok: queued as {message_id}")


def sender_rejected(sender: Mailbox | None, upstream: str, allowed: Iterable[str]) -> Reply:
    """The client's policy is to refuse what the upstream may not send as: 550 5.7.1, who and what is allowed.

    `sender` is None where it cannot be read.
    """
    named = f"{sender} may not be used as sender" if sender is not None else "From is not written like NAME <ADDRESS>"
    text = f"{named}: {upstream} sends as {', '.join(allowed)}"
    return reply(550, "5.7.1", "".join(letter if 32 <= ord(letter) < 127 else "?" for letter in text)[:400])


def chunk_received(octets: int) -> Reply:
    """A BDAT chunk that is not the last, RFC 3030 §4.2."""
    return reply(250, "2.0.0", f"{octets} octets received")


def tls_failed(reason: str) -> Reply:
    """What is logged of a handshake that failed; the client can't be told."""
    return reply(454, "4.7.0", f"TLS handshake failed: {reason}")
