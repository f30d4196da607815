"""As whom an upstream may send. Pure."""

from __future__ import annotations

from relay.address import Mailbox, ReversePath, parse_mailbox
from relay.config.settings import Settings
from relay.config.upstream_settings import UpstreamSettings


def may_send_as(upstream: UpstreamSettings, address: str | Mailbox) -> bool:
    """Return whether a From or reverse-path of this address may go out by the upstream unchanged.

    Providers that mind it let an account send as its own address, and as those of `may_send_as`; others any address.
    """
    return upstream.sends_as(str(address))


def account_of(upstream: UpstreamSettings) -> Mailbox | None:
    """Return the mailbox as which a provider wants everything sent; None where any address will do."""
    return parse_mailbox(upstream.account) if upstream.account is not None else None


def may_carry(
    settings: Settings, upstream: str, client: str, reverse_path: ReversePath, header_from: str, *, notice: bool
) -> bool:
    """Return whether a message of this client may go by an upstream that is not the one it was first meant for.

    It may where both addresses may be sent as, or are rewritten on the way, as those of a notice of ours always are.
    The null reverse-path is refused by whoever wants everything sent as an account.
    """
    table = settings.upstream.get(upstream)
    if table is None:
        return False
    if account_of(table) is None:
        return True
    if notice or (client in settings.client and settings.sender_policy(client, upstream) == "rewrite"):
        return True
    authored = not header_from or may_send_as(table, header_from)
    return authored and reverse_path is not None and may_send_as(table, reverse_path)


def allowed_senders(upstream: UpstreamSettings) -> frozenset[str]:
    """Return the keys (`Mailbox.key`) of the addresses as which an upstream that minds may send; empty for others."""
    return frozenset(address.lower() for address in upstream.own_senders)
