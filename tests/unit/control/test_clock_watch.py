"""When a clock counts as set back, and what follows."""

import asyncio

import pytest

from relay.control.clock_watch import ClockWatch
from relay.journal import Journal
from relay.metrics import Metrics
from relay.spool.contract import SpoolError

HOUR = 3_600_000


class Bench:
    """A watch with two clocks that a test moves, and a spool that may fail."""

    def __init__(self) -> None:
        self.wall = self.steady = 1_700_000_000_000
        self.retried = 0
        self.fails = False
        self.watch = ClockWatch(self._retry, Journal(Metrics("0")), lambda: self.wall, lambda: self.steady)

    async def _retry(self) -> int:
        if self.fails:
            raise SpoolError("the disk is full")
        self.retried += 1
        return 3

    def pass_(self, wall: int, steady: int = 5000) -> int:
        """Let so much time pass by each clock, and look; return how often all was tried again so far."""
        self.wall += wall
        self.steady += steady
        asyncio.run(self.watch.look())
        return self.retried


def test_time_that_passes_is_nothing() -> None:
    bench = Bench()
    assert [bench.pass_(5000) for _ in range(3)] == [0, 0, 0]


def test_a_clock_that_is_set_back_has_all_tried_once() -> None:
    bench = Bench()
    assert [bench.pass_(-5 * HOUR), bench.pass_(5000), bench.pass_(5000)] == [1, 1, 1]
    assert bench.pass_(-HOUR) == 2


def test_a_clock_that_is_set_forward_is_nothing_and_back_again_is() -> None:
    bench = Bench()
    assert [bench.pass_(5 * HOUR), bench.pass_(-5 * HOUR)] == [0, 1]


def test_small_steps_are_nothing() -> None:
    bench = Bench()
    assert [bench.pass_(5000 - 30_000) for _ in range(10)] == [0] * 10


def test_what_the_spool_could_not_do_is_done_later() -> None:
    bench = Bench()
    bench.fails = True
    with pytest.raises(SpoolError):
        bench.pass_(-5 * HOUR)
    bench.fails = False
    assert bench.pass_(5000) == 1
