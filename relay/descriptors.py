"""Open files: each connection is one, and a process may only have so many."""

from __future__ import annotations

import resource
from typing import Final

from relay.config.settings import Settings

_MOST: Final = 65_536
_OUR_OWN: Final = 64
"""Spool, log, sockets, files that are looked at, and commands that ask."""


def allow_many() -> None:
    """Have as many as whoever started us lets us have: shells and services begin with 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < _MOST:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (_MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST), hard)
        )


def too_few(settings: Settings) -> str | None:
    """Return what is wrong where all connections that the settings admit need more than we may have."""
    sides = (settings.listener.values(), settings.upstream.values())
    wanted = _OUR_OWN + sum(one.max_connections for side in sides for one in side)
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if wanted <= allowed:
        return None
    return (
        f"this process may have {allowed} open files, and max_connections of listeners and upstreams need {wanted}: "
        "clients beyond that are hung up on; raise LimitNOFILE= of the service (ulimit -n), or lower max_connections"
    )
