"""The pace at which a client's mail leaves (`messages_per_minute`): what comes faster waits for its turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeAlias

from relay.config.settings import Settings
from relay.spool.records import Claim
from relay.transfer.throttle import MARGIN, MINUTE

_FORGOTTEN = 60 * MINUTE
_WINDOW = MINUTE + MARGIN

_Key: TypeAlias = tuple[str, int]


class ClientPaces:
    """Every client's turns, whichever upstream it goes by; in memory, so that a restart begins them anew.

    `settings` gives those in force.
    """

    def __init__(self, settings: Callable[[], Settings]) -> None:
        self._settings = settings
        self._read: Settings | None = None
        self._limits: dict[str, int] = {}
        self._turns: dict[str, _Turns] = {}

    def parted(self, claims: Sequence[Claim], now: int) -> tuple[Sequence[Claim], Sequence[tuple[Claim, int]]]:
        """Return the claims that may begin at `now`, and the others, each with the instant at which its turn comes."""
        limits = self._limits_in_force()
        if not limits:
            return claims, ()
        begun: list[Claim] = []
        postponed: list[tuple[Claim, int]] = []
        for claim in claims:
            name = claim.message.origin.client
            limit = limits.get(name)
            if limit is None or claim.message.notice:
                begun.append(claim)
                continue
            turn = self._turns.setdefault(name, _Turns()).of(_key(claim), limit, now)
            if turn <= now:
                begun.append(claim)
            else:
                # Whose turn comes when its time is over is given up then.
                give_up_at = min(row.give_up_at for row in claim.recipients)
                postponed.append((claim, min(turn, max(now, give_up_at - 1))))
        return begun, postponed

    def _limits_in_force(self) -> dict[str, int]:
        settings = self._settings()
        if settings is not self._read:
            self._read = settings
            paced = {name: client.messages_per_minute for name, client in settings.client.items()}
            self._limits = {name: limit for name, limit in paced.items() if limit is not None}
        return self._limits


class _Turns:
    """One client's: in any 60 seconds no more than its number."""

    def __init__(self) -> None:
        self._given: deque[int] = deque()
        self._promised: dict[_Key, int] = {}

    def of(self, key: _Key, limit: int, now: int) -> int:
        promised = self._promised.get(key)
        if promised is not None:
            if promised <= now:
                del self._promised[key]
            return promised
        while self._given and (len(self._given) > limit or self._given[0] + _WINDOW <= now):
            self._given.popleft()
        turn = now if len(self._given) < limit else max(now, self._given[0] + _WINDOW)
        self._given.append(turn)
        if turn > now:
            self._forget(now)
            self._promised[key] = turn
        return turn

    def _forget(self, now: int) -> None:
        """Drop the first promise where nobody came for it: the message was removed, or goes another way."""
        first = next(iter(self._promised), None)
        if first is not None and self._promised[first] + _FORGOTTEN <= now:
            del self._promised[first]


def _key(claim: Claim) -> _Key:
    return claim.message.id, claim.recipients[0].position
