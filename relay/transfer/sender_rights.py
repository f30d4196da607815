"""As whom an upstream may send. Pure."""

from __future__ import annotations

from relay.address import Mailbox, parse_mailbox
from relay.config.upstream_settings import UpstreamSettings


def may_send_as(upstream: UpstreamSettings, address: str | Mailbox) -> bool:
    """Return whether a From or reverse-path of this address may go out by the upstream unchanged.

    Providers that mind it let an account send as its own address, and as those of `may_send_as`; others any address.
    """
    return upstream.sends_as(str(address))


def account_of(upstream: UpstreamSettings) -> Mailbox | None:
    """Return the mailbox as which a provider wants everything sent; None where any address will do."""
    return parse_mailbox(upstream.account) if upstream.account is not None else None
