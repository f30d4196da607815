"""An upstream that cannot be reached: one attempt a pause, nothing else burnt, and everything relayed afterwards."""

from __future__ import annotations

import asyncio
from pathlib import Path

from relay.config.seal import SealedStore
from relay.config.secrets import Secrets
from relay.envelope import Notify
from relay.reply import Reply
from relay.upstream.construction import upstream_of
from relay.upstream.contract import Cause, Phase
from tests.rig.script import Answer
from tests.rig.scripted import ScriptedServer
from tests.transfer.actor import CONNECTION_REFUSED, Actor, ends, said, taken
from tests.transfer.stage import Stage, notify, parsed, settings_of, until

SMTP = {"type": "smtp", "host": "mx.provider.test"}
TOO_MANY = ends(Phase.GREETING, said(421, "4.7.0 Too many connections from your host"))


async def test_one_attempt_a_pause_and_then_everything(tmp_path: Path) -> None:
    actor = Actor("isp", always=CONNECTION_REFUSED)
    isp = SMTP | {"max_connections": 2}
    settings = settings_of(tmp_path, {"isp": isp}, queue={"retry_first": 0.2, "retry_most": 0.4})
    async with Stage(tmp_path, settings, actor) as stage:
        ids = [await stage.put(f"{at}@far.test") for at in range(20)]
        await until(lambda: stage.dispatcher.state("isp").state.state == "unreachable", "the first failure")  # type: ignore[union-attr]
        state = stage.dispatcher.state("isp")
        assert state is not None
        assert state.state.next_probe_at is not None
        assert str(state.state.reply) == "421 Connection refused"
        await until(lambda: actor.conversations >= 5, "three trials")
        actor.always = taken
        failures, events, attempts = actor.conversations, [], 0
        for id_ in ids:
            attempts += (await stage.settled(id_, "relayed")).recipients[0].attempts
            events += await stage.events(id_)
        assert len(actor.offers) == 20
        assert 3 <= events.count("deferred") <= failures, "one attempt counts for each trial, none for the rest"
        assert attempts == 20 + events.count("deferred"), "what was only looked at was not counted"
        assert stage.dispatcher.state("isp").state.state == "open"  # type: ignore[union-attr]


async def test_without_mail_a_login_finds_out(tmp_path: Path) -> None:
    actor = Actor("isp", CONNECTION_REFUSED, CONNECTION_REFUSED)
    async with Stage(tmp_path, settings_of(tmp_path, {"isp": SMTP}), actor) as stage:
        id_ = await stage.put("a@far.test")
        await until(lambda: actor.conversations == 1, "the failure")
        await stage.remove(id_)
        await until(lambda: actor.probes >= 1, "a probe")
        await until(lambda: stage.dispatcher.state("isp").state.state == "open", "the end")  # type: ignore[union-attr]


async def test_time_goes_on_while_nothing_can_be_reached(tmp_path: Path) -> None:
    down, other = Actor("isp", always=CONNECTION_REFUSED), Actor("other")
    settings = settings_of(tmp_path, {"isp": SMTP, "other": SMTP})
    async with Stage(tmp_path, settings, down, other) as stage:
        ids = [await stage.put(f"{at}@far.test", give_up=0.5) for at in range(5)]
        for id_ in ids:
            entry = await stage.settled(id_, "failed")
            assert "4.4.7" in str(entry.recipients[0].reply)
        await until(lambda: len(other.offers) == 5, "the bounces by the other upstream")
        assert all("message/delivery-status" in str(parsed(offer)) for offer in other.offers)
        assert down.offers == []


async def test_who_asked_hears_of_the_delay_once(tmp_path: Path) -> None:
    down, other = Actor("isp", always=CONNECTION_REFUSED), Actor("other")
    settings = settings_of(tmp_path, {"isp": SMTP, "other": SMTP}, queue={"delay_notice": 0.3})
    async with Stage(tmp_path, settings, down, other) as stage:
        for at in range(3):
            await stage.put(notify(f"{at}@far.test", Notify.DELAY))
        await until(lambda: len(other.offers) == 3, "the delay notices")
        await until(lambda: down.conversations >= 12, "more trials")
        assert len(other.offers) == 3
        assert b"Action: delayed" in other.offers[0].octets


async def test_a_complaint_of_connections_while_others_work_costs_no_attempt(tmp_path: Path) -> None:
    actor = Actor("isp", taken, TOO_MANY, TOO_MANY)
    actor.go.clear()
    async with Stage(tmp_path, settings_of(tmp_path, {"isp": SMTP | {"max_connections": 3}}), actor) as stage:
        ids = [await stage.put(f"{at}@far.test") for at in range(3)]
        await until(lambda: actor.conversations >= 3, "two complaints")
        actor.go.set()
        for id_ in ids:
            entry = await stage.settled(id_, "relayed")
            assert entry.recipients[0].attempts == 1
            assert "deferred" not in await stage.events(id_)


async def test_after_a_complaint_connections_come_back_though_one_message_takes_long(tmp_path: Path) -> None:
    actor = Actor("isp", taken, TOO_MANY, TOO_MANY)
    actor.go.clear()
    async with Stage(tmp_path, settings_of(tmp_path, {"isp": SMTP | {"max_connections": 3}}), actor) as stage:
        for at in range(3):
            await stage.put(f"{at}@far.test")
        await until(lambda: actor.conversations >= 5, "the two others, once the pause is over")
        assert actor.open == 3, "the first one still waits"


async def test_a_complaint_while_a_kept_connection_works_costs_no_attempt(tmp_path: Path) -> None:
    too_many = Answer("421 4.7.0 Too many connections from your host", close=True, delay=0.2)
    with ScriptedServer() as server:
        server.script.then("CONNECT", "220 welcome", too_many)
        isp = {"type": "smtp", "host": "127.0.0.1", "port": server.port, "security": "none", "max_connections": 2}
        settings = settings_of(tmp_path, {"isp": isp})
        upstream = upstream_of("isp", settings, Secrets({}, SealedStore(tmp_path, {})))
        async with Stage(tmp_path, settings, upstream) as stage:
            await stage.settled(await stage.put("a@far.test"), "relayed")
            for id_ in await asyncio.gather(stage.put("b@far.test"), stage.put("c@far.test")):
                entry = await stage.settled(id_, "relayed")
                assert entry.recipients[0].attempts == 1
                assert "deferred" not in await stage.events(id_)
        assert server.connections == 2


async def test_trouble_after_mail_is_the_messages_own(tmp_path: Path) -> None:
    lost = ends(Phase.MAIL, Reply(451, None, "closed the connection"), Cause.DISCONNECTED)
    actor = Actor("isp", lost)
    settings = settings_of(tmp_path, {"isp": SMTP}, queue={"retry_first": 3600.0, "retry_most": 3600.0})
    async with Stage(tmp_path, settings, actor) as stage:
        first = await stage.put("a@far.test")
        await stage.settled_event(first, "deferred")
        second = await stage.put("b@far.test")
        await stage.settled(second, "relayed")
        assert await stage.states(first) == ["queued"]
