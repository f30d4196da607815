"""By which upstreams a message may leave, in the order to try. Pure, but for whose turn it was last."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from relay.config.client_settings import ClientSettings
from relay.spool.records import Load


class Routing:
    """Chooses for each message. `load_of` tells how busy an upstream is; it is asked only where several share."""

    def __init__(self, load_of: Callable[[str], Load]) -> None:
        self._load_of = load_of
        self._turns: dict[str, int] = {}
        self._turn = 0

    def candidates(self, client: ClientSettings, now: int) -> tuple[str, ...]:
        """Return the upstreams in the order in which they are tried; never empty."""
        if not client.shares:
            return client.upstreams
        chosen: list[str] = []
        self._turn += 1
        for entry in client.upstream:
            if isinstance(entry, str):
                chosen.append(entry)
            else:
                order = in_turn({name: self._load_of(name) for name in entry}, self._turns, now)
                self._turns[order[0]] = self._turn
                chosen += order
        return tuple(chosen)


def in_turn(loads: Mapping[str, Load], turns: Mapping[str, int], now: int) -> Sequence[str]:
    """Return upstreams that share the load in the order in which one more message is sent the soonest.

    The open ones first; then the earliest to send, then the one with the fewest waiting; of equal ones the one whose
    turn was the longest ago (`turns` grow).
    """
    return sorted(
        loads,
        key=lambda name: (
            not loads[name].open,
            sends_at(loads[name], now),
            loads[name].waiting,
            turns.get(name, 0),
        ),
    )


def sends_at(load: Load, now: int) -> int:
    """Return when the limits of an upstream let one more message go, behind all that waits for it already."""
    if load.room is None or load.waiting < load.room:
        return now
    return max(now, load.opens_at) + (load.waiting - load.room) * load.pause
