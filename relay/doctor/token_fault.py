"""What a token for Exchange Online tells that the refusals of Entra and Exchange don't. Pure."""

from __future__ import annotations

from typing import Final

from relay.config.microsoft365_settings import CLOUDS, Microsoft365Settings
from relay.config.upstream_settings import UpstreamSettings
from relay.reply import Reply
from relay.upstream.token_claims import TokenClaims

PERMISSION: Final = "SMTP.SendAsApp"

_AUDIENCES: Final = frozenset(
    {f"https://{audience}" for _, _, audience in CLOUDS.values()}
    | {"https://outlook.office.com", "https://outlook.office365.com", "00000002-0000-0ff1-ce00-000000000000"}
)
"""Exchange Online by its names, and by the application ID that it has in every tenant."""

ROWS: Final = (
    "token_for_another_service",
    "send_as_app_missing",
    "service_principal_or_mailbox",
    "sign_in_of_somebody_else",
)
"""The diagnoses that are reached from here only."""


def fault_of(token: TokenClaims | None, upstream: UpstreamSettings) -> str:
    """Return the diagnosis of a token with which no login can succeed; empty where there is nothing to say."""
    if token is None or not isinstance(upstream, Microsoft365Settings):
        return ""
    known = not token.audience or token.audience.rstrip("/") in _AUDIENCES
    return "" if known else "token_for_another_service"


def refusal_of(said: Reply, token: TokenClaims | None, upstream: UpstreamSettings) -> str:
    """Return the diagnosis of a login that was refused with this token; empty where the reply itself tells it.

    Exchange Online says `535 5.7.3` to whatever is wrong with an application or a person; only 5.7.139 has words.
    """
    if token is None or not isinstance(upstream, Microsoft365Settings):
        return ""
    if said.code != 535 or str(said.status) != "5.7.3":
        return ""
    if fault_of(token, upstream):
        return fault_of(token, upstream)
    if upstream.credential == "device_code":
        somebody = token.user and token.user.casefold() != upstream.mailbox.casefold()
        return "sign_in_of_somebody_else" if somebody else ""
    return "service_principal_or_mailbox" if PERMISSION in token.roles else "send_as_app_missing"
