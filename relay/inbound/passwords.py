"""The applications' passwords, from wherever the configuration says they are, found anew when they change."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from relay.config.problems import ConfigError
from relay.config.secret_reference import SecretReference

_FRESH_FOR: Final = 1.0
_REMOTE_FRESH_FOR: Final = 300.0


class SecretSource(Protocol):
    """Where secrets come from; `relay.config.secrets.Secrets` is one."""

    def resolve(self, reference: SecretReference) -> str:
        """Return the secret. Raises ConfigError."""
        ...

    def text_of(self, place: Path | SecretReference) -> str:
        """Return what stands in a file, or a secret. Raises ConfigError."""
        ...


class Passwords:
    """Resolves a password at most once a second, one in a secret service every five minutes and in a thread."""

    def __init__(self, source: SecretSource, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._clock = clock
        self._known: dict[str, tuple[str, float]] = {}

    async def password(self, reference: SecretReference) -> str:
        """Return the password. Raises ConfigError while it cannot be had."""
        key = str(reference)
        known = self._known.get(key)
        now = self._clock()
        if known is not None and now < known[1]:
            return known[0]
        if reference.aws is None:
            text, fresh_for = self._source.resolve(reference), _FRESH_FOR
        else:
            text, fresh_for = await asyncio.to_thread(self._source.resolve, reference), _REMOTE_FRESH_FOR
        self._known[key] = (text, now + fresh_for)
        return text


__all__ = ["ConfigError", "Passwords", "SecretSource"]
