"""What each login has used of its allowance: connections, messages, recipients."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable

_DAY = 24 * 3600.0
_SLACK = 1.0


class Usage:
    """Counts by provider and login. `clock` in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._connections: defaultdict[tuple[str, str], list[object]] = defaultdict(list)
        self._messages: defaultdict[tuple[str, str], deque[float]] = defaultdict(deque)
        self._recipients: defaultdict[tuple[str, str], deque[tuple[float, int]]] = defaultdict(deque)
        self._today: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.most_connections: defaultdict[str, int] = defaultdict(int)

    def sign_in(self, provider: str, login: str, who: object) -> None:
        """Count a connection that has signed in."""
        connections = self._connections[provider, login]
        connections.append(who)
        self.most_connections[login] = max(self.most_connections[login], len(connections))

    def sign_out(self, provider: str, login: str, who: object) -> None:
        """Count it no longer."""
        connections = self._connections[provider, login]
        if who in connections:
            connections.remove(who)

    def place(self, provider: str, login: str, who: object) -> int:
        """Return how many connections of this login were there before."""
        connections = self._connections[provider, login]
        return connections.index(who) if who in connections else 0

    def begin_message(self, provider: str, login: str) -> None:
        """Count a MAIL."""
        self._messages[provider, login].append(self._clock())

    def wait_for_message(self, provider: str, login: str, most: int, period: float) -> float:
        """Return the seconds until the latest message is no longer above `most` in `period` seconds; 0 when it isn't.

        A second of slack: the client counts when it sends, we when it arrives.
        """
        times = self._messages[provider, login]
        window = max(period - _SLACK, period * 0.9)
        now = self._clock()
        while times and times[0] <= now - window:
            times.popleft()
        if not most or len(times) <= most:
            return 0.0
        return max(times[-most - 1] + window - now, 0.001)

    def recipients_today(self, provider: str, login: str) -> int:
        """Return the recipients of the last 24 hours."""
        counted = self._recipients[provider, login]
        now = self._clock()
        while counted and counted[0][0] <= now - _DAY:
            self._today[provider, login] -= counted.popleft()[1]
        return self._today[provider, login]

    def add_recipients(self, provider: str, login: str, count: int) -> None:
        """Count the recipients of an accepted message."""
        self._recipients[provider, login].append((self._clock(), count))
        self._today[provider, login] += count

    def reset(self) -> None:
        """Begin again with the messages and recipients; connections stay counted."""
        self._messages.clear()
        self._recipients.clear()
        self._today.clear()
        self.most_connections.clear()
