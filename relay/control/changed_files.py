"""Files that the settings refer to, and the sealed store, watched for changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from relay.config.problems import ConfigError
from relay.config.references import watched_files
from relay.config.seal import SealedStore
from relay.config.settings import Settings
from relay.config.watch import Watch

_EVERY: Final = 1.0


class ChangedFiles:
    """Looks once a second, and hands `changed` the names of those that are other than before."""

    def __init__(
        self, settings: Callable[[], Settings], store: SealedStore, changed: Callable[[Sequence[str]], None]
    ) -> None:
        self._settings = settings
        self._store = store
        self._changed = changed

    async def run(self) -> None:
        """Look until cancelled."""
        watched = watched_files(self._settings())
        watch, names = Watch(watched), self._sealed_names()
        while True:
            await asyncio.sleep(_EVERY)
            if watched_files(self._settings()) != watched:
                watched = watched_files(self._settings())
                watch = Watch(watched)
            changed = set(watch.changed())
            if self._store.path in changed:
                # Tokens are kept there too: only the operator's secrets are news.
                before, names = names, self._sealed_names()
                if names == before:
                    changed.discard(self._store.path)
            if changed:
                self._changed(sorted(path.name for path in changed))

    def _sealed_names(self) -> object:
        try:
            return self._store.names()
        except ConfigError:
            return None
