"""The pace at which a client's mail leaves."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from relay.config.settings import Settings
from relay.spool.records import Claim
from relay.transfer.client_pace import ClientPaces
from relay.transfer.throttle import MARGIN
from tests.unit.transfer.made import ACCEPTED_AT, HOUR, claim, message, row

MINUTE = 60_000


def settings(limit: int | None) -> Settings:
    client = {"username": "app", "upstream": "isp"} | ({"messages_per_minute": limit} if limit else {})
    other = {"username": "other", "upstream": "isp"}
    return Settings.model_validate({"hostname": "r.test", "state_dir": "/x", "client": {"app": client, "other": other}})


def claims(numbers: Sequence[int], client: str = "app", give_up_at: int = ACCEPTED_AT + HOUR) -> list[Claim]:
    found = []
    for number in numbers:
        plain = message()
        of = replace(plain, id=f"{number:04}", origin=replace(plain.origin, client=client))
        found.append(claim(row(give_up_at=give_up_at), of=of))
    return found


def left(limit: int, numbers: int, seconds: float) -> list[int]:
    """When each of so many messages, all put at once, leaves; each comes back when it is due, as the spool does."""
    paces = ClientPaces(lambda: settings(limit))
    due: dict[int, list[Claim]] = {ACCEPTED_AT: claims(range(numbers))}
    times: list[int] = []
    for now in range(ACCEPTED_AT, ACCEPTED_AT + round(seconds * 1000), 500):
        for at in sorted(at for at in due if at <= now):
            begun, postponed = paces.parted(due.pop(at), now)
            times += [now] * len(begun)
            for one, due_at in postponed:
                due.setdefault(due_at, []).append(one)
    return times


@pytest.mark.parametrize(("limit", "numbers"), [(1, 5), (10, 35), (60, 200), (7, 3)])
def test_in_no_minute_more_than_its_number_and_all_leave(limit: int, numbers: int) -> None:
    times = left(limit, numbers, 60 * (numbers // limit + 2))
    assert len(times) == numbers
    assert times == sorted(times)
    for at in times:
        assert sum(at - MINUTE < other <= at for other in times) <= limit
    assert times[-1] - ACCEPTED_AT == (numbers - 1) // limit * (MINUTE + MARGIN), "and no longer than it has to take"


def test_others_and_notices_do_not_wait() -> None:
    paces = ClientPaces(lambda: settings(1))
    paces.parted(claims([1]), ACCEPTED_AT)
    others = claims([2, 3], client="other")
    of = claims([4])[0]
    notice = replace(of, message=replace(of.message, notice=True))
    assert paces.parted([*others, notice], ACCEPTED_AT) == ([*others, notice], [])


def test_without_a_pace_nothing_is_touched() -> None:
    paces = ClientPaces(lambda: settings(None))
    many = claims(range(100))
    assert paces.parted(many, ACCEPTED_AT) == (many, ())


def test_a_turn_that_comes_too_late_is_the_end_of_its_time() -> None:
    paces = ClientPaces(lambda: settings(1))
    give_up_at = ACCEPTED_AT + 30_000
    _, [(_, due_at)] = paces.parted(claims([1, 2], give_up_at=give_up_at), ACCEPTED_AT)
    assert due_at == give_up_at - 1


def test_another_pace_counts_from_the_next_message_on() -> None:
    in_force = [settings(1)]
    paces = ClientPaces(lambda: in_force[0])
    _, postponed = paces.parted(claims(range(3)), ACCEPTED_AT)
    assert [at - ACCEPTED_AT for _, at in postponed] == [MINUTE + MARGIN, 2 * (MINUTE + MARGIN)]
    in_force[0] = settings(None)
    again = [one for one, _ in postponed]
    assert paces.parted(again, ACCEPTED_AT + 1000) == (again, ())
