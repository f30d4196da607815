from __future__ import annotations

import random

import pytest

from relay.spool.records import Use
from relay.transfer.throttle import DAY, MINUTE, Limits, Throttle

MARGIN = 500


def used(throttle: Throttle, at: int, recipients: int = 1) -> None:
    throttle.count(Use(at, 1, recipients))


def test_without_limits_everything_is_admitted() -> None:
    throttle = Throttle(Limits())
    used(throttle, 0, 10**6)
    assert throttle.room(0) == (None, None)
    assert throttle.admits_at(10**6, 7) == 7
    assert throttle.quotas(0) == {}


def test_the_window_of_a_minute_slides() -> None:
    throttle = Throttle(Limits(messages_per_minute=3))
    for at in (0, 10_000, 20_000):
        assert throttle.admits_at(1, at) == at
        used(throttle, at)
    assert throttle.room(20_000) == (0, None)
    assert throttle.admits_at(1, 20_000) == MINUTE + MARGIN
    assert throttle.room(MINUTE + MARGIN - 1) == (0, None)
    assert throttle.room(MINUTE + MARGIN) == (1, None)
    used(throttle, MINUTE + MARGIN)
    assert throttle.admits_at(1, MINUTE + MARGIN) == 10_000 + MINUTE + MARGIN


def test_recipients_of_a_rolling_day() -> None:
    throttle = Throttle(Limits(recipients_per_day=100))
    used(throttle, 0, 60)
    used(throttle, 1000, 30)
    assert throttle.room(2000) == (None, 10)
    assert throttle.admits_at(10, 2000) == 2000
    assert throttle.admits_at(11, 2000) == DAY + MARGIN
    assert throttle.admits_at(71, 2000) == 1000 + DAY + MARGIN
    assert throttle.admits_at(5000, 2000) == 1000 + DAY + MARGIN
    assert throttle.quotas(2000)["recipients_per_day"].used == 90
    assert throttle.quotas(DAY + MARGIN)["recipients_per_day"].used == 30


def test_uses_before_a_restart_count() -> None:
    throttle = Throttle(Limits(2, 50), [Use(0, 1, 20), Use(30_000, 1, 20)])
    assert throttle.room(40_000) == (0, 10)
    assert {name: (quota.used, quota.limit) for name, quota in throttle.quotas(40_000).items()} == {
        "messages_per_minute": (2, 2),
        "recipients_per_day": (40, 50),
    }


@pytest.mark.parametrize("seed", range(20))
def test_no_window_ever_holds_more_than_the_limit(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a test
    limits = Limits(messages_per_minute=chance.randint(1, 8), recipients_per_day=chance.randint(20, 200))
    throttle = Throttle(limits)
    at, uses = 0, []
    for _ in range(300):
        recipients = chance.randint(1, 10)
        at = throttle.admits_at(recipients, at + chance.choice([0, 0, 0, 100, 20_000, 10**6]))
        used(throttle, at, recipients)
        uses.append((at, recipients))
    assert limits.messages_per_minute is not None
    assert limits.recipients_per_day is not None
    for start, _ in uses:
        assert sum(start <= at <= start + MINUTE for at, _ in uses) <= limits.messages_per_minute
        assert sum(count for at, count in uses if start <= at <= start + DAY) <= limits.recipients_per_day
