"""Who an application is: by user name and password, by the network it connects from, or by both."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from relay.config.client_settings import ClientSettings

IPAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Client:
    """One application: its table's name, and its table."""

    name: str
    settings: ClientSettings


class Clients:
    """All applications of one configuration."""

    def __init__(self, clients: Mapping[str, ClientSettings]) -> None:
        self._by_name = {name: Client(name, settings) for name, settings in clients.items()}
        self._by_username = {
            client.settings.username: client
            for client in self._by_name.values()
            if client.settings.username is not None
        }
        networks = [
            (network, client)
            for client in self._by_name.values()
            if client.settings.username is None
            for network in client.settings.networks
        ]
        # Of overlapping networks the narrowest counts; the first of equal ones.
        self._by_network = sorted(networks, key=lambda pair: -pair[0].prefixlen)

    def named(self, name: str) -> Client | None:
        """Return the client of this name; None when a new configuration no longer has it."""
        return self._by_name.get(name)

    def with_username(self, username: str) -> Client | None:
        """Return the client that logs in with this name."""
        return self._by_username.get(username)

    def at(self, address: IPAddress) -> Client | None:
        """Return the client that this address is, without login."""
        for network, client in self._by_network:
            if address.version == network.version and address in network:
                return client
        return None


def may_log_in_from(client: Client, address: IPAddress) -> bool:
    """Return whether a client with networks connects from one of them; one without may come from anywhere."""
    networks = client.settings.networks
    return not networks or any(address.version == network.version and address in network for network in networks)


@lru_cache(256)
def ip_address(text: str) -> IPAddress:
    """Read a peer's address: an IPv4-mapped one is IPv4, a scope is dropped. Raises ValueError."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
