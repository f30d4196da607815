"""By which upstreams a notice of ours goes, and with which addresses. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from relay.address import Mailbox, ReversePath
from relay.config.providers import provider_of
from relay.config.settings import Settings
from relay.transfer.sender_rights import account_of


@dataclass(frozen=True, slots=True)
class Route:
    """The upstreams in the order to try, the notice's reverse-path, and the address in its From."""

    candidates: tuple[str, ...]
    reverse_path: ReversePath
    author: Mailbox


def route_for(
    settings: Settings, wanted: Sequence[str | None], usable: Callable[[str], bool], verified: Mailbox | None
) -> Route | None:
    """Return the route by the first of `wanted` that is usable; by the first configured one where none is.

    `verified` is an address that Amazon SES is known to accept. None where none of `wanted` is configured.
    """
    configured = [name for name in dict.fromkeys(wanted) if name is not None and name in settings.upstream]
    candidates = tuple(sorted(configured, key=lambda name: not usable(name)))
    if not candidates:
        return None
    upstream = settings.upstream[candidates[0]]
    account = account_of(upstream)
    if account is None and provider_of(upstream) == "ses":
        account = verified
    if account is not None:
        # These providers refuse MAIL FROM:<>, and a From that is not the account's (SES: not verified).
        return Route(candidates, account, account)
    return Route(candidates, None, Mailbox("MAILER-DAEMON", settings.hostname))
