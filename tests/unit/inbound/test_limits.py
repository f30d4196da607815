import pytest

from relay.inbound.limits import LoginLimits

HERE, THERE = "10.0.0.1", "10.0.0.2"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limits(clock: Clock) -> LoginLimits:
    return LoginLimits(clock)


def fail(limits: LoginLimits, times: int, *, name: str = "careright", known: bool = True) -> list[float]:
    return [limits.failed(HERE, name, known=known) for _ in range(times)]


def test_ten_failures_are_answered_at_once_and_further_ones_ever_later(limits: LoginLimits) -> None:
    assert fail(limits, 10) == [0.0] * 10
    assert fail(limits, 8) == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


def test_the_longest_delay_stays(limits: LoginLimits) -> None:
    assert fail(limits, 200)[-1] == 30.0


def test_only_this_address_and_name(limits: LoginLimits) -> None:
    fail(limits, 15)
    assert limits.failed(HERE, "incisive", known=True) == 0.0
    assert limits.failed(THERE, "careright", known=True) == 0.0


def test_ten_minutes_later_they_are_forgotten(limits: LoginLimits, clock: Clock) -> None:
    fail(limits, 15)
    clock.now += 599
    assert limits.failed(HERE, "careright", known=True) == 30.0
    clock.now += 601
    assert limits.failed(HERE, "careright", known=True) == 0.0


def test_the_window_slides(limits: LoginLimits, clock: Clock) -> None:
    for _ in range(30):
        assert limits.failed(HERE, "careright", known=True) == 0.0
        clock.now += 61


def test_a_login_forgives(limits: LoginLimits) -> None:
    fail(limits, 15)
    limits.succeeded(HERE, "careright")
    assert limits.failed(HERE, "careright", known=True) == 0.0


def test_a_stale_password_never_blocks_an_address(limits: LoginLimits) -> None:
    fail(limits, 1000)
    assert not limits.blocked(HERE)


def guess(limits: LoginLimits, times: int) -> None:
    for number in range(times):
        limits.failed(HERE, f"guess{number}", known=False)


def test_a_hundred_unknown_names_block_for_ten_minutes(limits: LoginLimits, clock: Clock) -> None:
    guess(limits, 99)
    assert not limits.blocked(HERE)
    guess(limits, 1)
    assert limits.blocked(HERE)
    assert not limits.blocked(THERE)
    clock.now += 599
    assert limits.blocked(HERE)
    clock.now += 1
    assert not limits.blocked(HERE)
    guess(limits, 99)
    assert not limits.blocked(HERE)


def test_an_address_that_logged_in_within_a_day_is_not_blocked(limits: LoginLimits, clock: Clock) -> None:
    limits.succeeded(HERE, "careright")
    clock.now += 23 * 3600
    guess(limits, 100)
    assert not limits.blocked(HERE)
    clock.now += 24 * 3600
    guess(limits, 100)
    assert limits.blocked(HERE)


def test_a_login_elsewhere_while_blocked_opens(limits: LoginLimits) -> None:
    guess(limits, 100)
    limits.succeeded(HERE, "careright")
    assert not limits.blocked(HERE)


def test_memory_is_bounded(clock: Clock) -> None:
    limits = LoginLimits(clock, remembered=10)
    for number in range(1000):
        limits.failed(f"10.0.{number // 256}.{number % 256}", "x" * 5000, known=False)
        limits.succeeded(f"10.1.{number // 256}.{number % 256}", "careright")
    assert limits.remembered <= 40
