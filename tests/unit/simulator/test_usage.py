import pytest

from relay.simulator.usage import Usage


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_the_fourth_connection_is_one_too_many() -> None:
    counts = Usage()
    who = [object() for _ in range(4)]
    for one in who:
        counts.sign_in("microsoft365", "a", one)
    assert [counts.place("microsoft365", "a", one) for one in who] == [0, 1, 2, 3]
    counts.sign_out("microsoft365", "a", who[0])
    assert counts.place("microsoft365", "a", who[3]) == 2
    assert counts.most_connections["a"] == 4


def test_messages_in_a_sliding_window(clock: Clock) -> None:
    counts = Usage(clock)
    for _ in range(30):
        counts.begin_message("microsoft365", "a")
        clock.now += 1
    assert counts.wait_for_message("microsoft365", "a", 30, 60) == 0
    counts.begin_message("microsoft365", "a")
    assert counts.wait_for_message("microsoft365", "a", 30, 60) == pytest.approx(29)
    assert counts.wait_for_message("microsoft365", "b", 30, 60) == 0
    assert counts.wait_for_message("microsoft365", "a", 0, 60) == 0
    clock.now += 29
    assert counts.wait_for_message("microsoft365", "a", 30, 60) == 0


def test_recipients_of_a_day(clock: Clock) -> None:
    counts = Usage(clock)
    counts.add_recipients("ses", "a", 40)
    clock.now += 12 * 3600
    counts.add_recipients("ses", "a", 2)
    assert counts.recipients_today("ses", "a") == 42
    clock.now += 13 * 3600
    assert counts.recipients_today("ses", "a") == 2
