"""What ends a conversation early: our one exception, and how exceptions of others become causes and replies."""

from __future__ import annotations

import asyncio
import socket
import ssl

from aiosmtplib.errors import SMTPResponseException, SMTPServerDisconnected, SMTPTimeoutError

from relay.reply import Reply, reply
from relay.upstream.contract import Cause, Conversation, Phase


class ConversationEnded(Exception):  # noqa: N818 - it is what happened, not a mistake
    """The conversation is over in `phase`; `reply` is the server's word, or where `cause` is given one of ours.

    `pause`: milliseconds in which asking again is pointless.
    """

    def __init__(
        self, phase: Phase, said: Reply, cause: Cause | None = None, challenge: str | None = None, pause: int = 0
    ) -> None:
        super().__init__(str(said))
        self.phase = phase
        self.reply = said
        self.cause = cause
        self.challenge = challenge
        self.pause = pause

    def conversation(self, recipients: int) -> Conversation:
        """Return the report of a conversation that reached none of its `recipients`."""
        return Conversation(self.phase, (None,) * recipients, self.reply, self.cause, self.challenge)


def cause_of(error: BaseException) -> Cause:
    """Tell what an exception of the network means. The order matters: a certificate error is an OSError as well."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return Cause.TLS_UNTRUSTED
    if isinstance(error, ssl.SSLError):
        return Cause.TLS_FAILED
    if isinstance(error, socket.gaierror | UnicodeError):
        # A host's name that IDNA can't encode ("..", 64 octets) raises UnicodeError before it is looked up.
        return Cause.NAME_NOT_FOUND
    if isinstance(error, SMTPTimeoutError | asyncio.TimeoutError | TimeoutError):
        return Cause.TIMEOUT
    if isinstance(error, SMTPResponseException):
        return Cause.GARBLED
    if isinstance(error, ConnectionRefusedError):
        return Cause.CONNECTION_REFUSED
    if isinstance(error, ConnectionAbortedError) and error.errno is None:
        # asyncio's own, for a TLS handshake that takes too long.
        return Cause.TIMEOUT
    if isinstance(error, SMTPServerDisconnected | ConnectionError | EOFError):
        return Cause.DISCONNECTED
    return Cause.UNREACHABLE


TOKEN_HOST = "{host}, which gives tokens,"  # noqa: S105 - a name, not a token
"""What a host is called whose TLS fails where a token is asked for."""


def reply_for(cause: Cause, phase: Phase, host: str, detail: str = "") -> Reply:
    """Return a reply of ours for an end about which the server said nothing."""
    code, status, text = _WORDS[cause]
    said = text.format(host=host, phase=_PHASES[phase])
    return reply(code, status, f"{said}: {detail}" if detail else said)


def ended_by(error: BaseException, phase: Phase, host: str) -> ConversationEnded:
    """Return the end that an exception of the network brings."""
    if isinstance(error, ConversationEnded):
        return error
    cause = cause_of(error)
    return ConversationEnded(phase, reply_for(cause, phase, host, words_of(error)), cause)


def words_of(error: BaseException) -> str:
    """Return OpenSSL's or the system's own fixed words; nothing that a server could have put there."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return str(getattr(error, "verify_message", "") or "").rstrip(".")
    if isinstance(error, ssl.SSLError):
        return str(getattr(error, "reason", "") or "").lower().replace("_", " ")
    if isinstance(error, socket.gaierror):
        return ""
    if isinstance(error, OSError) and error.strerror and not isinstance(error, ConnectionRefusedError):
        return error.strerror
    return ""


_PHASES = {
    Phase.SECRET: "before connecting",
    Phase.TOKEN: "while asking for a token",
    Phase.CONNECT: "while connecting",
    Phase.GREETING: "waiting for the greeting",
    Phase.EHLO: "at EHLO",
    Phase.STARTTLS: "at STARTTLS",
    Phase.AUTH: "at AUTH",
    Phase.MAIL: "at MAIL",
    Phase.RCPT: "at RCPT",
    Phase.DATA: "at DATA",
    Phase.CONTENT: "while sending the message",
    Phase.FINAL_DOT: "after the final dot",
    Phase.DONE: "after the message",
}

EARLY_WORDS = tuple(words for phase, words in _PHASES.items() if phase < Phase.MAIL)
"""How our replies tell of a phase before MAIL."""

# Enhanced status codes: RFC 3463 §3.5 (X.4.z network), §3.6 (X.5.z protocol), §3.8 (X.7.z security).
_WORDS = {
    Cause.SECRET_UNAVAILABLE: (454, "4.7.0", "A secret for {host} cannot be had"),
    Cause.TOKEN_REFUSED: (454, "4.7.0", "No access token from {host}"),
    Cause.TOKEN_UNAVAILABLE: (454, "4.7.0", "No access token from {host} now"),
    Cause.NAME_NOT_FOUND: (451, "4.4.3", "The name {host} was not found"),
    Cause.CONNECTION_REFUSED: (451, "4.4.1", "{host} refused the connection"),
    Cause.UNREACHABLE: (451, "4.4.1", "{host} cannot be reached"),
    Cause.TIMEOUT: (451, "4.4.2", "{host} did not answer in time {phase}"),
    Cause.DISCONNECTED: (451, "4.4.2", "{host} closed the connection {phase}"),
    Cause.PROXY_SECRET_UNAVAILABLE: (454, "4.7.0", "The password for the proxy {host} cannot be had"),
    Cause.PROXY_NOT_FOUND: (451, "4.4.3", "The name of the proxy {host} was not found"),
    Cause.PROXY_UNREACHABLE: (451, "4.4.1", "The proxy {host} cannot be reached"),
    Cause.PROXY_TIMEOUT: (451, "4.4.2", "The proxy {host} took the connection and did not let us through in time"),
    Cause.PROXY_GARBLED: (451, "4.5.0", "What answers at {host} is no such proxy"),
    Cause.PROXY_LOGIN_REFUSED: (454, "4.7.0", "The proxy {host} refuses our login"),
    Cause.PROXY_FORBIDS: (451, "4.7.1", "The proxy {host} does not let us through"),
    Cause.PROXY_REACHES_NOTHING: (451, "4.4.1", "The proxy {host} can't connect us"),
    Cause.GARBLED: (451, "4.5.0", "{host} answered something that is not SMTP {phase}"),
    Cause.TLS_UNTRUSTED: (454, "4.7.5", "The certificate of {host} is not trusted"),
    Cause.TLS_FAILED: (454, "4.7.5", "TLS with {host} failed"),
    Cause.STARTTLS_MISSING: (454, "4.7.4", "{host} does not offer STARTTLS, which is demanded"),
    Cause.AUTH_MISSING: (454, "4.7.4", "{host} does not offer AUTH as configured"),
    Cause.SMTPUTF8_MISSING: (550, "5.6.7", "{host} cannot take addresses or headers that are not ASCII"),
    Cause.TOO_LARGE: (552, "5.3.4", "The message is larger than {host} takes"),
    Cause.NOT_CARRIED: (554, "5.6.3", "The message cannot go by {host}: its text, or what is signed, is above 3 MB"),
    Cause.CONTENT_UNREADABLE: (451, "4.3.0", "The message could not be read from the spool"),
    Cause.SENDER_NOT_ALLOWED: (550, "5.7.1", "{host} may not send as the sender of the message"),
    Cause.LEASE_LOST: (451, "4.3.0", "The attempt was taken over before the message was complete"),
}
