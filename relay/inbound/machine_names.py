"""The names and addresses by which applications may reach this machine."""

from __future__ import annotations

import ipaddress
import re
import socket
from pathlib import Path
from typing import Final

from relay.inbound.clients import IPAddress

_IPV4_TABLE: Final = Path("/proc/net/fib_trie")
_IPV6_TABLE: Final = Path("/proc/net/if_inet6")
_LOCAL_ENTRY: Final = re.compile(r"\|-- (\S+)\s*\n\s+/32 host LOCAL")
_TEMPORARY: Final = 0x01
_MOST_ADDRESSES: Final = 64


def dns_names(hostname: str) -> tuple[str, ...]:
    """Return the configured name, the machine's own ones, and localhost; each once."""
    own = socket.gethostname()
    names = [hostname, socket.getfqdn(), own, "localhost"]
    return tuple(dict.fromkeys(name.lower().rstrip(".") for name in names if _is_name(name)))


def local_addresses() -> tuple[IPAddress, ...]:
    """Return the machine's addresses, loopback included; link-local and temporary IPv6 ones left out."""
    loopback: list[IPAddress] = [ipaddress.IPv4Address("127.0.0.1"), ipaddress.IPv6Address("::1")]
    found = dict.fromkeys([*loopback, *_ipv4_addresses(), *_ipv6_addresses()])
    return tuple(found)[:_MOST_ADDRESSES]


def _is_name(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name.isascii() and bool(re.fullmatch(r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?", name))
    return False


def _ipv4_addresses() -> list[IPAddress]:
    try:
        table = _IPV4_TABLE.read_text()
    except OSError:
        return _resolved()
    addresses = [ipaddress.IPv4Address(text) for text in _LOCAL_ENTRY.findall(table)]
    return [address for address in addresses if not address.is_loopback]


def _ipv6_addresses() -> list[IPAddress]:
    try:
        table = _IPV6_TABLE.read_text()
    except OSError:
        return []
    addresses: list[IPAddress] = []
    for line in table.splitlines():
        digits, _, _, _, flags, _ = line.split()
        address = ipaddress.IPv6Address(int(digits, 16))
        if not (address.is_link_local or address.is_loopback or int(flags, 16) & _TEMPORARY):
            addresses.append(address)
    return addresses


def _resolved() -> list[IPAddress]:
    """Where there is no /proc: what the machine's own name leads to."""
    try:
        found = socket.getaddrinfo(socket.gethostname(), None, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return [ipaddress.ip_address(str(place[0]).partition("%")[0]) for *_, place in found]
