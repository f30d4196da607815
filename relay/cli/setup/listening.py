"""Whether Relay could listen where it is told to."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

from relay.config.endpoint import Address
from relay.config.settings import Settings
from relay.state_dir import holder_of

_TROUBLES = {
    errno.EADDRINUSE: "another program listens there; end that, or choose another port",
    errno.EACCES: "only root may use this port, and the systemd unit; choose one above 1023 for anybody else",
    errno.EADDRNOTAVAIL: "this machine has no such address",
}


def troubles_of(settings: Settings) -> Iterator[str]:
    """Yield what is wrong with each listener's address, in a line; nothing while a relay runs, which has them open."""
    if holder_of(settings.state_dir) is not None:
        return
    for name, listener in settings.listener.items():
        trouble = _trouble_at(listener.address)
        if trouble is not None:
            yield f'listener "{name}": {listener.address}: {trouble}'


def _trouble_at(address: Address) -> str | None:
    host = address.bind_host or "0.0.0.0"  # noqa: S104 - tried for a moment, without listening
    try:
        [(family, kind, _, _, place), *_] = socket.getaddrinfo(host, address.port, type=socket.SOCK_STREAM)
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except socket.gaierror:
        return "this name has no address"
    except OSError as error:
        return _TROUBLES.get(error.errno or 0, error.strerror or "can't be used")
    return None
