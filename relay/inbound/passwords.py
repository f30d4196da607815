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
        self._known: dict[SecretReference, tuple[str, float]] = {}

    def known(self, reference: SecretReference) -> str | None:
        """Return the password; None where a secret service has to be `asked`. Raises ConfigError."""
        known = self._known.get(reference)
        now = self._clock()
        if known is not None and now < known[1]:
            return known[0]
        if reference.aws is not None:
            return None
        text = self._source.resolve(reference)
        self._known[reference] = (text, now + _FRESH_FOR)
        return text

    async def asked(self, reference: SecretReference) -> str:
        """Return the password from a secret service. Raises ConfigError while it cannot be had."""
        text = await asyncio.to_thread(self._source.resolve, reference)
        self._known[reference] = (text, self._clock() + _REMOTE_FRESH_FOR)
        return text


__all__ = ["ConfigError", "Passwords", "SecretSource"]
