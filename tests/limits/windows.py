"""What came in any window of time."""

from collections import deque
from collections.abc import Iterable


def most_within(length: float, uses: Iterable[tuple[float, int]]) -> int:
    """The largest sum of uses (instant, count), in order of time, that lie in one window of this length."""
    window: deque[tuple[float, int]] = deque()
    total = most = 0
    for at, count in uses:
        window.append((at, count))
        total += count
        while at - window[0][0] >= length:
            total -= window.popleft()[1]
        most = max(most, total)
    return most
