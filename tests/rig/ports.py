"""Free TCP ports on loopback."""

import os
import secrets
import socket

_LOWEST, _COUNT = 10000, 20000
"""Below the ephemeral range, so that no outgoing connection is given the port before its server binds it."""

_WORKERS = 16
_given: set[int] = set()


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nothing listens on at this moment, and that nobody else is given.

    Of pytest's workers each has ports of its own; random, so that other programs' tests beside ours don't meet them.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for _ in range(200):
        port = _LOWEST + _WORKERS * secrets.randbelow(_COUNT // _WORKERS) + worker
        if port in _given:
            continue
        with socket.socket(family) as probe:
            try:
                probe.bind((host, port))
            except OSError:
                continue
            _given.add(port)
            return port
    raise RuntimeError(f"no free port on {host}")
