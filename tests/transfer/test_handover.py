"""What is put goes to its lane at once, as far as the lane would begin it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path
from typing import Any

from relay.spool.records import Gate, HoldReason, Priority
from relay.transfer.lane import Lane
from tests.transfer.actor import Actor
from tests.transfer.stage import Stage, settings_of, until

SMTP = {"type": "smtp", "host": "mx.provider.test"}


async def dry(stage: Stage) -> Lane:
    """The lane of `isp`, once it has seen that nothing is due."""
    lane = stage.dispatcher._lanes["isp"]
    await until(lambda: lane.has_room(0, 1), "the lane to have seen that nothing is due")
    return lane


def one_at_a_time(tmp_path: Path, actor: Actor, **settings: Any) -> Stage:
    actor.go.clear()
    return Stage(tmp_path, settings_of(tmp_path, {"isp": SMTP | {"max_connections": 1} | settings}), actor)


async def states(stage: Stage) -> Counter[tuple[str, int]]:
    """How many recipients wait in which state, after how many attempts."""
    return Counter((row.state.value, row.attempts) for entry in await stage.queue() for row in entry.recipients)


async def test_it_is_sent_without_a_claim(tmp_path: Path) -> None:
    actor = Actor("isp")
    async with Stage(tmp_path, settings_of(tmp_path, {"isp": SMTP}), actor) as stage:
        lane = await dry(stage)
        lane._stir.clear()
        for at in range(5):
            entry = await stage.settled(await stage.put(f"{at}@far.test"), "relayed")
            assert entry.recipients[0].attempts == 1
            assert lane.has_room(0, 1), "the lane still waits for work"
        assert len(actor.offers) == 5


async def test_a_lane_takes_no_more_than_it_would_claim(tmp_path: Path) -> None:
    actor = Actor("isp")
    async with one_at_a_time(tmp_path, actor) as stage:
        await dry(stage)
        ids = [await stage.put(f"{at}@far.test") for at in range(8)]
        assert await states(stage) == {("in_flight", 1): 5, ("queued", 0): 3}
        actor.go.set()
        for id_ in ids:
            await stage.settled(id_, "relayed")
        assert [str(offer.envelope.recipients[0].forward_path) for offer in actor.offers] == [
            f"{at}@far.test" for at in range(8)
        ]


async def test_high_priority_goes_first_among_what_was_taken(tmp_path: Path) -> None:
    actor = Actor("isp")
    async with one_at_a_time(tmp_path, actor) as stage:
        await dry(stage)
        await stage.put("begun@far.test")
        await until(lambda: actor.open == 1, "the first attempt")
        for priority in (Priority.BULK, Priority.NORMAL, Priority.HIGH):
            await stage.put(f"{priority.name.lower()}@far.test", priority=priority)
        actor.go.set()
        await until(lambda: len(actor.offers) == 4, "all")
        offered = [offer.envelope.recipients[0].forward_path.local_part for offer in actor.offers]
        assert offered == ["begun", "high", "normal", "bulk"]


async def test_a_limited_upstream_takes_what_its_limits_admit(tmp_path: Path) -> None:
    actor = Actor("isp")
    async with one_at_a_time(tmp_path, actor, messages_per_minute=1) as stage:
        await dry(stage)
        for at in range(3):
            await stage.put(f"{at}@far.test")
        assert await states(stage) == {("in_flight", 1): 1, ("queued", 0): 2}


async def test_a_held_upstream_takes_nothing(tmp_path: Path) -> None:
    async with Stage(tmp_path, settings_of(tmp_path, {"isp": SMTP}), Actor("isp")) as stage:
        lane = await dry(stage)
        now = time.time_ns() // 1_000_000
        await stage.spool.outgoing.hold(Gate("isp", HoldReason.OPERATOR, now, None, None))
        assert not lane.has_room(0, 1)
        await stage.put("a@far.test")
        assert await states(stage) == {("queued", 0): 1}


async def test_a_wide_envelope_is_queued_to_be_split(tmp_path: Path) -> None:
    actor = Actor("isp")
    settings = settings_of(tmp_path, {"isp": SMTP | {"recipients_per_message": 2}})
    async with Stage(tmp_path, settings, actor) as stage:
        lane = await dry(stage)
        assert lane.has_room(0, 2)
        assert not lane.has_room(0, 3)


async def test_what_comes_while_the_lane_stops_is_given_back(tmp_path: Path) -> None:
    actor = Actor("isp")
    async with Stage(tmp_path, settings_of(tmp_path, {"isp": SMTP}), actor) as stage:
        await dry(stage)
        puts = [asyncio.create_task(stage.put(f"{at}@far.test")) for at in range(5)]
        await asyncio.sleep(0)
        await stage.dispatcher.drain(2.0)
        await asyncio.gather(*puts)
        deadline = time.monotonic() + 5
        while (found := await states(stage)) != {("queued", 0): 5}:
            assert time.monotonic() < deadline, found
            await asyncio.sleep(0.01)
        assert actor.offers == []
