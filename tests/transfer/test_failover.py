"""What waits for an upstream that is out goes by the client's next, and back once it is well; nothing goes twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from relay.config.settings import Settings
from relay.envelope import Content, Envelope
from relay.reply import Reply
from relay.spool.records import Gate, HoldReason, Priority, QueuedRecipient
from relay.transfer.outage import Condition
from relay.upstream.contract import Cause, Clearance, Conversation, Phase
from tests.transfer.actor import CONNECTION_REFUSED, PASSWORD_REFUSED, VANISHED, Actor, ends, said, taken
from tests.transfer.stage import Stage, settings_of, until
from tests.transfer.test_held import M365

FIRST = {"type": "smtp", "host": "mx.first.test", "failover_after": 0.3}
NEXT = {"type": "smtp", "host": "mx.next.test", "failover_after": 0.3}
GMAIL = {"type": "gmail", "username": "clinic@clinic.test", "app_password": {"env": "P"}, "failover_after": 0.3}


def two(folder: Path, second: dict[str, Any] | None = None, **tables: Any) -> Settings:
    return settings_of(folder, {"first": FIRST, "next": second or NEXT}, **tables)


def reached(*actors: Actor) -> Counter[str]:
    """How often each recipient was reached."""
    return Counter(
        str(one.forward_path) for actor in actors for offer in actor.offers for one in offer.envelope.recipients
    )


async def test_from_one_that_cannot_be_reached_and_back(tmp_path: Path) -> None:
    first, second = Actor("first", always=CONNECTION_REFUSED), Actor("next")
    async with Stage(tmp_path, two(tmp_path), first, second) as stage:
        ids = [await stage.put(f"{at}@far.test") for at in range(20)]
        for id_ in ids:
            await stage.settled(id_, "relayed")
        assert (len(first.offers), len(second.offers)) == (0, 20)
        moved = [event for id_ in ids for event in (await stage.trace(id_)).events if event.event == "moved"]
        assert {(event.upstream, str(event.reply)) for event in moved} == {
            ("next", "451 4.4.1 From first, which cannot be reached")
        }
        assert len(moved) == 20
        assert [(one.client, one.upstream, one.by) for one, _ in stage.dispatcher.detours] == [("app", "first", "next")]
        first.always = taken
        await until(lambda: not stage.dispatcher.detours, "the return")
        await stage.settled(await stage.put("new@far.test"), "relayed")
        assert len(first.offers) == 1
        assert set(reached(first, second).values()) == {1}


async def test_from_one_that_is_held_and_back_with_what_still_waits(tmp_path: Path) -> None:
    first, second = Actor("first", always=PASSWORD_REFUSED), Actor("next")
    second.go.clear()
    settings = settings_of(tmp_path, {"first": FIRST, "next": NEXT | {"max_connections": 1}})
    async with Stage(tmp_path, settings, first, second) as stage:
        ids = [await stage.put(f"{at}@far.test") for at in range(30)]
        await until(lambda: len(second.offers) == 1, "the move")
        await stage.settled_event(ids[-1], "moved")
        first.always = taken
        await until(lambda: len(first.offers) >= 10, "the way back")
        second.go.set()
        for id_ in ids:
            await stage.settled(id_, "relayed")
        assert set(reached(first, second).values()) == {1}
        back = [event for event in (await stage.trace(ids[-1])).events if event.event == "moved"]
        assert [event.upstream for event in back] == ["next", "first"]
        assert str(back[0].reply) == "451 4.3.2 From first, which is held (auth)"
        assert str(back[1].reply) == "250 2.0.0 From next, since first works again"


async def test_one_that_is_uncertain_never_goes_elsewhere(tmp_path: Path) -> None:
    first, second = Actor("first", VANISHED, always=CONNECTION_REFUSED), Actor("next")
    settings = two(tmp_path, queue={"retry_ambiguous": 0.1})
    async with Stage(tmp_path, settings, first, second) as stage:
        unsure = await stage.put("unsure@far.test")
        await stage.settled_event(unsure, "uncertain")
        others = [await stage.put(f"{at}@far.test") for at in range(5)]
        for id_ in others:
            await stage.settled(id_, "relayed")
        assert await stage.states(unsure) in (["queued"], ["in_flight"])
        assert "moved" not in await stage.events(unsure)
        first.always = taken
        await stage.settled(unsure, "relayed")
        assert [str(offer.envelope.recipients[0].forward_path) for offer in first.offers] == ["unsure@far.test"] * 2
        assert "unsure@far.test" not in reached(second)


async def test_never_by_one_that_may_not_send_as_its_from(tmp_path: Path) -> None:
    first, second = Actor("first", always=CONNECTION_REFUSED), Actor("next")
    gmail = GMAIL | {"may_send_as": ["app@clinic.test"]}
    settings = settings_of(tmp_path, {"first": FIRST, "next": gmail}, client={"sender_policy": "keep"})
    async with Stage(tmp_path, settings, first, second) as stage:
        may, may_not = await stage.put("a@far.test"), await stage.put("b@far.test", sender="other@clinic.test")
        null = await stage.put("c@far.test", sender=None)
        await stage.settled(may, "relayed")
        first.always = taken
        for id_ in (may_not, null):
            await stage.settled(id_, "relayed")
            assert "moved" not in await stage.events(id_)
        assert list(reached(second)) == ["a@far.test"]


async def test_by_one_that_sends_it_as_its_own_account(tmp_path: Path) -> None:
    first, second = Actor("first", always=CONNECTION_REFUSED), Actor("next")
    async with Stage(tmp_path, two(tmp_path, GMAIL), first, second) as stage:
        for id_ in (await stage.put("b@far.test"), await stage.put("c@far.test", sender=None)):
            await stage.settled(id_, "relayed")
            assert (await stage.events(id_))[-2:] == ["rewritten", "relayed"]
        assert {str(offer.envelope.reverse_path) for offer in second.offers} == {GMAIL["username"]}


async def test_an_operators_hold_keeps_its_mail(tmp_path: Path) -> None:
    first, second = Actor("first"), Actor("next")
    async with Stage(tmp_path, two(tmp_path), first, second) as stage:
        gate = Gate("first", HoldReason.OPERATOR, 0, None, None)
        await stage.spool.outgoing.hold(gate)
        id_ = await stage.put("a@far.test")
        await asyncio.sleep(1.2)
        assert await stage.states(id_) == ["queued"]
        assert stage.dispatcher.detours == []
        await stage.spool.outgoing.release("first")
        await stage.settled(id_, "relayed")
        assert len(first.offers) == 1


async def test_where_all_are_out_whichever_works_first_sends(tmp_path: Path) -> None:
    first, second = Actor("first", always=CONNECTION_REFUSED), Actor("next", always=CONNECTION_REFUSED)
    third = Actor("third", always=PASSWORD_REFUSED)
    settings = settings_of(tmp_path, {"first": FIRST, "next": NEXT, "third": NEXT})
    async with Stage(tmp_path, settings, first, second, third) as stage:
        await stage.put("wake@far.test", candidates=("next",))
        await stage.put("wake@far.test", candidates=("third",))
        ids = [await stage.put(f"{at}@far.test") for at in range(5)]
        await until(lambda: stage.dispatcher.detours, "the outage")
        await until(lambda: stage.dispatcher.detours[0][0].by is None, "all to be out")
        third.always = taken
        for id_ in ids:
            await stage.settled(id_, "relayed")
        assert (len(first.offers), len(second.offers), len(third.offers)) == (0, 0, 6)


async def test_limits_of_the_next_are_its_own_and_what_is_urgent_goes_first(tmp_path: Path) -> None:
    first, second = Actor("first", always=CONNECTION_REFUSED), Actor("next")
    settings = two(tmp_path, NEXT | {"messages_per_minute": 10})
    async with Stage(tmp_path, settings, first, second) as stage:
        for at in range(60):
            await stage.put(f"{at}@far.test")
        await until(lambda: len(second.offers) == 10, "as many as the limit admits")
        urgent = await stage.put("urgent@far.test", priority=Priority.HIGH)
        await stage.settled_event(urgent, "moved")
        assert len(second.offers) == 10
        there = [entry for entry in await stage.queue() if entry.recipients[0].upstream == "next"]
        assert len(there) <= 30, "what is in hand, and no more than it sends in a while"


async def test_a_from_that_only_the_first_refuses_goes_by_the_next_at_once(tmp_path: Path) -> None:
    refused = ends(Phase.DONE, said(550, "5.7.60 SMTP; Client does not have permissions to send as this sender"))
    first, second = Actor("first", refused), Actor("next")
    async with Stage(tmp_path, two(tmp_path), first, second) as stage:
        second.go.clear()
        id_ = await stage.put("a@far.test")
        await until(lambda: len(second.offers) == 1, "the next")
        await stage.settled(await stage.put("b@far.test"), "relayed")
        second.go.set()
        entry = await stage.settled(id_, "relayed")
        told = [(event.event, event.upstream) for event in entry.events[1:]]
        assert told == [("deferred", "first"), ("moved", "next"), ("relayed", "next")]
        assert (len(first.offers), len(second.offers)) == (2, 1)


async def test_what_no_other_may_send_either_waits_for_a_person(tmp_path: Path) -> None:
    refused = ends(Phase.DONE, said(550, "5.7.60 SMTP; Client does not have permissions to send as this sender"))
    first, second = Actor("first", always=refused), Actor("next", always=refused)
    async with Stage(tmp_path, two(tmp_path), first, second) as stage:
        id_ = await stage.put("a@far.test")
        await stage.settled(id_, "held")
        assert (len(first.offers), len(second.offers)) == (1, 1)


async def test_a_quota_that_a_login_does_not_show_sends_nothing_to_and_fro(tmp_path: Path) -> None:
    full = ends(Phase.DONE, said(550, "5.1.90 Your message can't be sent because you've reached your daily limit"))
    first, second = Actor("first", always=full), Actor("next")
    second.go.clear()
    m365 = M365 | {"failover_after": 0.3}
    settings = settings_of(tmp_path, {"first": m365, "next": NEXT | {"max_connections": 1}})
    async with Stage(tmp_path, settings, first, second) as stage:
        ids = [await stage.put(f"{at}@far.test") for at in range(30)]
        await stage.settled_event(ids[-1], "moved")
        await until(lambda: first.probes >= 8, "gates that a login opens")
        moves = [(await stage.events(id_)).count("moved") for id_ in ids]
        assert sum(moves) <= 30 + 2 * first.probes, "one at a time finds out"
        first.always = taken
        second.go.set()
        for id_ in ids:
            await stage.settled(id_, "relayed")
        assert set(reached(second).values()) | {1} == {1}


class TestOneThatHangs:
    """Longer than `failover_after`, and its time-outs are longer still."""

    async def test_before_mail(self, tmp_path: Path) -> None:
        first, second = Hanging("first", Phase.GREETING), Actor("next")
        settings = settings_of(tmp_path, {"first": FIRST | {"max_connections": 2}, "next": NEXT})
        async with Stage(tmp_path, settings, first, second) as stage:
            ids = [await stage.put(f"{at}@far.test") for at in range(20)]
            await until(lambda: len(second.offers) == 18, "all but those whose attempts go on")
            [where] = {event.upstream for event in (await stage.trace(ids[5])).events if event.event == "moved"}
            assert where == "next"
            assert stage.dispatcher.state("first").state.state == "unreachable"  # type: ignore[union-attr]
            first.end.set()
            for id_ in ids:
                await stage.settled(id_, "relayed")
            assert set(reached(second).values()) == {1}
            assert len(reached(second)) == 20, "nothing was counted against what hung"

    async def test_behind_mail(self, tmp_path: Path) -> None:
        timed_out = ends(Phase.DATA, Reply(451, None, "No answer in time"), Cause.TIMEOUT)
        first, second = Actor("first", always=timed_out), Actor("next")
        async with Stage(tmp_path, two(tmp_path), first, second) as stage:
            ids = [await stage.put(f"{at}@far.test") for at in range(5)]
            for id_ in ids:
                await stage.settled(id_, "relayed")
            assert set(reached(second).values()) == {1}
            for at in range(5):
                await stage.settled(await stage.put(f"later{at}@far.test"), "relayed")
            assert len(reached(second)) == 10
            first.always = taken
            while stage.dispatcher.detours:
                await stage.settled(await stage.put("again@far.test"), "relayed")

    async def test_one_that_is_slow_and_delivers_keeps_its_mail(self, tmp_path: Path) -> None:
        first, second = Actor("first"), Actor("next")
        first.go.clear()
        settings = settings_of(tmp_path, {"first": FIRST | {"max_connections": 1}, "next": NEXT})
        async with Stage(tmp_path, settings, first, second) as stage:
            ids = [await stage.put(f"{at}@far.test") for at in range(8)]
            await until(lambda: first.offers, "the first")
            await asyncio.sleep(1.2)
            assert stage.dispatcher.detours == []
            first.go.set()
            for id_ in ids:
                await stage.settled(id_, "relayed")
            assert second.offers == []


class Hanging(Actor):
    """Comes no farther than a phase until `end`, and then ends there."""

    def __init__(self, name: str, phase: Phase) -> None:
        super().__init__(name)
        self.end = asyncio.Event()
        self._ended = ends(phase, Reply(421, None, "No answer in time"), Cause.TIMEOUT)

    async def send(self, envelope: Envelope, content: Content, clearance: Clearance) -> Conversation:
        await self.end.wait()
        return self._ended(envelope)

    async def probe(self) -> Conversation:
        await self.end.wait()
        return self._ended(Envelope(None, ()))


async def test_nobody_looks_through_what_can_go_nowhere_else(tmp_path: Path) -> None:
    first, second = Actor("first", always=CONNECTION_REFUSED), Actor("next")
    settings = two(tmp_path, client={"upstream": "first"})
    async with Stage(tmp_path, settings, first, second) as stage:
        await stage.put("a@far.test", candidates=("first",))
        failover = stage.dispatcher._failover
        await until(lambda: failover._conditions.get("first") is Condition.OUT, "the outage to be noticed")
        looks: list[object] = []

        async def queued(*asked: object) -> list[QueuedRecipient]:
            looks.append(asked)
            return []

        stage.spool.outgoing.queued = queued  # type: ignore[assignment, method-assign]
        await failover.look()
        assert looks == []


async def test_a_next_that_a_reload_removes_meanwhile_gets_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    first, second = Actor("first", always=CONNECTION_REFUSED), Actor("next")
    second.go.clear()
    async with Stage(tmp_path, two(tmp_path), first, second) as stage:
        failover, outgoing = stage.dispatcher._failover, stage.spool.outgoing
        await until(lambda: failover._conditions, "a look")
        found_queued = outgoing.queued

        async def queued(*asked: Any) -> list[QueuedRecipient]:
            found = list(await found_queued(*asked))
            if found:
                await stage.dispatcher.apply(
                    settings_of(tmp_path, {"first": FIRST}, client={"upstream": "first"}), {"first": first}
                )
            return found

        outgoing.queued = queued  # type: ignore[assignment, method-assign]
        id_ = await stage.put("a@far.test")
        await until(lambda: len(stage.dispatcher._lanes) == 1, "the reload")
        await failover.look()
        assert "moved" not in await stage.events(id_)
    assert '"event": "error"' not in capfd.readouterr().err
