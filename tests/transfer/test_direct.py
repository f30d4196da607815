"""Direct delivery: what the client hears, what is sent, what is recorded, and that nothing is sent twice."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from relay.envelope import Notify
from relay.reply import Reply
from relay.spool.contract import SpoolError
from relay.spool.records import Gate, HoldReason
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
from tests.transfer.direct import BUSY, SMTP, UNKNOWN, Waiting, asks, stage_of
from tests.transfer.stage import Stage, parsed, settings_of, until


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

    async def test_and_where_it_is_held(self, tmp_path: Path) -> None:
        first, second = Actor("isp", always=PASSWORD_REFUSED), Actor("other")
        async with Stage(tmp_path, settings_of(tmp_path, {"isp": SMTP, "other": SMTP}), first, second) as stage:
            client = Waiting(stage)
            for number in range(3):
                assert (await client.send(f"{number}@far.test")).startswith("250")
            assert len(second.offers) == 3

    async def test_it_is_not_where_the_first_refuses_or_an_operator_holds_it(self, tmp_path: Path) -> None:
        first, second = Actor("isp", final(451, "4.3.0 Later"), final(454, "4.7.0 Later")), Actor("other")
        async with Stage(tmp_path, settings_of(tmp_path, {"isp": SMTP, "other": SMTP}), first, second) as stage:
            client = Waiting(stage)
            assert (await client.send("a@far.test")).startswith("451 4.3.0")
            assert (await client.send("b@far.test")).startswith("454 4.7.0")
            await stage.spool.outgoing.hold(Gate("isp", HoldReason.OPERATOR, 0, None, None))
            assert (await client.send("c@far.test")).startswith("451 4.3.2 The upstream is held (operator)")
            assert second.offers == []

    async def test_nor_where_the_next_may_not_send_as_its_from(self, tmp_path: Path) -> None:
        first, second = Actor("isp", always=CONNECTION_REFUSED), Actor("other")
        gmail = {"type": "gmail", "username": "another@clinic.test", "app_password": {"env": "P"}}
        settings = settings_of(tmp_path, {"isp": SMTP, "other": gmail}, client={"sender_policy": "keep"})
        async with Stage(tmp_path, settings, first, second) as stage:
            assert (await Waiting(stage).send("a@far.test")).startswith("451 Connection refused")
            assert second.offers == []

    async def test_the_first_ones_reply_is_told_where_none_can_be_reached(self, tmp_path: Path) -> None:
        down = ends(Phase.GREETING, said(421, "4.3.2 Closed for lunch"))
        first, second = Actor("isp", always=down), Actor("other", always=CONNECTION_REFUSED)
        async with Stage(tmp_path, settings_of(tmp_path, {"isp": SMTP, "other": SMTP}), first, second) as stage:
            assert (await Waiting(stage).send("a@far.test")).startswith("451 4.3.2 Closed for lunch")

    async def test_an_operators_hold_stops_what_waits_for_a_connection(self, tmp_path: Path) -> None:
        actor = Actor("isp")
        actor.go.clear()
        async with stage_of(tmp_path, actor, SMTP | {"max_connections": 1}) as stage:
            first = await stage.put("first@far.test")
            await until(lambda: actor.offers, "the queue to be under way")
            queued = await stage.put("queued@far.test")
            sending = asyncio.create_task(Waiting(stage).send("direct@far.test"))
            await until(lambda: stage.dispatcher.state("isp").direct == 1, "one to wait")  # type: ignore[union-attr]
            await stage.spool.outgoing.hold(Gate("isp", HoldReason.OPERATOR, 0, None, None))
            assert (await sending).startswith("451 4.3.2 The upstream is held (operator)")
            actor.go.set()
            await stage.settled(first, "relayed")
            assert len(actor.offers) == 1
            await stage.spool.outgoing.release("isp")
            await stage.settled(queued, "relayed")

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
