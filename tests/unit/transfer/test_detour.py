"""By which of its upstreams mail goes while one is out."""

from __future__ import annotations

import pytest

from relay.config.client_settings import ClientSettings
from relay.transfer.detour import Detour, detours, room_at, way_for
from relay.transfer.outage import Condition

FAILING, OUT, STOPPED = Condition.FAILING, Condition.OUT, Condition.STOPPED
UNPROVEN, WELL = Condition.UNPROVEN, Condition.WELL


@pytest.mark.parametrize(
    ("here", "a", "b", "c", "expected"),
    [
        # The first is ...
        ("a", WELL, WELL, WELL, "a"),
        ("a", UNPROVEN, WELL, WELL, "a"),
        ("a", FAILING, WELL, WELL, "a"),
        ("a", OUT, WELL, WELL, "b"),
        ("a", OUT, UNPROVEN, WELL, "b"),
        ("a", OUT, FAILING, WELL, "c"),
        ("a", OUT, OUT, UNPROVEN, "c"),
        ("a", OUT, STOPPED, WELL, "c"),
        ("a", OUT, OUT, OUT, "a"),
        ("a", OUT, FAILING, STOPPED, "a"),
        ("a", STOPPED, WELL, WELL, "a"),
        # It is at the second, and the first is ...
        ("b", OUT, WELL, WELL, "b"),
        ("b", FAILING, WELL, WELL, "b"),
        ("b", UNPROVEN, WELL, WELL, "b"),
        ("b", WELL, WELL, WELL, "a"),
        ("b", WELL, FAILING, WELL, "a"),
        ("b", WELL, OUT, WELL, "a"),
        ("b", UNPROVEN, OUT, WELL, "a"),
        ("b", UNPROVEN, FAILING, WELL, "b"),
        ("b", OUT, OUT, WELL, "c"),
        ("b", OUT, OUT, OUT, "b"),
        ("b", WELL, STOPPED, WELL, "b"),
        ("b", STOPPED, FAILING, WELL, "b"),
        # At the third.
        ("c", OUT, WELL, WELL, "b"),
        ("c", WELL, WELL, WELL, "a"),
        ("c", OUT, OUT, WELL, "c"),
    ],
)
def test_where_it_goes(here: str, a: Condition, b: Condition, c: Condition, expected: str) -> None:
    assert way_for(("a", "b", "c"), here, {"a": a, "b": b, "c": c}, lambda _: True) == expected


@pytest.mark.parametrize(
    ("here", "a", "b", "c", "allowed", "expected"),
    [
        ("a", OUT, WELL, WELL, "ac", "c"),
        ("a", OUT, WELL, WELL, "a", "a"),
        ("b", WELL, WELL, WELL, "b", "b"),
        ("b", OUT, OUT, WELL, "b", "b"),
    ],
)
def test_never_where_it_may_not_be_sent(
    here: str, a: Condition, b: Condition, c: Condition, allowed: str, expected: str
) -> None:
    assert way_for(("a", "b", "c"), here, {"a": a, "b": b, "c": c}, allowed.__contains__) == expected


def test_mail_of_an_upstream_that_is_gone_waits() -> None:
    assert way_for(("gone", "a"), "gone", {"a": WELL}, lambda _: True) == "gone"
    assert way_for(("a", "gone"), "a", {"a": OUT}, lambda _: True) == "a"


@pytest.mark.parametrize(
    ("waiting", "limit", "room"),
    [(0, None, 1000), (999, None, 1), (5000, None, 0), (0, 30, 60), (60, 30, 0), (0, 1, 20), (0, 100_000, 1000)],
)
def test_no_more_than_it_sends_in_a_while(waiting: int, limit: int | None, room: int) -> None:
    assert room_at(waiting, limit) == room


def test_whose_mail_goes_another_way() -> None:
    lists = {"one": "a", "two": ["a", "b"], "three": ["b", "a"], "four": [["a", "c"], "b"], "five": ["a", "d"]}
    clients = {
        name: ClientSettings.model_validate({"username": name, "upstream": listed}) for name, listed in lists.items()
    }
    assert detours(clients, {"a": OUT, "b": WELL, "c": UNPROVEN, "d": OUT}) == [
        Detour("two", "a", "b"),
        Detour("four", "a", "c"),
        Detour("five", "a", None),
    ]
    assert detours(clients, {"a": FAILING, "b": OUT, "c": STOPPED, "d": WELL}) == [Detour("three", "b", None)]
