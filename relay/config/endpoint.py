"""Where something listens: `"127.0.0.1:2525"`, `"[::1]:25"`, `"*:25"`; and the networks that may come."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import BeforeValidator

from relay.config.mistake import mistake
from relay.config.quantities import TextForm

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_ADDRESS: Final = re.compile(r"(\*|\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9_.-]+):([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Address:
    """A host (a name, an address without brackets, or `*` for all) and a TCP port (0: any free one)."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def bind_host(self) -> str | None:
        """The host to bind to; None binds every address of the machine, as asyncio has it."""
        return None if self.host == "*" else self.host

    def overlaps(self, other: "Address") -> bool:
        """Whether the two can't be open at the same time."""
        if self.port != other.port or self.port == 0:
            return False
        return self.host.casefold() == other.host.casefold() or _everything(self) or _everything(other)


def address_from(text: str) -> Address:
    """Reads `HOST:PORT`; raises ValueError saying what is wrong and what to do."""
    found = _ADDRESS.fullmatch(text.strip())
    if found is None:
        raise ValueError(_address_fault(text.strip()))
    host, port = found[1].strip("[]"), int(found[2])
    if port > 65535:
        raise ValueError(f"port {port} does not exist; use one from 1 to 65535")
    if found[1].startswith("["):
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise ValueError(f'"{host:.60}" is not an IPv6 address; write it like "[::1]:2525"') from None
    elif re.fullmatch(r"[0-9.]+", host) and not _is_ipv4(host):
        raise ValueError(f'"{host:.60}" is not an IPv4 address; write it like "127.0.0.1:2525"')
    return Address(host, port)


def network_from(text: str) -> IPNetwork:
    """Reads `10.20.30.0/24` or one address; IPv4-mapped ones are IPv4. Raises ValueError as address_from does."""
    try:
        network = ipaddress.ip_network(text.strip())
    except ValueError:
        try:
            meant = ipaddress.ip_network(text.strip(), strict=False)
        except ValueError:
            raise ValueError(f'"{text:.60}" is not a network; write it like "10.20.30.0/24"') from None
        raise ValueError(f'"{text}" is one machine of a network; write "{meant}" for the network') from None
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return ipaddress.IPv4Network((mapped, network.prefixlen - 96))
    return network


def _address_fault(text: str) -> str:
    if text.count(":") > 1 and not text.startswith("["):
        return f'"{text:.60}" is not HOST:PORT; an IPv6 address stands in brackets, like "[::1]:2525"'
    if text.isascii() and text.isdigit():
        shown = f"{text:.5}"
        return f'"{text:.60}" has no host; write "127.0.0.1:{shown}" for this machine, or "*:{shown}" for the network'
    if ":" not in text:
        return f'"{text:.60}" has no port; write "{text:.60}:2525", for instance'
    return f'"{text:.60}" is not HOST:PORT; write it like "127.0.0.1:2525", "[::1]:2525" or "*:2525"'


def _is_ipv4(host: str) -> bool:
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True


def _everything(address: Address) -> bool:
    # "[::]" takes IPv4 along only where the system lets it; both open at once would be luck.
    return address.host in {"*", "0.0.0.0", "::"}  # noqa: S104  compared, not bound


def _address(value: object) -> object:
    if isinstance(value, Address):
        return value
    if not isinstance(value, str):
        raise mistake("expected HOST:PORT in quotes", 'write it like "127.0.0.1:2525"')
    try:
        return address_from(value)
    except ValueError as error:
        wrong, _, cure = str(error).partition("; ")
        raise mistake(wrong, cure) from error


def _network(value: object) -> object:
    if isinstance(value, ipaddress.IPv4Network | ipaddress.IPv6Network):
        return value
    if not isinstance(value, str):
        raise mistake("expected a network in quotes", 'write it like "10.20.30.0/24"')
    try:
        return network_from(value)
    except ValueError as error:
        wrong, _, cure = str(error).partition("; ")
        raise mistake(wrong, cure) from error


Endpoint = Annotated[Address, TextForm(), BeforeValidator(_address)]
"""An Address as a setting."""

Network = Annotated[IPNetwork, TextForm(), BeforeValidator(_network)]
"""An IPv4 or IPv6 network as a setting."""
