"""What becomes of messages, from put to settled."""

from __future__ import annotations

from pathlib import Path

from relay.upstream.contract import Phase
from tests.transfer.actor import VANISHED, Actor, ends, final, refuses, said
from tests.transfer.stage import MESSAGE, Stage, parsed, settings_of, until

SMTP = {"type": "smtp", "host": "mx.provider.test"}


async def test_relays(tmp_path: Path) -> None:
    actor = Actor("isp")
    async with Stage(tmp_path, settings_of(tmp_path, {"isp": SMTP}), actor) as stage:
        id_ = await stage.put("a@far.test", "b@far.test")
        entry = await stage.settled(id_, "relayed", "relayed")
        assert [row.attempts for row in entry.recipients] == [1, 1]
        assert [offer.octets for offer in actor.offers] == [MESSAGE]
        assert await stage.queue() == []


async def test_defers_then_relays(tmp_path: Path) -> None:
    actor = Actor("isp", final(451, "4.3.0 Try again later"), final(421, "4.3.2 Closing"))
    async with Stage(tmp_path, settings_of(tmp_path, {"isp": SMTP}), actor) as stage:
        id_ = await stage.put("a@far.test")
        entry = await stage.settled(id_, "relayed")
        assert await stage.events(id_) == ["accepted", "deferred", "deferred", "relayed"]
        assert entry.recipients[0].attempts == 3
        pauses = [later.at - earlier.at for earlier, later in zip(actor.offers, actor.offers[1:], strict=False)]
        assert pauses[0] >= 0.09
        assert pauses[1] >= 0.18


async def test_fails_with_a_bounce(tmp_path: Path) -> None:
    actor = Actor("isp", final(550, "5.1.1 No such mailbox"))
    async with Stage(tmp_path, settings_of(tmp_path, {"isp": SMTP}), actor) as stage:
        id_ = await stage.put("a@far.test")
        await stage.settled(id_, "failed")
        await until(lambda: len(actor.offers) == 2, "the bounce")
        bounce = actor.offers[1]
        assert bounce.envelope.reverse_path is None
        assert [str(one.forward_path) for one in bounce.envelope.recipients] == ["app@clinic.test"]
        assert parsed(bounce).get_content_type() == "multipart/report"
        assert b"Secret body" not in bounce.octets


async def test_several_recipients_are_settled_by_their_own_replies(tmp_path: Path) -> None:
    refused = {"b@far.test": said(450, "4.2.1 Busy"), "c@far.test": said(550, "5.1.1 No such mailbox")}
    actor = Actor("isp", refuses(refused))
    async with Stage(tmp_path, settings_of(tmp_path, {"isp": SMTP}), actor) as stage:
        id_ = await stage.put("a@far.test", "b@far.test", "c@far.test")
        await stage.settled(id_, "relayed", "relayed", "failed")
        await until(lambda: len(actor.offers) == 3, "the bounce and the second attempt")
        offered = {tuple(str(one.forward_path) for one in offer.envelope.recipients) for offer in actor.offers[1:]}
        assert offered == {("app@clinic.test",), ("b@far.test",)}


async def test_accepted_recipients_are_deferred_where_data_is(tmp_path: Path) -> None:
    refused = {"b@far.test": said(550, "5.1.1 No such mailbox")}
    actor = Actor("isp", refuses(refused, ends(Phase.DATA, said(451, "4.3.0 Not now"))))
    async with Stage(tmp_path, settings_of(tmp_path, {"isp": SMTP}), actor) as stage:
        id_ = await stage.put("a@far.test", "b@far.test")
        await stage.settled(id_, "relayed", "failed")
        assert sorted(await stage.events(id_)) == ["accepted", "deferred", "failed", "relayed"]


async def test_an_end_without_an_answer_is_tried_again_then_held(tmp_path: Path) -> None:
    actor = Actor("isp", always=VANISHED)
    settings = settings_of(tmp_path, {"isp": SMTP}, queue={"ambiguous_attempts": 2})
    async with Stage(tmp_path, settings, actor) as stage:
        id_ = await stage.put("a@far.test")
        entry = await stage.settled(id_, "held")
        assert len(actor.offers) == 3
        assert entry.recipients[0].hold_reason == "ambiguous"
        assert await stage.events(id_) == ["accepted", "uncertain", "uncertain", "held"]
