"""Direct delivery where the answer comes late or nobody waits for it any more: nothing is sent twice."""

from __future__ import annotations

import asyncio
from pathlib import Path

from relay.envelope import Notify
from tests.transfer.actor import (
    VANISHED,
    Actor,
    final,
    refuses,
)
from tests.transfer.direct import BUSY, HASTY, SMTP, UNKNOWN, Waiting, asks, stage_of
from tests.transfer.stage import until


class TestTimeOuts:
    async def test_a_late_answer_is_recorded_and_a_repetition_sends_nothing(self, tmp_path: Path) -> None:
        actor = Actor("isp")
        actor.waits_after_dot = True
        actor.go.clear()
        async with stage_of(tmp_path, actor, HASTY) as stage:
            client = Waiting(stage)
            first = client.arrival("a@far.test")
            assert str(await client.carry(first)).startswith("451 4.4.2 The upstream did not answer in time")
            await client.seen(first.id, "uncertain")
            again = asyncio.create_task(client.carry(client.arrival("a@far.test")))
            await asyncio.sleep(0.05)
            actor.go.set()
            assert str(await again) == f"250 2.0.0 Ok: taken ({first.id})"
            assert await stage.events(first.id) == ["direct", "uncertain", "relayed"]
            assert await stage.states(first.id) == ["relayed"]
            assert str(await client.carry(client.arrival("a@far.test"))) == f"250 2.0.0 Ok: taken ({first.id})"
            assert len(actor.offers) == 1
            assert await stage.queue() == []

    async def test_those_not_reached_by_then_get_it_when_it_is_repeated(self, tmp_path: Path) -> None:
        actor = Actor("isp")
        actor.waits_after_dot = True
        actor.go.clear()
        async with stage_of(tmp_path, actor, HASTY | {"recipients_per_message": 1}) as stage:
            client = Waiting(stage)
            first = client.arrival("a@far.test", "b@far.test", "c@far.test")
            assert (await client.carry(first)).code == 451
            actor.go.set()
            await client.over()
            assert await stage.states(first.id) == ["relayed", "failed", "failed"]
            assert (await client.send("a@far.test", "b@far.test", "c@far.test")).startswith("250")
            offered = [str(offer.envelope.recipients[0].forward_path)[0] for offer in actor.offers]
            assert offered == ["a", "b", "c"]
            entry = await client.last()
            assert entry is not None
            assert [row.state.value for row in entry.recipients] == ["relayed", "relayed"]

    async def test_a_repetition_for_those_still_refused_is_taken_since_others_were_reached(
        self, tmp_path: Path
    ) -> None:
        actor = Actor("isp", always=refuses({"b@far.test": BUSY, "c@far.test": UNKNOWN}))
        actor.waits_after_dot = True
        actor.go.clear()
        async with stage_of(tmp_path, actor, HASTY) as stage:
            client = Waiting(stage)
            first = client.arrival("a@far.test", "b@far.test", "c@far.test")
            assert (await client.carry(first)).code == 451
            actor.go.set()
            await client.over()
            second = client.arrival("a@far.test", "b@far.test", "c@far.test")
            assert str(await client.carry(second)) == f"250 2.0.0 Ok: taken ({first.id}) ({second.id})"
            assert [str(one.forward_path)[0] for one in actor.offers[-1].envelope.recipients] == ["b", "c"]
            assert await stage.states(second.id) == ["queued", "failed"]

    async def test_who_was_reached_is_left_out_also_after_an_end_nobody_knows(self, tmp_path: Path) -> None:
        actor = Actor("isp", refuses({"b@far.test": BUSY}), VANISHED)
        actor.waits_after_dot = True
        async with stage_of(tmp_path, actor, HASTY, queue={"retry_ambiguous": 0.1}) as stage:
            client = Waiting(stage)
            for _ in range(2):
                actor.go.clear()
                assert (await client.send("a@far.test", "b@far.test")).startswith("451 4.4.2")
                actor.go.set()
                await client.over()
            await asyncio.sleep(0.15)
            assert (await client.send("a@far.test", "b@far.test")).startswith("250")
            offered = [[str(one.forward_path)[0] for one in offer.envelope.recipients] for offer in actor.offers]
            assert offered == [["a", "b"], ["b"], ["b"]]

    async def test_a_late_answer_has_the_receipt_written_once(self, tmp_path: Path) -> None:
        actor = Actor("isp")
        actor.waits_after_dot = True
        actor.go.clear()
        async with stage_of(tmp_path, actor, HASTY) as stage:
            client = Waiting(stage)
            asking = asks("a@far.test", Notify.SUCCESS)
            assert (await client.carry(client.arrival("b@far.test", asking))).code == 451
            actor.go.set()
            await until(lambda: len(actor.offers) == 2, "the receipt")
            assert b"Action: relayed" in actor.offers[1].octets
            assert b"Final-Recipient: rfc822;a@far.test" in actor.offers[1].octets
            assert (await client.carry(client.arrival("b@far.test", asking))).code == 250
            await client.over()
            assert await stage.queue() == []
            assert len(actor.offers) == 2

    async def test_another_body_is_another_message(self, tmp_path: Path) -> None:
        actor = Actor("isp")
        actor.waits_after_dot = True
        actor.go.clear()
        async with stage_of(tmp_path, actor, HASTY) as stage:
            client = Waiting(stage)
            assert (await client.send("a@far.test")).startswith("451")
            actor.go.set()
            assert (await client.send("a@far.test", body=b"Others\r\n")).startswith("250")
            assert len(actor.offers) == 2

    async def test_a_late_refusal_lets_the_client_try_again(self, tmp_path: Path) -> None:
        actor = Actor("isp", final(451, "4.3.0 Later"))
        actor.waits_after_dot = True
        actor.go.clear()
        async with stage_of(tmp_path, actor, HASTY) as stage:
            client = Waiting(stage)
            first = client.arrival("a@far.test")
            assert (await client.carry(first)).code == 451
            actor.go.set()
            await client.seen(first.id, "deferred")
            assert (await client.send("a@far.test")).startswith("250")
            assert len(actor.offers) == 2

    async def test_an_end_nobody_knows_is_not_tried_again_at_once_and_not_for_ever(self, tmp_path: Path) -> None:
        actor = Actor("isp", always=VANISHED)
        queue = {"retry_ambiguous": 0.2, "ambiguous_attempts": 1}
        async with stage_of(tmp_path, actor, SMTP, queue=queue) as stage:
            client = Waiting(stage)
            assert (await client.send("a@far.test")).startswith("451 4.4.2")
            await client.over()
            assert (await client.send("a@far.test")).startswith("451 4.4.2")
            assert len(actor.offers) == 1
            await asyncio.sleep(0.25)
            assert (await client.send("a@far.test")).startswith("451 4.4.2")
            await client.over()
            assert len(actor.offers) == 2
            await asyncio.sleep(0.25)
            assert (await client.send("a@far.test")).startswith("554 5.4.2")
            assert len(actor.offers) == 2

    async def test_before_the_final_dot_it_is_broken_off_and_nothing_was_sent(self, tmp_path: Path) -> None:
        actor = Actor("isp")
        actor.go.clear()
        async with stage_of(tmp_path, actor, HASTY | {"max_connections": 1}) as stage:
            client = Waiting(stage)
            slow = asyncio.create_task(client.send("a@far.test"))
            await until(lambda: actor.offers, "the first to be under way")
            assert (await client.send("b@far.test")).startswith("451 4.4.5 No connection")
            actor.go.set()
            assert (await slow).startswith("250")
            assert [str(offer.envelope.recipients[0].forward_path) for offer in actor.offers] == ["a@far.test"]

    async def test_a_limit_that_is_used_up_is_told_at_once(self, tmp_path: Path) -> None:
        actor = Actor("isp")
        async with stage_of(tmp_path, actor, SMTP | {"messages_per_minute": 1}) as stage:
            client = Waiting(stage)
            assert (await client.send("a@far.test")).startswith("250")
            assert (await client.send("b@far.test")).startswith("451 4.4.5 The upstream's limit")
            assert len(actor.offers) == 1

    async def test_what_was_used_before_a_restart_counts_at_once(self, tmp_path: Path) -> None:
        limited = SMTP | {"messages_per_minute": 1, "timeout": 0.3}
        async with stage_of(tmp_path, Actor("isp"), limited) as stage:
            assert (await Waiting(stage).send("a@far.test")).startswith("250")
        actor = Actor("isp")
        async with stage_of(tmp_path, actor, limited) as stage:
            assert (await Waiting(stage).send("b@far.test")).startswith("451 4.4.5")
            assert actor.offers == []


