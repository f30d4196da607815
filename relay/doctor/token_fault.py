"""What a token for Exchange Online or Graph tells that the refusals of Entra and of these don't. Pure."""

from __future__ import annotations

from typing import Final

from relay.config.microsoft365_settings import CLOUDS, GRAPHS, Microsoft365Settings
from relay.config.upstream_settings import UpstreamSettings
from relay.reply import Reply
from relay.upstream.token_claims import TokenClaims

PERMISSION: Final = "SMTP.SendAsApp"
GRAPH_PERMISSION: Final = "Mail.Send"
GRAPH_DRAFTS: Final = "Mail.ReadWrite"

_AUDIENCES: Final = frozenset(
    {f"https://{audience}" for _, _, audience in CLOUDS.values()}
    | {"https://outlook.office.com", "https://outlook.office365.com", "00000002-0000-0ff1-ce00-000000000000"}
)
"""Exchange Online by its names, and by the application ID that it has in every tenant."""

_GRAPH_AUDIENCES: Final = frozenset(
    {f"https://{host}" for host in GRAPHS.values()} | {"00000003-0000-0000-c000-000000000000"}
)

ROWS: Final = (
    "graph_token_for_another_service",
    "graph_mail_send_missing",
    "graph_mailbox_not_allowed",
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
    by_graph = upstream.via == "graph"
    meant = _GRAPH_AUDIENCES if by_graph else _AUDIENCES
    if not token.audience or token.audience.rstrip("/") in meant:
        return ""
    return "graph_token_for_another_service" if by_graph else "token_for_another_service"


def refusal_of(said: Reply, token: TokenClaims | None, upstream: UpstreamSettings) -> str:
    """Return the diagnosis of a login that was refused with this token; empty where the reply itself tells it.

    Exchange Online says `535 5.7.3` to whatever is wrong with an application or a person; only 5.7.139 has words.
    """
    if token is None or not isinstance(upstream, Microsoft365Settings):
        return ""
    if upstream.via == "graph":
        return _refusal_by_graph(said, token, upstream)
    if said.code != 535 or str(said.status) != "5.7.3":
        return ""
    if fault_of(token, upstream):
        return fault_of(token, upstream)
    if upstream.credential == "device_code":
        somebody = token.user and token.user.casefold() != upstream.mailbox.casefold()
        return "sign_in_of_somebody_else" if somebody else ""
    return "service_principal_or_mailbox" if PERMISSION in token.roles else "send_as_app_missing"


def may_send_large(token: TokenClaims | None) -> bool:
    """Tell whether drafts may be made at Graph, as far as a token tells: a role of Exchange's is not in it."""
    return token is None or GRAPH_DRAFTS in (*token.roles, *token.scopes)


def _refusal_by_graph(said: Reply, token: TokenClaims, upstream: Microsoft365Settings) -> str:
    if said.code != 535:
        return ""
    if fault_of(token, upstream):
        return fault_of(token, upstream)
    if str(said.status) != "5.7.1":
        return ""
    if GRAPH_PERMISSION not in (*token.roles, *token.scopes):
        return "graph_mail_send_missing"
    somebody = token.user and token.user.casefold() != upstream.mailbox.casefold()
    return "sign_in_of_somebody_else" if somebody else "graph_mailbox_not_allowed"
