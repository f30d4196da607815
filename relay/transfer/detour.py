"""By which of its upstreams mail goes while one is out, and back again. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from relay.config.client_settings import ClientSettings
from relay.transfer.outage import Condition

_WINDOW: Final = 1000
_LEAST_WINDOW: Final = 20


def way_for(
    candidates: Sequence[str], here: str, conditions: Mapping[str, Condition], may_carry: Callable[[str], bool]
) -> str:
    """Return by which upstream a recipient should go that waits at `here`; `here` where it stays.

    From one that is out it goes to the first of its candidates that is open, and where none is it stays: whichever is
    open first sends. Else it goes back, to an earlier candidate that is well. `may_carry` tells whether an upstream may
    send it.
    """
    condition = conditions.get(here)
    if condition is None or condition is Condition.STOPPED:
        return here
    for name in candidates:
        if name == here:
            if condition is not Condition.OUT:
                return here
            continue
        found = conditions.get(name)
        open_now = found is not None and found.takes
        if (open_now if condition is Condition.OUT else found is Condition.WELL) and may_carry(name):
            return name
    return here


def room_at(waiting: int, messages_per_minute: int | None) -> int:
    """Return how many more recipients may be moved to an upstream for which so many are queued.

    No more than it sends in a while: the rest may still go by the first, and mail of its own never waits for all.
    """
    window = _WINDOW if messages_per_minute is None else max(_LEAST_WINDOW, min(_WINDOW, 2 * messages_per_minute))
    return max(0, window - waiting)


@dataclass(frozen=True, slots=True)
class Detour:
    """The mail of a client that `upstream` would send goes by another meanwhile; `by` None: it waits."""

    client: str
    upstream: str
    by: str | None


def detours(clients: Mapping[str, ClientSettings], conditions: Mapping[str, Condition]) -> list[Detour]:
    """Return the clients whose mail would first go by an upstream that is out, and by which it goes instead."""
    found = []
    for name, client in clients.items():
        first = client.upstream[0]
        for upstream in (first,) if isinstance(first, str) else first:
            if conditions.get(upstream) is Condition.OUT and len(client.upstreams) > 1:
                by = way_for(client.upstreams, upstream, conditions, lambda _: True)
                found.append(Detour(name, upstream, by if by != upstream else None))
    return found
