"""Draining, reloading, lost leases and a spool that is out of order: nothing lost, nothing sent twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from relay.spool.contract import Arrival, SpoolError
from relay.spool.outgoing import StoreOutgoing
from relay.spool.records import Claim, Settlement
from relay.spool.store import Spool
from relay.transfer.custody import Custody
from relay.upstream.contract import Phase
from tests.transfer.actor import Actor, ends, said
from tests.transfer.stage import Stage, settings_of, until

SMTP = {"type": "smtp", "host": "mx.provider.test"}


async def test_draining_lets_what_is_being_sent_end(tmp_path: Path) -> None:
    actor = Actor("isp")
    actor.go.clear()
    settings = settings_of(tmp_path, {"isp": SMTP | {"max_connections": 2}})
    async with Stage(tmp_path, settings, actor) as stage:
        ids = [await stage.put(f"{at}@far.test") for at in range(6)]
        await until(lambda: actor.open == 2, "two attempts")
        asyncio.get_running_loop().call_later(0.2, actor.go.set)
        began = time.monotonic()
        await stage.dispatcher.drain(10.0)
        assert time.monotonic() - began < 2
        states = [await stage.states(id_) for id_ in ids]
        assert states.count(["relayed"]) == 2
        waiting = [row for entry in await stage.queue() for row in entry.recipients]
        assert [(row.state, row.attempts) for row in waiting] == [("queued", 0)] * 4


async def test_draining_breaks_off_what_cannot_have_been_taken(tmp_path: Path) -> None:
    actor = Actor("isp")
    actor.go.clear()
    async with Stage(tmp_path, settings_of(tmp_path, {"isp": SMTP}), actor) as stage:
        id_ = await stage.put("a@far.test")
        await until(lambda: actor.open == 1, "the attempt")
        began = time.monotonic()
        await stage.dispatcher.drain(1.0)
        assert 0.4 < time.monotonic() - began < 1.5
        entry = await stage.trace(id_)
        assert [(row.state, row.attempts) for row in entry.recipients] == [("queued", 0)]
        assert actor.open == 0


async def test_draining_marks_what_may_have_been_taken(tmp_path: Path) -> None:
    actor = Actor("isp")
    actor.go.clear()
    actor.waits_after_dot = True
    async with Stage(tmp_path, settings_of(tmp_path, {"isp": SMTP}), actor) as stage:
        id_ = await stage.put("a@far.test")
        await until(lambda: actor.open == 1, "the attempt")
        await stage.dispatcher.drain(1.0)
        entry = await stage.trace(id_)
        assert [(row.state, row.uncertain) for row in entry.recipients] == [("queued", 1)]
        assert "uncertain" in await stage.events(id_)


async def test_draining_with_nothing_to_do_is_quick(tmp_path: Path) -> None:
    async with Stage(tmp_path, settings_of(tmp_path, {"isp": SMTP}), Actor("isp")) as stage:
        began = time.monotonic()
        await stage.dispatcher.drain(10.0)
        assert time.monotonic() - began < 0.5


async def test_a_lost_lease_stops_before_the_final_dot(tmp_path: Path) -> None:
    actor = Actor("isp")
    actor.go.clear()
    async with Stage(tmp_path, settings_of(tmp_path, {"isp": SMTP}), actor) as stage:
        id_ = await stage.put("a@far.test")
        await until(lambda: actor.open == 1, "the attempt")
        # A process of this node that starts takes the leases of the one before away.
        await (await Spool.open("", tmp_path)).aclose()
        custody: Custody = stage.dispatcher._custody
        await custody.renew()
        actor.go.set()
        await stage.settled(await stage.put("b@far.test"), "relayed")
        await stage.settled(id_, "relayed")
        assert len(actor.offers) == 3, "the first was broken off before its final dot"
        events = await stage.events(id_)
        assert events.count("relayed") == 1
        assert "deferred" not in events


class _Troubled(StoreOutgoing):
    """A spool that refuses its first settlements."""

    failures = 0

    async def settle(self, claim: Claim, settlements: Sequence[Settlement], notices: Sequence[Arrival]) -> bool:
        if self.failures > 0:
            self.failures -= 1
            raise SpoolError("disk on fire")
        return await super().settle(claim, settlements, notices)


async def test_a_settlement_that_the_spool_refuses_is_kept_until_it_is_in(tmp_path: Path) -> None:
    actor = Actor("isp")
    async with Stage(tmp_path, settings_of(tmp_path, {"isp": SMTP | {"max_connections": 1}}), actor) as stage:
        outgoing = stage.spool.outgoing
        outgoing.__class__ = _Troubled
        assert isinstance(outgoing, _Troubled)
        outgoing.failures = 1000
        first = await stage.put("a@far.test")
        await until(lambda: len(actor.offers) == 1, "the attempt")
        second = await stage.put("b@far.test")
        await asyncio.sleep(0.5)  # long enough for what must not happen
        assert await stage.states(second) == ["queued"]
        assert 990 <= outgoing.failures < 1000
        outgoing.failures = 0
        await stage.settled(first, "relayed")
        await stage.settled(second, "relayed")
        assert len(actor.offers) == 2


async def test_reloading_brings_lanes_and_takes_them(tmp_path: Path) -> None:
    isp, other = Actor("isp"), Actor("other")
    async with Stage(tmp_path, settings_of(tmp_path, {"isp": SMTP}), isp) as stage:
        isp.go.clear()
        running = await stage.put("a@far.test")
        await until(lambda: isp.open == 1, "the attempt")
        await stage.dispatcher.apply(settings_of(tmp_path, {"other": SMTP}), {"other": other})
        assert stage.dispatcher.state("isp") is None
        left = await stage.put("b@far.test", candidates=("isp",))
        new = await stage.put("c@far.test", candidates=("other",))
        await stage.settled(new, "relayed")
        finished = asyncio.create_task(stage.dispatcher.finish(isp))
        await asyncio.sleep(0.05)
        assert not finished.done()
        isp.go.set()
        await finished
        await stage.settled(running, "relayed")
        assert await stage.states(left) == ["queued"]
        await stage.dispatcher.apply(stage.settings, {"isp": isp})
        await stage.settled(left, "relayed")


async def test_a_changed_upstream_is_tried_at_once(tmp_path: Path) -> None:
    queue = {"retry_first": 3600.0, "retry_most": 3600.0}
    refusing = Actor("isp", always=ends(Phase.AUTH, said(535, "5.7.8 No")))
    async with Stage(tmp_path, settings_of(tmp_path, {"isp": SMTP}, queue=queue), refusing) as stage:
        id_ = await stage.put("a@far.test")
        await until(lambda: stage.spool.outgoing.gate("isp"), "the hold")
        mended = Actor("isp")
        await stage.dispatcher.apply(stage.settings, {"isp": mended})
        await stage.settled(id_, "relayed")
        assert mended.probes == 1


async def test_an_upstream_with_a_fault_of_its_own_loses_nothing(tmp_path: Path) -> None:
    def broken(_envelope: object) -> None:
        raise RuntimeError("a defect")

    actor = Actor("isp", broken)  # type: ignore[arg-type]
    async with Stage(tmp_path, settings_of(tmp_path, {"isp": SMTP}), actor) as stage:
        id_ = await stage.put("a@far.test")
        await stage.settled(id_, "relayed")
        assert await stage.events(id_) == ["accepted", "deferred", "relayed"]
