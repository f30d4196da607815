"""By which upstreams a message may leave; which of several that share the load."""

from __future__ import annotations

from collections import Counter

import pytest

from relay.config.client_settings import ClientSettings
from relay.inbound.routing import Routing, in_turn, sends_at
from relay.spool.records import Load

NOW = 1_000_000
MINUTE = 60_000


def client(upstream: object) -> ClientSettings:
    return ClientSettings.model_validate({"username": "app", "upstream": upstream})


@pytest.mark.parametrize(
    ("load", "expected"),
    [
        (Load(), NOW),
        (Load(waiting=1_000_000), NOW),
        (Load(waiting=5, room=6, opens_at=NOW, pause=2000), NOW),
        (Load(waiting=6, room=6, opens_at=NOW, pause=2000), NOW),
        (Load(waiting=8, room=6, opens_at=NOW, pause=2000), NOW + 4000),
        (Load(waiting=0, room=0, opens_at=NOW + 9000, pause=2000), NOW + 9000),
        (Load(waiting=3, room=0, opens_at=NOW + 9000, pause=2000), NOW + 15_000),
    ],
)
def test_when_the_next_message_goes(load: Load, expected: int) -> None:
    assert sends_at(load, NOW) == expected


@pytest.mark.parametrize(
    ("a", "b", "turns", "first"),
    [
        pytest.param(Load(), Load(), {}, "a", id="as written"),
        pytest.param(Load(), Load(), {"a": 1}, "b", id="in turn"),
        pytest.param(Load(), Load(), {"a": 1, "b": 2}, "a", id="in turn again"),
        pytest.param(Load(waiting=2), Load(waiting=1), {"b": 9}, "b", id="fewest waiting"),
        pytest.param(Load(open=False), Load(waiting=900), {}, "b", id="open"),
        pytest.param(Load(open=False, waiting=1), Load(open=False), {}, "b", id="neither open"),
        pytest.param(Load(room=0, opens_at=NOW + 1, pause=9), Load(waiting=900), {}, "b", id="limits not exhausted"),
        pytest.param(
            Load(room=0, opens_at=NOW + 9000, pause=2000),
            Load(waiting=40, room=30, opens_at=NOW, pause=2000),
            {},
            "a",
            id="soonest: nine seconds, and not twenty",
        ),
        pytest.param(
            Load(waiting=40, room=30, opens_at=NOW, pause=2000),
            Load(waiting=41, room=30, opens_at=NOW, pause=1000),
            {},
            "b",
            id="the faster one",
        ),
    ],
)
def test_which_of_two(a: Load, b: Load, turns: dict[str, int], first: str) -> None:
    order = in_turn({"a": a, "b": b}, turns, NOW)
    assert order[0] == first
    assert sorted(order) == ["a", "b"]


def never(upstream: str) -> Load:
    raise AssertionError(f"asked for {upstream}")


@pytest.mark.parametrize("upstream", ["office365", ["office365", "ses"]])
def test_one_after_the_other_nobody_is_asked(upstream: object) -> None:
    listed = (upstream,) if isinstance(upstream, str) else tuple(upstream)  # type: ignore[arg-type]
    assert Routing(never).candidates(client(upstream), NOW) == listed


def test_those_that_share_stand_in_for_each_other_before_the_next() -> None:
    loads = {"a": Load(open=False), "b": Load(waiting=1), "c": Load()}
    routing = Routing(loads.__getitem__)
    shared = client([["a", "b", "c"], "ses"])
    assert routing.candidates(shared, NOW) == ("c", "b", "a", "ses")
    assert routing.candidates(client(["ses", ["a", "b"]]), NOW) == ("ses", "b", "a")


def test_equal_ones_get_as_many() -> None:
    routing = Routing(lambda _: Load())
    shared = client([["a", "b", "c"]])
    assert Counter(routing.candidates(shared, NOW)[0] for _ in range(30)) == {"a": 10, "b": 10, "c": 10}


def test_who_gets_more_than_its_limits_let_go_gets_less() -> None:
    waiting = Counter[str]()

    def load_of(name: str) -> Load:
        pause = {"slow": 6000, "fast": 2000}[name]
        return Load(waiting=waiting[name], room=MINUTE // pause, opens_at=NOW, pause=pause)

    routing, shared = Routing(load_of), client([["slow", "fast"]])
    for _ in range(400):
        waiting[routing.candidates(shared, NOW)[0]] += 1
    assert 95 <= waiting["slow"] <= 105
    assert 295 <= waiting["fast"] <= 305
