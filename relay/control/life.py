"""What only the running relay knows, gathered from its stages."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

from relay.config.microsoft365_settings import Microsoft365Settings
from relay.config.secrets import Secrets
from relay.config.settings import Settings
from relay.control.expiry import Expiry, expiries, soonest_first
from relay.inbound.listeners import Listeners, ListenerStatus
from relay.spool.store import Spool
from relay.transfer.detour import Detour
from relay.transfer.dispatcher import Dispatcher, UpstreamState
from relay.upstream.contract import Upstream

_LOOK_AGAIN = 300.0


class RunningLife:
    """One process. What expires is looked at once in five minutes, in a thread."""

    def __init__(
        self,
        settings: Callable[[], Settings],
        secrets: Secrets,
        spool: Spool,
        listeners: Listeners,
        dispatcher: Dispatcher,
        upstreams: Mapping[str, Upstream],
    ) -> None:
        self._started = time.monotonic()
        self.draining = False
        self.upstreams = upstreams
        self._settings = settings
        self._secrets = secrets
        self._spool = spool
        self._listeners = listeners
        self._dispatcher = dispatcher
        self._expiries: list[Expiry] = []
        self._looked_at = float("-inf")
        self._looking = asyncio.Lock()

    @property
    def uptime(self) -> int:
        """Whole seconds since the start."""
        return int(time.monotonic() - self._started)

    def unready(self) -> str | None:
        """Why no mail can be taken now; None when it can."""
        if self.draining:
            return "stopping"
        if not self._listeners.ready:
            return "not all listeners are open"
        return self._spool.health()

    def listeners(self) -> Sequence[ListenerStatus]:
        """Return the listeners that are open."""
        return self._listeners.status()

    def upstream(self, name: str) -> UpstreamState | None:
        """Return how an upstream stands."""
        return self._dispatcher.state(name)

    def detours(self) -> Sequence[tuple[Detour, int]]:
        """Return the clients whose mail goes another way just now, and since when."""
        return self._dispatcher.detours

    def tokens(self) -> dict[str, int | None]:
        """Return when the access token of each upstream that needs one expires; None before it has one."""
        return {
            name: getattr(self.upstreams[name], "token_expires_at", None)
            for name, table in self._settings().upstream.items()
            if isinstance(table, Microsoft365Settings) and name in self.upstreams
        }

    async def expiring(self) -> Sequence[Expiry]:
        """Return what expires, the soonest first and what nobody knows last; tokens are renewed, and do not count."""
        async with self._looking:
            now = time.monotonic()
            if now - self._looked_at >= _LOOK_AGAIN:
                self._looked_at = now
                self._expiries = await asyncio.to_thread(expiries, self._settings(), self._secrets)
        known = list(self._expiries)
        leaf_expires_at = self._listeners.certificate_expires_at
        if leaf_expires_at is not None:
            known.append(Expiry("tls", "certificate", leaf_expires_at))
        return soonest_first(known)

    def forget_expiries(self) -> None:
        """Look again at the next occasion: files or settings have changed."""
        self._looked_at = float("-inf")
