"""The steps of an examination in their order, and which of them the end of a conversation belongs to. Pure."""

from __future__ import annotations

import enum

from relay.config.microsoft365_settings import Microsoft365Settings
from relay.config.provider_settings import CaptureSettings, GmailSettings, SmtpSettings
from relay.config.ses_settings import SesSettings
from relay.config.upstream_settings import UpstreamSettings
from relay.upstream.contract import Cause, Phase
from relay.upstream.examination import Examination
from relay.upstream.failures import ConversationEnded


class Step(enum.StrEnum):
    """What is looked at; a failure of each is mended somewhere else."""

    CONFIGURATION = "configuration"
    FOLDER = "folder"
    DNS = "dns"
    PORT = "port"
    PROXY = "proxy"
    GREETING = "greeting"
    TLS = "tls"
    TOKEN = "token"  # noqa: S105 - a step, not a password
    EHLO = "ehlo"
    AUTH = "auth"
    PERMISSION = "permission"
    MAILBOX = "mailbox"
    MAIL = "mail"
    RCPT = "rcpt"
    RSET = "rset"
    CREDENTIALS = "credentials"
    ACCOUNT = "account"
    SENDERS = "senders"
    MESSAGE = "message"


class Result(enum.StrEnum):
    """What came of a step; NOT_REACHED: something before it failed."""

    OK = "ok"
    FAILED = "failed"
    NOT_REACHED = "not_reached"


REHEARSED = (Step.MAIL, Step.RCPT, Step.RSET)
"""Each From is tried with all three, in this order."""

AT_PROXY = frozenset(
    {
        Cause.PROXY_UNREACHABLE,
        Cause.PROXY_TIMEOUT,
        Cause.PROXY_GARBLED,
        Cause.PROXY_LOGIN_REFUSED,
        Cause.PROXY_FORBIDS,
        Cause.PROXY_REACHES_NOTHING,
    }
)
"""What ends a conversation after the proxy's name was found."""


def steps_of(upstream: UpstreamSettings) -> tuple[Step, ...]:
    """Return the steps that an upstream has, in the order in which they are told."""
    if isinstance(upstream, CaptureSettings):
        return (Step.CONFIGURATION, Step.FOLDER)
    proxy = (Step.PROXY,) if upstream.proxy is not None else ()
    if isinstance(upstream, SesSettings) and upstream.via == "api":
        # Each can be reached only after those before it.
        connecting = (Step.CREDENTIALS, Step.DNS, Step.PORT, *proxy, Step.TLS)
        return (Step.CONFIGURATION, *connecting, Step.AUTH, Step.ACCOUNT, Step.SENDERS)
    if by_graph(upstream):
        connecting = (Step.DNS, Step.PORT, *proxy, Step.TLS)
        return (Step.CONFIGURATION, *connecting, Step.TOKEN, Step.AUTH, Step.PERMISSION, Step.MAILBOX)
    opening = {
        "implicit": (Step.TLS, Step.GREETING),
        "starttls": (Step.GREETING, Step.TLS),
        "none": (Step.GREETING,),
    }[upstream.security]
    token = (Step.TOKEN,) if _by_token(upstream) else ()
    login = (Step.AUTH,) if _by_login(upstream) else ()
    return (Step.CONFIGURATION, Step.DNS, Step.PORT, *proxy, *opening, *token, Step.EHLO, *login, *REHEARSED)


def connecting_steps(upstream: UpstreamSettings) -> tuple[Step, ...]:
    """Return those of the one connection up to the login: each can be reached only after those before it."""
    apart = {Step.CONFIGURATION, Step.FOLDER, Step.TOKEN, *REHEARSED}
    return tuple(step for step in steps_of(upstream) if step not in apart)


def step_of(end: ConversationEnded, seen: Examination, upstream: UpstreamSettings) -> Step:
    """Return the step in which a conversation ended."""
    if end.phase is Phase.SECRET:
        return Step.CONFIGURATION
    if end.phase is Phase.TOKEN:
        return Step.TOKEN
    if end.phase is Phase.CONNECT:
        if end.cause in {Cause.NAME_NOT_FOUND, Cause.PROXY_NOT_FOUND} or not seen.addresses:
            return Step.DNS
        if end.cause in AT_PROXY:
            return Step.PROXY if seen.peer else Step.PORT
        return Step.TLS if seen.peer and upstream.security == "implicit" else Step.PORT
    if by_graph(upstream):
        return _GRAPH.get((end.reply.code, str(end.reply.status)), Step.MAILBOX if end.cause is None else Step.AUTH)
    if end.phase is Phase.EHLO and upstream.security == "starttls" and not seen.secured:
        # The first EHLO only asks for STARTTLS; what is offered counts after it (RFC 3207 §4.2).
        return Step.GREETING
    if end.phase is Phase.EHLO and not seen.mechanism:
        return Step.EHLO
    return {Phase.GREETING: Step.GREETING, Phase.STARTTLS: Step.TLS}.get(end.phase, Step.AUTH)


_GRAPH = {
    (535, "5.7.8"): Step.AUTH,
    (535, "5.7.1"): Step.PERMISSION,
    (535, "5.7.0"): Step.PERMISSION,
}
"""Where Graph's refusals belong, by the reply that they are told as; all others are of the mailbox."""


def by_graph(upstream: UpstreamSettings) -> bool:
    """Tell whether the upstream is Microsoft Graph."""
    return isinstance(upstream, Microsoft365Settings) and upstream.via == "graph"


def _by_token(upstream: UpstreamSettings) -> bool:
    return isinstance(upstream, Microsoft365Settings) or (
        isinstance(upstream, GmailSettings) and upstream.app_password is None
    )


def _by_login(upstream: UpstreamSettings) -> bool:
    if isinstance(upstream, SmtpSettings):
        return bool(upstream.username) and upstream.password is not None and upstream.auth != "none"
    return isinstance(upstream, Microsoft365Settings | GmailSettings | SesSettings)
