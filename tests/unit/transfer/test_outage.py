"""When an upstream is out for so long that others send its mail, and when it gets it back."""

from __future__ import annotations

import pytest

from relay.transfer.outage import Condition, Outage, Sight

FAILING, OUT, STOPPED = Condition.FAILING, Condition.OUT, Condition.STOPPED
UNPROVEN, WELL = Condition.UNPROVEN, Condition.WELL
AFTER = 300.0
S = 1000

WORKS, LOGIN, UNKNOWN = Sight(proven=True, delivers=True), Sight(proven=True), Sight()


def down(since: int) -> Sight:
    return Sight(since * S)


def stopped(since: int) -> Sight:
    return Sight(since * S, by_operator=True)


@pytest.mark.parametrize(
    "story",
    [
        pytest.param([(0, UNKNOWN, UNPROVEN), (1, WORKS, WELL)], id="at the start"),
        pytest.param([(5, down(5), FAILING), (304, down(5), FAILING), (305, down(5), OUT)], id="for so long"),
        pytest.param([(1000, down(5), OUT)], id="held since before the start"),
        pytest.param(
            [(5, down(5), FAILING), (10, WORKS, UNPROVEN), (70, WORKS, WELL), (71, down(71), FAILING)],
            id="for a moment",
        ),
        pytest.param(
            [(305, down(5), OUT), (400, WORKS, UNPROVEN), (459, WORKS, UNPROVEN), (460, WORKS, WELL)],
            id="well again after a minute",
        ),
        pytest.param(
            [(305, down(5), OUT), (400, WORKS, UNPROVEN), (410, down(410), OUT), (411, WORKS, UNPROVEN)],
            id="it comes and goes: still the same outage",
        ),
        pytest.param(
            [(305, down(5), OUT), (400, UNKNOWN, UNPROVEN), (900, UNKNOWN, UNPROVEN), (901, WORKS, UNPROVEN)],
            id="released, and nothing showed yet that it works",
        ),
        pytest.param([(304, down(5), FAILING), (310, down(250), OUT)], id="first unreachable, then held: one outage"),
        pytest.param(
            [(305, down(5), OUT), (400, LOGIN, UNPROVEN), (460, LOGIN, WELL), (500, down(500), OUT)],
            id="a login works, and no message",
        ),
        pytest.param(
            [(305, down(5), OUT), (400, LOGIN, UNPROVEN), (460, WORKS, WELL), (500, down(500), FAILING)],
            id="a message works",
        ),
        pytest.param([(900, stopped(5), STOPPED), (901, WORKS, WELL)], id="by an operator"),
        pytest.param(
            [(305, down(5), OUT), (310, stopped(310), STOPPED), (320, down(5), OUT)], id="by an operator meanwhile"
        ),
    ],
)
def test_how_an_upstream_stands(story: list[tuple[int, Sight, Condition]]) -> None:
    outage = Outage()
    assert [outage.look(sight, at * S, AFTER) for at, sight, _ in story] == [expected for *_, expected in story]


def test_with_a_short_failover_after_it_is_well_as_soon() -> None:
    outage = Outage()
    assert outage.look(down(0), 2 * S, 2.0) is OUT
    assert outage.look(WORKS, 3 * S, 2.0) is UNPROVEN
    assert outage.look(WORKS, 5 * S, 2.0) is WELL
    assert outage.since_at is None


@pytest.mark.parametrize("condition", list(Condition))
def test_who_takes_others_mail(condition: Condition) -> None:
    assert condition.takes is (condition in {WELL, UNPROVEN})