class TestNobodyListens:
    async def test_what_was_relayed_unheard_is_not_sent_again(self, tmp_path: Path) -> None:
        actor = Actor("isp")
        actor.go.clear()
        async with stage_of(tmp_path, actor) as stage:
            client = Waiting(stage)
            first = client.arrival("a@far.test")
            caller = asyncio.create_task(client.carry(first))
            await until(lambda: actor.offers, "it to be under way")
            client.listens = False
            caller.cancel()
            actor.go.set()
            await client.over()
            assert await stage.events(first.id) == ["direct", "relayed"]
            client.listens = True
            assert str(await client.carry(client.arrival("a@far.test"))) == f"250 2.0.0 Ok: taken ({first.id})"
            assert len(actor.offers) == 1

    async def test_a_repetition_joins_what_is_under_way(self, tmp_path: Path) -> None:
        actor = Actor("isp")
        actor.go.clear()
        async with stage_of(tmp_path, actor) as stage:
            gone, back = Waiting(stage), Waiting(stage)
            first = gone.arrival("a@far.test")
            caller = asyncio.create_task(gone.carry(first))
            await until(lambda: actor.offers, "it to be under way")
            gone.listens = False
            again = asyncio.create_task(back.carry(back.arrival("a@far.test")))
            await asyncio.sleep(0.05)
            actor.go.set()
            assert str(await again) == f"250 2.0.0 Ok: taken ({first.id})"
            await caller
            assert len(actor.offers) == 1

    async def test_who_waited_along_and_is_gone_sends_nothing(self, tmp_path: Path) -> None:
        actor = Actor("isp", final(451, "4.3.0 Later"))
        actor.go.clear()
        async with stage_of(tmp_path, actor) as stage:
            first, second, third = Waiting(stage), Waiting(stage), Waiting(stage)
            calls = [asyncio.create_task(first.carry(first.arrival("a@far.test")))]
            await until(lambda: actor.offers, "it to be under way")
            first.listens = False
            calls.append(asyncio.create_task(second.carry(second.arrival("a@far.test"))))
            await asyncio.sleep(0.05)
            second.listens = False
            actor.go.set()
            assert (await calls[0]).code == 451
            # The first is answered, and not yet recorded: that is when it is sent once more.
            assert (await third.carry(third.arrival("a@far.test"))).code == 250
            assert (await calls[1]).code == 451
            await third.over()
            assert len(actor.offers) == 2

    async def test_without_an_id_of_its_own_it_is_taken_for_another_message(self, tmp_path: Path) -> None:
        actor = Actor("isp")
        async with stage_of(tmp_path, actor) as stage:
            client = Waiting(stage, listens=False)
            for _ in range(2):
                assert (await client.carry(client.arrival("a@far.test", own_id=False))).code == 250
            assert len(actor.offers) == 2

    async def test_two_who_listen_are_two_messages(self, tmp_path: Path) -> None:
        actor = Actor("isp")
        actor.go.clear()
        async with stage_of(tmp_path, actor) as stage:
            client = Waiting(stage)
            both = asyncio.gather(client.send("a@far.test"), client.send("a@far.test"))
            await until(lambda: len(actor.offers) == 2, "both to be under way")
            actor.go.set()
            assert [text[:3] for text in await both] == ["250", "250"]
