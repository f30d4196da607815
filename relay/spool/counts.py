"""What waits, in memory as the database counts it: for answers that may not wait for a query."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from relay.spool.records import RecipientState
from relay.spool.transaction import CountKey

_STATES: Final = {state.value for state in RecipientState}


def countable(row: Any) -> bool:
    """Return False for a row of `counts` that damage on the disk made unreadable."""
    return type(row.total) is int and (row.kind != "upstream" or row.state in _STATES)


class Counts:
    """The counts after the last transaction."""

    def __init__(self) -> None:
        self._totals: dict[CountKey, int] = {}

    def replace(self, totals: Iterable[tuple[CountKey, int]]) -> None:
        """Take over what the database says."""
        self._totals = {key: total for key, total in totals if total}

    def apply(self, deltas: Mapping[CountKey, int]) -> None:
        """Follow a transaction."""
        totals = self._totals
        for key, difference in deltas.items():
            total = totals.get(key, 0) + difference
            if total:
                totals[key] = total
            else:
                totals.pop(key, None)

    def waiting(self, client: str) -> int:
        """Return how many messages of a client wait."""
        return self._totals.get(("client", client, ""), 0)

    def waiting_at(self, upstream: str, *states: RecipientState) -> int:
        """Return how many recipients wait for an upstream in these states."""
        return sum(self._totals.get(("upstream", upstream, state.value), 0) for state in states)

    def recipients(self) -> dict[tuple[str, RecipientState], int]:
        """Return the recipients waiting, by upstream and state."""
        return {
            (name, RecipientState(state)): total
            for (kind, name, state), total in self._totals.items()
            if kind == "upstream"
        }
