"""Free TCP ports on loopback."""

import secrets
import socket

_LOWEST, _COUNT = 10000, 20000
"""Below the ephemeral range, so that no outgoing connection is given the port before its server binds it."""


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nothing listens on at this moment; random, so that tests running side by side don't meet."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for _ in range(200):
        port = _LOWEST + secrets.randbelow(_COUNT)
        with socket.socket(family) as probe:
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no free port on {host}")
