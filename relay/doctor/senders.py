"""As whom a rehearsal is made: the addresses as which the clients of an upstream send. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from relay.address import Mailbox, ReversePath, parse_mailbox
from relay.config.settings import Settings

MOST = 10
"""Each is a MAIL that counts against the provider's limits."""


def senders_for(name: str, settings: Settings, used: Iterable[ReversePath]) -> tuple[Mailbox, ...]:
    """Return the account's address, what the clients may send as, and what they have `used`; each once, not too many.

    Where nothing is known of any of these it is an address of this machine.
    """
    found: dict[str, Mailbox] = {}
    configured = (parse_mailbox(text) for text in _configured(name, settings))
    for sender in (*configured, *used):
        if sender is not None and "@" in str(sender):
            found.setdefault(sender.key, sender)
    return tuple(found.values())[:MOST] or (Mailbox("relay", settings.hostname),)


def clients_of(name: str, settings: Settings) -> tuple[str, ...]:
    """Return the clients whose mail may go by an upstream."""
    return tuple(client for client, table in settings.client.items() if name in table.upstreams)


def open_clients(name: str, settings: Settings) -> tuple[str, ...]:
    """Return those of them of whom the settings don't tell every address as which they send."""
    return tuple(client for client in clients_of(name, settings) if _open(settings.client[client].senders))


def _configured(name: str, settings: Settings) -> Iterable[str]:
    account = settings.upstream[name].account
    if account:
        yield account
    for client in clients_of(name, settings):
        yield from (sender for sender in settings.client[client].senders if not sender.startswith("@"))
    yield from (face.from_ for face in settings.identity.values() if face.upstream == name and face.from_)


def _open(senders: tuple[str, ...]) -> bool:
    return not senders or any(sender.startswith("@") for sender in senders)
