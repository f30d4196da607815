"""Which senders an upstream refused lately: their mail does not go back to it."""

from __future__ import annotations

from typing import Final

_MOST: Final = 1000


class RefusedSenders:
    """In memory: after a restart an upstream is asked once more."""

    def __init__(self) -> None:
        self._until: dict[tuple[str, str], int] = {}

    def note(self, upstream: str, header_from: str, until_at: int) -> None:
        """The upstream may not send as this From; not to be asked before `until_at`."""
        if len(self._until) >= _MOST:
            del self._until[next(iter(self._until))]
        self._until[upstream, header_from.casefold()] = until_at

    def holds(self, upstream: str, header_from: str, at: int) -> bool:
        """Return whether the upstream refused this From, and is not to be asked yet."""
        return self._until.get((upstream, header_from.casefold()), 0) > at
