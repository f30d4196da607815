"""Exceptions of the network as causes and replies."""

import errno
import socket
import ssl

import pytest
from aiosmtplib.errors import SMTPReadTimeoutError, SMTPResponseException, SMTPServerDisconnected

from relay.upstream.contract import Cause, Phase
from relay.upstream.failures import ConversationEnded, cause_of, ended_by, reply_for


def untrusted() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate"
    return error


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (untrusted(), Cause.TLS_UNTRUSTED),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER]"), Cause.TLS_FAILED),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), Cause.NAME_NOT_FOUND),
        (UnicodeError("label too long"), Cause.NAME_NOT_FOUND),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), Cause.CONNECTION_REFUSED),
        (ConnectionResetError(errno.ECONNRESET, "reset"), Cause.DISCONNECTED),
        (BrokenPipeError(errno.EPIPE, "pipe"), Cause.DISCONNECTED),
        (SMTPServerDisconnected("gone"), Cause.DISCONNECTED),
        (TimeoutError(), Cause.TIMEOUT),
        (ConnectionAbortedError("SSL handshake is taking longer"), Cause.TIMEOUT),
        (TimeoutError(errno.ETIMEDOUT, "timed out"), Cause.TIMEOUT),
        (SMTPReadTimeoutError("late"), Cause.TIMEOUT),
        (SMTPResponseException(-1, "what?"), Cause.GARBLED),
        (OSError(errno.EHOSTUNREACH, "No route to host"), Cause.UNREACHABLE),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), Cause.UNREACHABLE),
    ],
)
def test_causes(error: Exception, cause: Cause) -> None:
    assert cause_of(error) is cause
    end = ended_by(error, Phase.EHLO, "mail.test")
    assert (end.phase, end.cause, end.reply.said_by) == (Phase.EHLO, cause, "relay")
    assert end.reply.transient


@pytest.mark.parametrize("cause", list(Cause))
def test_every_cause_has_words(cause: Cause) -> None:
    said = reply_for(cause, Phase.CONTENT, "mail.test")
    refused = {Cause.SMTPUTF8_MISSING, Cause.TOO_LARGE, Cause.NOT_CARRIED, Cause.SENDER_NOT_ALLOWED}
    permanent = cause in refused
    assert said.permanent is permanent
    assert said.status is not None
    assert said.status.severity == said.code // 100
    assert "{" not in said.text


def test_words_name_what_the_system_said() -> None:
    assert str(ended_by(untrusted(), Phase.STARTTLS, "mail.test").reply) == (
        "454 4.7.5 The certificate of mail.test is not trusted: self-signed certificate"
    )
    assert str(ended_by(OSError(errno.EHOSTUNREACH, "No route to host"), Phase.CONNECT, "mail.test").reply) == (
        "451 4.4.1 mail.test cannot be reached: No route to host"
    )


def test_an_end_stays_what_it_is() -> None:
    end = ConversationEnded(Phase.AUTH, reply_for(Cause.AUTH_MISSING, Phase.AUTH, "mail.test"), Cause.AUTH_MISSING)
    assert ended_by(end, Phase.MAIL, "mail.test") is end
    assert end.conversation(2).recipients == (None, None)
