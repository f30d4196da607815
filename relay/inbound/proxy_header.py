"""The PROXY protocol's header, versions 1 and 2 (haproxy.org, proxy-protocol.txt, 2020-03-05).

Read exactly, not an octet beyond it: what follows may be a TLS ClientHello, which belongs to TLS.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Generator
from typing import Final, TypeAlias

from relay.inbound.clients import IPAddress, ip_address

_SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_LONGEST_V1: Final = 107
_LONGEST_V2: Final = 4096
_INET, _INET6, _UNIX = 1, 2, 3
_ADDRESS_OCTETS: Final = {_INET: 12, _INET6: 36, _UNIX: 216}

ProxyHeader: TypeAlias = Generator[int, bytes, IPAddress | None]
"""Yields how many octets it wants next and is sent exactly these; returns the client's address.

None where the proxy speaks for itself (LOCAL, its health checks) or does not know (UNKNOWN, a UNIX socket): then the
connection's own peer counts. Raises ValueError where it is no header; the connection has to be closed.
"""


def proxy_header() -> ProxyHeader:
    """Read one header."""
    # The shortest header is version 1's `PROXY UNKNOWN` with its line end, 15 octets: 12 are never too many.
    start = yield len(_SIGNATURE)
    if start == _SIGNATURE:
        return (yield from _version2())
    if not start.startswith(b"PROXY "):
        raise ValueError("no PROXY header")
    line = bytearray(start)
    while not line.endswith(b"\r\n"):
        if len(line) >= _LONGEST_V1:
            raise ValueError("PROXY header too long")
        line += yield 1
    return _version1(bytes(line[:-2]))


def _version1(line: bytes) -> IPAddress | None:
    words = line.decode("ascii", "replace").split(" ")
    if words[1] == "UNKNOWN":
        return None
    if len(words) != 6 or words[1] not in {"TCP4", "TCP6"}:
        raise ValueError("malformed PROXY header")
    version = 4 if words[1] == "TCP4" else 6
    source, destination = ipaddress.ip_address(words[2]), ipaddress.ip_address(words[3])
    ports = words[4:]
    if source.version != version or destination.version != version or "%" in words[2]:
        raise ValueError("malformed PROXY header")
    if not all(port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535 for port in ports):
        raise ValueError("malformed PROXY header")
    return ip_address(words[2])


def _version2() -> ProxyHeader:
    fixed = yield 4
    version, command = fixed[0] >> 4, fixed[0] & 15
    family, transport = fixed[1] >> 4, fixed[1] & 15
    length = int.from_bytes(fixed[2:4], "big")
    if version != 2 or command > 1 or length > _LONGEST_V2:
        raise ValueError("malformed PROXY header")
    rest = (yield length) if length else b""
    if command == 0 or family == 0:
        return None
    if transport != 1 or family not in _ADDRESS_OCTETS or length < _ADDRESS_OCTETS[family]:
        raise ValueError("malformed PROXY header")
    if family == _INET:
        return ipaddress.IPv4Address(rest[:4])
    if family == _INET6:
        return ip_address(str(ipaddress.IPv6Address(rest[:16])))
    return None
