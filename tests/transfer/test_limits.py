"""The provider's limits, kept over restarts too."""

from __future__ import annotations

import asyncio
from pathlib import Path

from relay.config.settings import Settings
from relay.upstream.contract import Phase
from tests.transfer.actor import Actor, ends, said
from tests.transfer.stage import Stage, settings_of, until

SMTP = {"type": "smtp", "host": "mx.provider.test"}


async def test_never_more_connections_than_allowed(tmp_path: Path) -> None:
    actor = Actor("isp")
    actor.go.clear()
    async with Stage(tmp_path, settings_of(tmp_path, {"isp": SMTP | {"max_connections": 3}}), actor) as stage:
        ids = await asyncio.gather(*(stage.put(f"{at}@far.test") for at in range(60)))
        await until(lambda: actor.open == 3, "three connections")
        actor.go.set()
        for id_ in ids:
            await stage.settled(id_, "relayed")
        assert actor.most_open == 3
        assert len(actor.offers) == 60


async def test_messages_a_minute_tried_ones_included_over_a_restart(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, {"isp": SMTP | {"messages_per_minute": 4}})
    actor = Actor("isp", ends(Phase.MAIL, said(450, "4.7.1 Not now")))
    async with Stage(tmp_path, settings, actor) as stage:
        for at in range(3):
            await stage.put(f"{at}@far.test")
        await until(lambda: len(actor.offers) == 4, "one refused and three taken")
        await stage.put("3@far.test")
        state = stage.dispatcher.state("isp")
        assert state is not None
        assert (state.quotas["messages_per_minute"].used, state.quotas["messages_per_minute"].limit) == (4, 4)
    again = Actor("isp")
    async with Stage(tmp_path, settings, again) as stage:
        id_ = await stage.put("4@far.test")
        await asyncio.sleep(0.5)  # long enough for what must not happen
        assert again.offers == []
        assert await stage.states(id_) == ["queued"]
        assert all(row.attempts == 0 for entry in await stage.queue() for row in entry.recipients)


async def test_large_envelopes_are_split(tmp_path: Path) -> None:
    actor = Actor("isp")
    settings = settings_of(tmp_path, {"isp": SMTP | {"recipients_per_message": 4}})
    async with Stage(tmp_path, settings, actor) as stage:
        id_ = await stage.put(*(f"{at}@far.test" for at in range(10)))
        await stage.settled(id_, *["relayed"] * 10)
        assert sorted(len(offer.envelope.recipients) for offer in actor.offers) == [2, 4, 4]
        offered = {str(one.forward_path) for offer in actor.offers for one in offer.envelope.recipients}
        assert len(offered) == 10


async def test_recipients_a_day(tmp_path: Path) -> None:
    actor = Actor("isp")
    settings = settings_of(tmp_path, {"isp": SMTP | {"recipients_per_day": 7, "recipients_per_message": 5}})
    async with Stage(tmp_path, settings, actor) as stage:
        id_ = await stage.put(*(f"{at}@far.test" for at in range(10)))
        await until(lambda: sum(len(offer.envelope.recipients) for offer in actor.offers) == 7, "what is admitted")
        await asyncio.sleep(0.3)  # long enough for what must not happen
        assert sum(len(offer.envelope.recipients) for offer in actor.offers) == 7
        assert sorted(await stage.states(id_)) == ["queued"] * 3 + ["relayed"] * 7


async def test_an_upstream_at_its_limit_delays_no_other(tmp_path: Path) -> None:
    slow, other = Actor("slow"), Actor("other")
    settings = settings_of(tmp_path, {"slow": SMTP | {"messages_per_minute": 1}, "other": SMTP})
    async with Stage(tmp_path, settings, slow, other) as stage:
        for at in range(5):
            await stage.put(f"{at}@far.test", candidates=("slow",))
        ids = [await stage.put(f"{at}@far.test", candidates=("other",)) for at in range(5)]
        for id_ in ids:
            await stage.settled(id_, "relayed")
        assert len(slow.offers) == 1


async def test_a_clients_pace(tmp_path: Path) -> None:
    """What comes faster waits, whichever way it came to its lane; other clients' mail passes it."""
    actor = Actor("isp")
    client = {"username": "app", "upstream": ("isp",)}
    settings = Settings.model_validate(
        settings_of(tmp_path, {"isp": SMTP}).model_dump(by_alias=True, exclude_unset=True)
        | {"client": {"app": client | {"messages_per_minute": 5}, "other": client | {"username": "other"}}}
    )
    async with Stage(tmp_path, settings, actor) as stage:
        ids = await asyncio.gather(*(stage.put(f"{at}@far.test") for at in range(30)))
        others = [await stage.put("other@far.test", client="other") for _ in range(3)]
        for id_ in others:
            await stage.settled(id_, "relayed")
        await until(lambda: len(actor.offers) == 8, "those whose turn it is")
        waiting = await stage.queue()
        turns = sorted(entry.recipients[0].next_attempt_at for entry in waiting)
        assert len(waiting) == 25
        assert all(row.attempts == 0 and row.state.value == "queued" for one in waiting for row in one.recipients)
        assert [round((turn - turns[0]) / 60_500) for turn in turns] == [at // 5 for at in range(25)]
        assert [await stage.states(id_) for id_ in ids].count(["relayed"]) == 5
    assert len(actor.offers) == 8


async def test_a_clients_pace_ends_at_the_deadline(tmp_path: Path) -> None:
    actor = Actor("isp")
    settings = settings_of(tmp_path, {"isp": SMTP}, client={"messages_per_minute": 1})
    async with Stage(tmp_path, settings, actor) as stage:
        first = await stage.put("a@far.test", give_up=1.0)
        late = await stage.put("b@far.test", give_up=1.0)
        await stage.settled(first, "relayed")
        await stage.settled(late, "failed")
        assert [str(one.envelope.recipients[0].forward_path) for one in actor.offers].count("b@far.test") == 0
