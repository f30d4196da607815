from __future__ import annotations

import pytest

from relay.config.operating_settings import QueueSettings
from relay.transfer.schedule import after_uncertain, next_attempt, next_probe, pause

QUEUE = QueueSettings(retry_first=30.0, retry_most=3600.0, jitter=0.2, retry_ambiguous=300.0, ambiguous_attempts=3)
NEVER = 10**15


@pytest.mark.parametrize(
    ("count", "chance", "seconds"),
    [
        (0, 0.5, 30),
        (1, 0.5, 60),
        (2, 0.5, 120),
        (6, 0.5, 1920),
        (7, 0.5, 3600),
        (100_000, 0.5, 3600),
        (0, 0.0, 24),
        (0, 1.0, 36),
        (7, 0.0, 2880),
        (7, 1.0, 3600),
    ],
)
def test_pauses_double_up_to_the_most(count: int, chance: float, seconds: float) -> None:
    assert pause(count, QUEUE, chance) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("attempts", "at", "give_up_at", "due_at"),
    [
        (1, 1000, NEVER, 31_000),
        (2, 1000, NEVER, 61_000),
        (0, 1000, NEVER, 31_000),
        (1, 1000, 11_000, 11_000),
        (1, 10_999, 11_000, 11_000),
        (1, 11_000, 11_000, None),
        (9, 12_000, 11_000, None),
    ],
)
def test_attempts_until_it_is_time_to_give_up(attempts: int, at: int, give_up_at: int, due_at: int | None) -> None:
    assert next_attempt(attempts, at, give_up_at, QUEUE, 0.5) == due_at


def test_probes_follow_the_same_pauses() -> None:
    assert [next_probe(probes, 5000, QUEUE, 0.5) for probes in (0, 1, 2)] == [35_000, 65_000, 125_000]


@pytest.mark.parametrize(("uncertain", "due_at"), [(0, 305_000), (1, 305_000), (2, 305_000), (3, None), (4, None)])
def test_uncertain_ends_are_retried_so_often_and_no_more(uncertain: int, due_at: int | None) -> None:
    assert after_uncertain(uncertain, 5000, QUEUE) == due_at
