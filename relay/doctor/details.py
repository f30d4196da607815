"""What a step that went well has to tell people, on one line. Pure; nothing secret is in it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from relay.config.upstream_settings import UpstreamSettings
from relay.doctor.steps import Step
from relay.upstream.examination import Examination, Protection
from relay.upstream.extensions import Extensions
from relay.upstream.token_claims import TokenClaims

_SHOWN = 4
"""Of longer lists only the first are told."""


def detail_of(step: Step, seen: Examination, upstream: UpstreamSettings) -> str:
    """Return what is to be told of it; empty where there is nothing."""
    if step is Step.CONFIGURATION:
        return f"type {upstream.type}, {upstream.host}:{upstream.port}, security {upstream.security}"
    if step is Step.DNS:
        return _several(seen.addresses) + (" (of the proxy)" if upstream.proxy is not None else "")
    if step is Step.PORT:
        port = upstream.port if upstream.proxy is None else upstream.proxy.port
        return f"{seen.peer} port {port}"
    if step is Step.PROXY:
        return proxy_detail(upstream)
    if step is Step.TLS:
        return protection_detail(seen.protection, upstream)
    if step is Step.TOKEN:
        return token_detail(seen.token)
    if step is Step.EHLO:
        return _offer(seen.extensions)
    if step in {Step.PERMISSION, Step.MAILBOX}:
        return "a message to nobody was refused for having no recipient only" if step is Step.MAILBOX else ""
    if step is Step.AUTH:
        return f"{seen.mechanism} as {seen.username}" if seen.username else ""
    return _of_transaction(step, seen)


def proxy_detail(upstream: UpstreamSettings) -> str:
    """Tell what the proxy did."""
    login = f" as {upstream.proxy_username}" if upstream.proxy_username else ""
    return f"{upstream.proxy}{login}, which looks up {upstream.host} and connects to its port {upstream.port}"


def protection_detail(protection: Protection | None, upstream: UpstreamSettings) -> str:
    """Tell whom the certificate is for, who made it, and until when it holds."""
    if protection is None:
        return ""
    if upstream.verify == "none" or protection.expires_at is None:
        return f'{protection.version}; the certificate is not looked at (verify = "none")'
    ends = f"valid until {day(protection.expires_at)}"
    made_by = f"by {protection.issuer}" if protection.issuer else ""
    parts = [protection.version, f"certificate for {_several(protection.names)}", made_by, ends]
    return ", ".join(part for part in parts if part)


def token_detail(token: TokenClaims | None) -> str:
    """Tell what a token is for and how long it holds, never the token."""
    if token is None:
        return "opaque: it does not tell what it is for"
    rights = ", ".join((*token.roles, *token.scopes)) or "none"
    parts = [
        f"for {token.audience}" if token.audience else "",
        f"permissions: {rights}",
        f"of {token.user}" if token.user else "",
        f"object ID {token.object_id}" if token.object_id else "",
        f"until {moment(token.expires_at)}" if token.expires_at is not None else "",
    ]
    return "; ".join(part for part in parts if part)


def day(at: int) -> str:
    """Write milliseconds since the epoch as a date, UTC."""
    return f"{datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%d}"


def moment(at: int) -> str:
    """Write milliseconds since the epoch to the second, UTC."""
    return f"{datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _offer(extensions: Extensions | None) -> str:
    if extensions is None:
        return ""
    login = f"AUTH {' '.join(extensions.mechanisms)}" if extensions.mechanisms else "no AUTH"
    size = f"; messages of up to {extensions.size_limit} octets" if extensions.size_limit is not None else ""
    return login + size


def _of_transaction(step: Step, seen: Examination) -> str:
    if step is Step.MAIL:
        return f"from {_several([str(each.trial.sender or '<>') for each in seen.rehearsals])}"
    if step is Step.RCPT:
        return f"to {_several(dict.fromkeys(str(each.trial.recipient) for each in seen.rehearsals))}"
    return "taken back: nothing was sent" if step is Step.RSET else ""


def _several(texts: Iterable[str]) -> str:
    listed = list(texts)
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return ", ".join(listed[:_SHOWN]) + more
