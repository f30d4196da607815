"""Listening sockets, bound before anything is served on them, so that a port that is taken is told by name."""

from __future__ import annotations

import errno
import socket

from relay.config.endpoint import Address
from relay.inbound.error import InboundError

_BACKLOG = 1024
_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def listening_sockets(listener: str, address: Address) -> list[socket.socket]:
    """Bind and listen. `*` is every address of the machine, IPv4 and IPv6. Raises InboundError."""
    try:
        found = socket.getaddrinfo(address.bind_host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        text = f"{error.strerror or error}; write an address of this machine, or *"
        raise InboundError(f'listener "{listener}": {address}: {text}') from error
    opened: list[socket.socket] = []
    fault: OSError | None = None
    for family, kind, protocol, _, place in dict.fromkeys(found):
        try:
            opened.append(_listening(family, kind, protocol, place))
        except OSError as error:
            if error.errno not in _NOT_HERE:
                _close(opened)
                raise InboundError(_explained(listener, address, error)) from error
            fault = error
    if not opened:
        raise InboundError(_explained(listener, address, fault)) from fault
    return opened


def _listening(
    family: int, kind: int, protocol: int, place: tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]
) -> socket.socket:
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.setblocking(False)
        made.bind(place)
        made.listen(_BACKLOG)
    except OSError:
        made.close()
        raise
    return made


def _close(opened: list[socket.socket]) -> None:
    for made in opened:
        made.close()


def _explained(listener: str, address: Address, error: OSError | None) -> str:
    reason = error.strerror if error is not None else "no such address"
    if error is not None and error.errno == errno.EADDRINUSE:
        reason = "the port is taken by another program; stop that one or choose another port"
    elif error is not None and error.errno in (errno.EACCES, errno.EPERM):
        reason = "ports below 1024 need the capability CAP_NET_BIND_SERVICE; grant it or choose a higher port"
    elif error is not None and error.errno == errno.EADDRNOTAVAIL:
        reason = "this machine does not have that address; write one of its own, or *"
    return f'listener "{listener}": {address}: {reason}'
