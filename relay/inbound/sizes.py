"""How large a message may be for the upstreams that it could leave by: what none takes is refused (RFC 1870)."""

from __future__ import annotations

from collections.abc import Callable

from relay.config.client_settings import ClientSettings
from relay.config.settings import Settings
from relay.inbound import replies
from relay.reply import Reply

_ADDED = 1024
"""Octets kept for what we put on top of a message: Received and what was missing."""


class Sizes:
    """Those of one configuration. `learned` tells what an upstream's EHLO said last; None: nothing, or not yet."""

    def __init__(self, settings: Settings, learned: Callable[[str], int | None]) -> None:
        self._learned = learned
        self._set = {name: upstream.max_message_size for name, upstream in settings.upstream.items()}
        identities = settings.identity.values()
        self._others = tuple({one.upstream for one in identities if one.upstream is not None})

    def refuse_declared(self, client: ClientSettings, size: int) -> Reply | None:
        """Return the refusal at MAIL of so many octets, which no upstream takes that this client may use, or None."""
        return self._refusal((*client.upstreams, *self._others), size + _ADDED)

    def refuse(self, candidates: tuple[str, ...], size: int) -> Reply | None:
        """Return the refusal of a complete message that none of its candidates takes, or None."""
        return self._refusal(candidates, size)

    def fitting(self, candidates: tuple[str, ...], size: int) -> tuple[str, ...]:
        """Return those candidates that take so many octets."""
        if len(candidates) == 1:
            return candidates
        limits = ((name, self._limit(name)) for name in candidates)
        return tuple(name for name, limit in limits if limit is None or size <= limit)

    def _refusal(self, upstreams: tuple[str, ...], size: int) -> Reply | None:
        most, largest = 0, ""
        for name in upstreams:
            limit = self._limit(name)
            if limit is None or size <= limit:
                return None
            most, largest = max((most, largest), (limit, name))
        return replies.too_large_for(largest, most)

    def _limit(self, upstream: str) -> int | None:
        learned = self._learned(upstream)
        return learned if learned is not None else self._set.get(upstream)
