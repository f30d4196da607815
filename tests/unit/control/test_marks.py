"""When something that ends is told of, and a limit that is nearly used up."""

import pytest

from relay.control.marks import DAY, mark_due, marks_of, nearly_used, quota_due

FORTNIGHT = 14 * DAY
DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("warning", "marks"),
    [
        (FORTNIGHT, (FORTNIGHT, 7 * DAY, DAY, 0.0)),
        (30 * DAY, (30 * DAY, 7 * DAY, DAY, 0.0)),
        (7 * DAY, (7 * DAY, DAY, 0.0)),
        (3 * DAY, (3 * DAY, DAY, 0.0)),
        (3600.0, (3600.0, 0.0)),
        (0.0, (0.0,)),
    ],
)
def test_the_marks_of_a_warning(warning: float, marks: tuple[float, ...]) -> None:
    assert marks_of(warning) == marks


@pytest.mark.parametrize(
    ("left", "told", "due"),
    [
        (15 * DAY, None, None),
        (FORTNIGHT, None, FORTNIGHT),
        (10 * DAY, None, FORTNIGHT),
        (10 * DAY, FORTNIGHT, None),
        (7 * DAY, FORTNIGHT, 7 * DAY),
        (5 * DAY, None, 7 * DAY),
        (5 * DAY, 7 * DAY, None),
        # Days in which nobody looked are one alert.
        (0.5 * DAY, FORTNIGHT, DAY),
        (0.5 * DAY, DAY, None),
        (1.0, DAY, None),
        (0.0, DAY, 0.0),
        (-5 * DAY, FORTNIGHT, 0.0),
        (-5 * DAY, None, 0.0),
        (-5 * DAY, 0.0, None),
        # A warning that was 30 days when it was told.
        (10 * DAY, 30 * DAY, FORTNIGHT),
    ],
)
def test_what_is_due(left: float, told: float | None, due: float | None) -> None:
    assert mark_due(left, FORTNIGHT, told) == due


@pytest.mark.parametrize(
    ("quota", "used", "limit", "expected"),
    [
        ("recipients_per_day", 7999, 10000, False),
        ("recipients_per_day", 8000, 10000, True),
        ("recipients_per_day", 10000, 10000, True),
        ("recipients_per_day", 0, 1, False),
        ("messages_per_minute", 30, 30, False),
    ],
)
def test_which_limits_are_told_of(quota: str, used: int, limit: int, expected: bool) -> None:
    assert nearly_used(quota, used, limit) is expected


@pytest.mark.parametrize(
    ("told_at", "now", "expected"),
    [(None, 5, True), (5, 6, False), (5, 4 + DAY_MS, False), (5, 5 + DAY_MS, True), (DAY_MS, 5, True)],
)
def test_once_a_window(told_at: int | None, now: int, expected: bool) -> None:
    assert quota_due(told_at, now) is expected
