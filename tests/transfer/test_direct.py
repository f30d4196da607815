"""Direct delivery: what the client hears, what is sent, what is recorded, and that nothing is sent twice."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from relay.envelope import Notify
from relay.reply import Reply
from relay.spool.contract import SpoolError
from relay.upstream.contract import Cause, Phase
from tests.transfer.actor import (
    CONNECTION_REFUSED,
    PASSWORD_REFUSED,
    VANISHED,
    Actor,
    Line,
    ends,
    final,
    refuses,
    said,
    taken,
)
from tests.transfer.direct import Waiting, asks
from tests.transfer.stage import Stage, parsed, settings_of, until

SMTP = {"type": "smtp", "host": "mx.provider.test", "timeout": 20.0}
HASTY = SMTP | {"timeout": 0.2}
UNKNOWN, BUSY = said(550, "5.1.1 Nobody of that name"), said(450, "4.2.1 Busy")


def stage_of(folder: Path, actor: Actor, settings: dict[str, Any] | None = None, **tables: Any) -> Stage:
    return Stage(folder, settings_of(folder, {"isp": settings or SMTP}, **tables), actor)


async def test_the_upstreams_own_reply_is_told_with_the_id(tmp_path: Path) -> None:
    actor = Actor("isp")
    async with stage_of(tmp_path, actor) as stage:
        client = Waiting(stage)
        arrival = client.arrival("a@far.test", "b@far.test")
        assert str(await client.carry(arrival)) == f"250 2.0.0 Ok: taken ({arrival.id})"
        assert [offer.octets for offer in actor.offers] == [arrival.content]
        assert await client.events() == ["direct", "relayed", "relayed"]
        assert await stage.queue() == []
        assert (
            stage.metrics.registry.get_sample_value(
                "relay_messages_accepted_total", {"listener": "submission", "client": "app"}
            )
            == 1
        )


@pytest.mark.parametrize(
    ("line", "told", "event"),
    [
        (final(554, "5.7.1 Looks like spam"), "554 5.7.1 Looks like spam (", "failed"),
        (final(451, "4.3.0 Not now"), "451 4.3.0 Not now (", "deferred"),
        (final(421, "4.3.2 Closing"), "451 4.3.2 Closing (", "deferred"),
        (ends(Phase.MAIL, said(550, "5.1.8 Bad sender")), "550 5.1.8 Bad sender (", "failed"),
        (ends(Phase.DATA, said(452, "4.3.1 Full")), "452 4.3.1 Full (", "deferred"),
        (refuses({"a@far.test": UNKNOWN}), "550 5.1.1 Nobody of that name (", "failed"),
        (refuses({"a@far.test": said(552, "5.2.2 Full")}), "452 4.2.2 Try again later: 552 5.2.2 Full (", "deferred"),
        (ends(Phase.CONTENT, Reply(451, None, "lost"), Cause.DISCONNECTED), "451 lost (", "deferred"),
        (VANISHED, "451 4.4.2 The upstream did not answer in time", "uncertain"),
        (CONNECTION_REFUSED, "451 Connection refused (", "deferred"),
        (ends(Phase.GREETING, said(554, "5.3.2 No service")), "451 4.3.2 Try again later: 554 5.3.2 No", "deferred"),
        (PASSWORD_REFUSED, "451 4.7.8 The upstream is held (auth): 535 5.7.8 Username and", "deferred"),
        (ends(Phase.MAIL, None, Cause.GARBLED), "451 4.4.2 ", "deferred"),
    ],
)
async def test_refused_it_ends_there(tmp_path: Path, line: Line, told: str, event: str) -> None:
    actor = Actor("isp", line)
    async with stage_of(tmp_path, actor, SMTP) as stage:
        client = Waiting(stage)
        answer = await client.send("a@far.test")
        assert answer.startswith(told)
        assert await client.events() == ["direct", event]
        entry = await client.last()
        assert entry is not None
        assert [row.state.value for row in entry.recipients] == ["failed"]
        # Nothing waits, nobody is told by mail, and nothing is tried again.
        assert await stage.queue() == []
        offered = len(actor.offers)
        await asyncio.sleep(0.3)
        assert len(actor.offers) == offered
        assert (
            stage.metrics.registry.get_sample_value(
                "relay_messages_refused_total", {"listener": "submission", "reason": "upstream"}
            )
            == 1
        )


class TestSeveralRecipients:
    async def test_one_is_reached_one_fails_one_waits(self, tmp_path: Path) -> None:
        actor = Actor("isp", refuses({"b@far.test": BUSY, "c@far.test": UNKNOWN}))
        async with stage_of(tmp_path, actor) as stage:
            client = Waiting(stage)
            arrival = client.arrival("a@far.test", "b@far.test", "c@far.test")
            assert (await client.carry(arrival)).code == 250
            await stage.settled(arrival.id, "relayed", "relayed", "failed")
            await until(lambda: len(actor.offers) == 3, "the bounce and the second attempt")
            offered = {tuple(str(one.forward_path) for one in offer.envelope.recipients) for offer in actor.offers[1:]}
            assert offered == {("app@clinic.test",), ("b@far.test",)}
            (bounce,) = [offer for offer in actor.offers if offer.envelope.reverse_path is None]
            assert b"Nobody of that name" in bounce.octets
            assert parsed(bounce).get_content_type() == "multipart/report"
            assert sorted(await stage.events(arrival.id)) == ["deferred", "direct", "failed", "relayed", "relayed"]

    async def test_none_is_reached_and_one_may_be_later(self, tmp_path: Path) -> None:
        actor = Actor("isp", refuses({"a@far.test": UNKNOWN, "b@far.test": BUSY}))
        async with stage_of(tmp_path, actor) as stage:
            client = Waiting(stage)
            assert (await client.send("a@far.test", "b@far.test")).startswith("450 4.2.1 Busy (")
            assert await client.events() == ["direct", "failed", "deferred"]
            assert await stage.queue() == []

    async def test_all_fail_differently(self, tmp_path: Path) -> None:
        actor = Actor("isp", refuses({"a@far.test": UNKNOWN, "b@far.test": said(554, "5.7.1 Not you")}))
        async with stage_of(tmp_path, actor) as stage:
            assert (await Waiting(stage).send("a@far.test", "b@far.test")).startswith("550 5.1.1 Nobody")

    async def test_a_large_envelope_goes_in_parts(self, tmp_path: Path) -> None:
        actor = Actor("isp", taken, refuses({"c@far.test": UNKNOWN, "d@far.test": UNKNOWN}), taken)
        async with stage_of(tmp_path, actor, SMTP | {"recipients_per_message": 2}) as stage:
            client = Waiting(stage)
            arrival = client.arrival(*(f"{name}@far.test" for name in "abcde"))
            assert (await client.carry(arrival)).code == 250
            await stage.settled(arrival.id, "relayed", "relayed", "failed", "failed", "relayed")
            parts = [[str(one.forward_path)[0] for one in offer.envelope.recipients] for offer in actor.offers[:3]]
            assert parts == [["a", "b"], ["c", "d"], ["e"]]

    async def test_a_part_that_is_deferred_ends_it_and_the_queue_goes_on(self, tmp_path: Path) -> None:
        actor = Actor("isp", taken, final(451, "4.3.0 Later"))
        async with stage_of(tmp_path, actor, SMTP | {"recipients_per_message": 1}) as stage:
            client = Waiting(stage)
            arrival = client.arrival("a@far.test", "b@far.test", "c@far.test")
            assert (await client.carry(arrival)).code == 250
            await stage.settled(arrival.id, "relayed", "relayed", "relayed")
            assert [str(offer.envelope.recipients[0].forward_path)[0] for offer in actor.offers][:2] == ["a", "b"]
            assert len(actor.offers) == 4

    async def test_a_first_part_that_is_deferred_ends_it_whole(self, tmp_path: Path) -> None:
        actor = Actor("isp", final(451, "4.3.0 Later"))
        async with stage_of(tmp_path, actor, SMTP | {"recipients_per_message": 1}) as stage:
            client = Waiting(stage)
            assert (await client.send("a@far.test", "b@far.test")).startswith("451 4.3.0 Later (")
            assert len(actor.offers) == 1
            assert await client.events() == ["direct", "deferred", "deferred"]

    async def test_who_is_named_is_left_out_and_the_others_are_offered_again(self, tmp_path: Path) -> None:
        refusal = "Message rejected: Email address is not verified. The following identities failed: b@far.test"
        actor = Actor("ses", final(554, refusal))
        ses = {"type": "ses", "region": "ap-southeast-2", "username": "A", "password": {"env": "P"}}
        async with Stage(tmp_path, settings_of(tmp_path, {"ses": ses}), actor) as stage:
            client = Waiting(stage)
            arrival = client.arrival("a@far.test", "b@far.test")
            assert (await client.carry(arrival)).code == 250
            await stage.settled(arrival.id, "relayed", "failed")
            assert [str(one.forward_path) for one in actor.offers[1].envelope.recipients] == ["a@far.test"]


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


class TestTheUpstreamStands:
    async def test_held_it_is_not_asked_until_it_works(self, tmp_path: Path) -> None:
        actor = Actor("isp", PASSWORD_REFUSED)
        async with stage_of(tmp_path, actor, SMTP, queue={"retry_first": 0.4}) as stage:
            client = Waiting(stage)
            assert (await client.send("a@far.test")).startswith("451 4.7.8 The upstream is held (auth)")
            assert not stage.dispatcher.usable("isp")
            assert (await client.send("a@far.test")).startswith("451 4.7.8 The upstream is held (auth)")
            assert actor.conversations == 1
            await until(lambda: stage.dispatcher.usable("isp"), "the probe")
            assert (await client.send("a@far.test")).startswith("250")

    async def test_unreachable_it_is_asked_once_a_pause(self, tmp_path: Path) -> None:
        actor = Actor("isp", CONNECTION_REFUSED)
        async with stage_of(tmp_path, actor, SMTP, queue={"retry_first": 0.4}) as stage:
            client = Waiting(stage)
            assert (await client.send("a@far.test")).startswith("451 Connection refused")
            assert (await client.send("a@far.test")).startswith("451 Connection refused")
            assert actor.conversations == 1
            await until(lambda: stage.dispatcher.usable("isp"), "the trial")
            assert (await client.send("a@far.test")).startswith("250")

    async def test_the_next_upstream_is_tried_where_the_first_cannot_be_reached(self, tmp_path: Path) -> None:
        first, second = Actor("isp", always=CONNECTION_REFUSED), Actor("other")
        async with Stage(tmp_path, settings_of(tmp_path, {"isp": SMTP, "other": SMTP}), first, second) as stage:
            client = Waiting(stage)
            assert (await client.send("a@far.test")).startswith("250")
            assert (await client.send("b@far.test")).startswith("250")
            assert len(second.offers) == 2
            entry = await client.last()
            assert entry is not None
            assert [row.upstream for row in entry.recipients] == ["other"]

    async def test_it_is_not_where_the_first_is_held_or_refuses(self, tmp_path: Path) -> None:
        first, second = Actor("isp", final(451, "4.3.0 Later"), always=PASSWORD_REFUSED), Actor("other")
        async with Stage(tmp_path, settings_of(tmp_path, {"isp": SMTP, "other": SMTP}), first, second) as stage:
            client = Waiting(stage)
            assert [(await client.send(f"{n}@far.test"))[:9] for n in range(3)] == [
                "451 4.3.0",
                "451 4.7.8",
                "451 4.7.8",
            ]
            assert second.offers == []

    async def test_the_first_ones_reply_is_told_where_none_can_be_reached(self, tmp_path: Path) -> None:
        down = ends(Phase.GREETING, said(421, "4.3.2 Closed for lunch"))
        first, second = Actor("isp", always=down), Actor("other", always=CONNECTION_REFUSED)
        async with Stage(tmp_path, settings_of(tmp_path, {"isp": SMTP, "other": SMTP}), first, second) as stage:
            assert (await Waiting(stage).send("a@far.test")).startswith("451 4.3.2 Closed for lunch")

    async def test_it_takes_turns_with_the_queue(self, tmp_path: Path) -> None:
        actor = Actor("isp")
        actor.go.clear()
        async with stage_of(tmp_path, actor, SMTP | {"max_connections": 1}) as stage:
            client = Waiting(stage)
            await stage.put("first@far.test")
            await until(lambda: actor.offers, "the queue to be under way")
            for number in range(3):
                await stage.put(f"queued{number}@far.test")
            sending = [asyncio.create_task(client.send(f"direct{number}@far.test")) for number in range(3)]
            await asyncio.sleep(0.1)
            actor.go.set()
            assert [text[:3] for text in await asyncio.gather(*sending)] == ["250"] * 3
            await until(lambda: len(actor.offers) == 7, "all of them")
            order = [str(offer.envelope.recipients[0].forward_path)[:6] for offer in actor.offers[1:]]
            assert order == ["direct", "queued", "direct", "queued", "direct", "queued"]


class TestTheSpool:
    async def test_a_receipt_is_kept_before_the_client_hears(self, tmp_path: Path) -> None:
        actor = Actor("isp")
        async with stage_of(tmp_path, actor) as stage:
            client = Waiting(stage)
            assert (await client.carry(client.arrival(asks("a@far.test", Notify.SUCCESS)))).code == 250
            await until(lambda: len(actor.offers) == 2, "the receipt")
            assert b"Action: relayed" in actor.offers[1].octets

    async def test_what_it_does_not_take_is_not_promised_nor_sent_twice(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        actor = Actor("isp", refuses({"b@far.test": BUSY}))
        async with stage_of(tmp_path, actor) as stage:
            monkeypatch.setattr("relay.transfer.direct._RECORD_PATIENCE", 0.1)
            record = stage.spool.outgoing.record

            async def broken(*_: object) -> None:
                raise SpoolError("no room", full=True)

            monkeypatch.setattr(stage.spool.outgoing, "record", broken)
            client = Waiting(stage)
            assert (await client.send("a@far.test", "b@far.test")).startswith("451 4.3.0 Local error")
            await client.over()
            monkeypatch.setattr(stage.spool.outgoing, "record", record)
            assert (await client.send("a@far.test", "b@far.test")).startswith("250")
            paths = [[str(one.forward_path)[0] for one in offer.envelope.recipients] for offer in actor.offers]
            assert paths == [["a", "b"], ["b"]]

    async def test_a_trace_that_cannot_be_written_delays_nobody(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        actor = Actor("isp")
        async with stage_of(tmp_path, actor) as stage:
            tries = []
            record = stage.spool.outgoing.record

            async def full_once(*arguments: Any) -> None:
                tries.append(1)
                if len(tries) == 1:
                    raise SpoolError("no room", full=True)
                await record(*arguments)

            monkeypatch.setattr(stage.spool.outgoing, "record", full_once)
            client = Waiting(stage)
            arrival = client.arrival("a@far.test")
            assert (await client.carry(arrival)).code == 250
            await client.over()
            assert await stage.events(arrival.id) == ["direct", "relayed"]


class TestTheEnd:
    async def test_what_waits_is_told_and_what_is_past_its_dot_is_waited_for(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("relay.transfer.direct._LAST_WORDS", 0.2)
        actor = Actor("isp")
        actor.waits_after_dot = True
        actor.go.clear()
        async with stage_of(tmp_path, actor, SMTP | {"max_connections": 1}) as stage:
            client = Waiting(stage)
            past_dot, waiting = client.arrival("a@far.test"), client.arrival("b@far.test")
            first = asyncio.create_task(client.carry(past_dot))
            await until(lambda: actor.offers, "the first to be under way")
            second = asyncio.create_task(client.carry(waiting))
            await asyncio.sleep(0.05)
            stage.dispatcher.direct.stop()
            assert str(await second).startswith("451 4.3.2 Service shutting down")
            assert str(await first).startswith("451 4.4.2 The upstream did not answer")
            assert (await client.send("c@far.test")).startswith("451 4.3.2 Service shutting down")
            draining = asyncio.create_task(stage.dispatcher.drain(2.0))
            await asyncio.sleep(0.05)
            actor.go.set()
            await draining
            assert await stage.events(past_dot.id) == ["direct", "uncertain", "relayed"]
            assert len(actor.offers) == 1
