"""Medians, quartiles, percentiles, and who has its turn."""

import pytest

from bench.figures import Spread, percentile, spread
from bench.rounds import turns


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([7.0], Spread(7.0, 7.0, 7.0)),
        ([2.0, 1.0], Spread(1.5, 1.25, 1.75)),
        ([5.0, 1.0, 4.0, 2.0, 3.0], Spread(3.0, 2.0, 4.0)),
    ],
)
def test_median_and_quartiles(values: list[float], expected: Spread) -> None:
    assert spread(values) == expected


@pytest.mark.parametrize(
    ("count", "percent", "expected"), [(1, 50, 1), (1, 99, 1), (2, 50, 1), (100, 50, 50), (100, 99, 99), (101, 99, 100)]
)
def test_percentile_is_a_value_that_so_many_in_a_hundred_do_not_exceed(
    count: int, percent: int, expected: float
) -> None:
    assert percentile([float(value) for value in range(1, count + 1)], percent) == expected


def test_nothing_has_no_median() -> None:
    with pytest.raises(ValueError, match="no values"):
        spread([])
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


def test_each_round_is_begun_by_the_other() -> None:
    assert list(turns(2, 3)) == [0, 1, 1, 0, 0, 1]
