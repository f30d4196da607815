"""By which upstreams a message may leave."""

from __future__ import annotations

from relay.config.client_settings import ClientSettings


def upstream_for(client: ClientSettings) -> tuple[str, ...]:
    """Return the upstreams in the order in which they are tried; never empty."""
    return client.upstreams
