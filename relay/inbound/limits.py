"""How failed logins are counted. One stale password must never lock a clinic out, so only guessing is slowed down."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

FAILURES_AT_ONCE: Final = 3
"""Failures of one connection that are answered at once; the next AUTH ends it."""

_WINDOW: Final = 600.0
_FAILURES_UNDELAYED: Final = 10
_LONGEST_DELAY: Final = 30.0
_UNKNOWN_NAMES: Final = 100
_BLOCKED_FOR: Final = 600.0
_TRUSTED_FOR: Final = 24 * 3600.0
_REMEMBERED: Final = 10_000

K = TypeVar("K")
V = TypeVar("V")


class _Recent(Generic[K, V]):
    """A mapping of bounded size that forgets what was not touched for longest."""

    __slots__ = ("_entries", "_most")

    def __init__(self, most: int) -> None:
        self._entries: OrderedDict[K, V] = OrderedDict()
        self._most = most

    def get(self, key: K) -> V | None:
        return self._entries.get(key)

    def put(self, key: K, value: V) -> None:
        self._entries[key] = value
        self._entries.move_to_end(key)
        if len(self._entries) > self._most:
            self._entries.popitem(last=False)

    def drop(self, key: K) -> None:
        self._entries.pop(key, None)

    def __len__(self) -> int:
        return len(self._entries)


class LoginLimits:
    """Failures by (address, user name), and by address where the name is unknown. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float], remembered: int = _REMEMBERED) -> None:
        self._clock = clock
        self._failures: _Recent[tuple[str, str], deque[float]] = _Recent(remembered)
        self._unknown: _Recent[str, deque[float]] = _Recent(remembered)
        self._blocked: _Recent[str, float] = _Recent(remembered)
        self._logged_in: _Recent[str, float] = _Recent(remembered)

    @property
    def remembered(self) -> int:
        """Return how much is remembered, in all."""
        return len(self._failures) + len(self._unknown) + len(self._blocked) + len(self._logged_in)

    def blocked(self, address: str) -> bool:
        """True while AUTH from this address is to be answered with 421."""
        until = self._blocked.get(address)
        if until is None:
            return False
        now = self._clock()
        if now >= until:
            self._blocked.drop(address)
            return False
        return not self._trusted(address, now)

    def failed(self, address: str, username: str, *, known: bool) -> float:
        """Count a failure; return the seconds by which its 535 is to be delayed."""
        now = self._clock()
        username = username[:256]
        failures = self._failures.get((address, username)) or deque(maxlen=_FAILURES_UNDELAYED + 16)
        _forget(failures, now)
        failures.append(now)
        self._failures.put((address, username), failures)
        if not known:
            self._failed_unknown(address, now)
        excess = len(failures) - _FAILURES_UNDELAYED
        return min(2.0 ** (excess - 1), _LONGEST_DELAY) if excess > 0 else 0.0

    def succeeded(self, address: str, username: str) -> None:
        """Remember a login: its failures are forgiven and its address is trusted for a day."""
        self._failures.drop((address, username[:256]))
        self._logged_in.put(address, self._clock())

    def _failed_unknown(self, address: str, now: float) -> None:
        unknown = self._unknown.get(address) or deque(maxlen=_UNKNOWN_NAMES)
        _forget(unknown, now)
        unknown.append(now)
        if len(unknown) < _UNKNOWN_NAMES:
            self._unknown.put(address, unknown)
            return
        self._unknown.drop(address)
        self._blocked.put(address, now + _BLOCKED_FOR)

    def _trusted(self, address: str, now: float) -> bool:
        since = self._logged_in.get(address)
        return since is not None and now - since < _TRUSTED_FOR


def _forget(times: deque[float], now: float) -> None:
    while times and now - times[0] >= _WINDOW:
        times.popleft()
