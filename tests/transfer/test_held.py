"""The account is at fault: the upstream is held, nothing bounces, and it opens again by itself."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from relay.envelope import Envelope
from relay.journal import Journal
from relay.spool.records import Gate, HoldReason
from relay.transfer.alerts import Alerts
from relay.transfer.classification import Occasion, outcome_for
from relay.transfer.classification import Stage as Stage_
from relay.transfer.outcome import Relayed
from relay.transfer.standing import Standing
from relay.transfer.surroundings import Surroundings
from relay.upstream.contract import Cause, Conversation, Phase
from tests.transfer.actor import OK, PASSWORD_REFUSED, RCPT_OK, Actor, Line, ends, final, refuses, said, taken
from tests.transfer.stage import Stage, parsed, settings_of, until

SMTP = {"type": "smtp", "host": "mx.provider.test"}
M365 = {
    "type": "microsoft365",
    "mailbox": "no-reply@clinic.test",
    "tenant": "11111111-2222-3333-4444-555555555555",
    "client_id": "66666666-7777-8888-9999-000000000000",
    "client_secret": {"env": "X"},
}
DAILY = final(550, "5.1.90 Your message can't be sent because you've reached your daily limit")
SEND_AS = final(554, "5.2.252 SendAsDenied; no-reply@clinic.test not allowed to send as app@clinic.test")
TOKEN = ends(Phase.TOKEN, said(454, "4.7.0 AADSTS7000222: expired"), Cause.TOKEN_REFUSED)


def _gate(stage: Stage, upstream: str) -> Gate:
    gate = stage.spool.outgoing.gate(upstream)
    assert gate is not None
    return gate


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (PASSWORD_REFUSED, HoldReason.AUTH),
        (TOKEN, HoldReason.SECRET),
        (ends(Phase.SECRET, said(454, "4.7.0 no secret"), Cause.SECRET_UNAVAILABLE), HoldReason.SECRET),
        (DAILY, HoldReason.QUOTA),
        (ends(Phase.MAIL, said(530, "5.7.57 Client not authenticated")), HoldReason.AUTH),
    ],
)
async def test_held_then_released_by_itself(tmp_path: Path, line: Line, reason: HoldReason) -> None:
    actor = Actor("m365", line, line, line)
    async with Stage(tmp_path, settings_of(tmp_path, {"m365": M365}), actor) as stage:
        ids = [await stage.put(f"{at}@far.test") for at in range(3)]
        await until(lambda: stage.spool.outgoing.gate("m365"), "the hold")
        assert _gate(stage, "m365").reason is reason
        state = stage.dispatcher.state("m365")
        assert state is not None
        assert (state.state.state, state.state.reason) == ("held", reason)
        for id_ in ids:
            await stage.settled(id_, "relayed")
            assert "failed" not in await stage.events(id_)


async def test_probes_come_at_growing_pauses_and_only_one_message_is_tried(tmp_path: Path) -> None:
    actor = Actor("m365", always=DAILY)
    settings = settings_of(tmp_path, {"m365": M365}, queue={"retry_first": 0.2, "retry_most": 60.0})
    async with Stage(tmp_path, settings, actor) as stage:
        for at in range(6):
            await stage.put(f"{at}@far.test")
        await until(lambda: (gate := stage.spool.outgoing.gate("m365")) and gate.probes == 2, "two probes")
        gate = _gate(stage, "m365")
        assert gate.next_probe_at is not None
        assert 500 <= gate.next_probe_at - time.time() * 1000 <= 800
        assert actor.probes == 2
        assert len(actor.offers) <= 3 + 2, "what was under way at the hold, and one message a probe"


async def test_an_unreachable_upstream_stays_held_for_its_reason(tmp_path: Path) -> None:
    refused = ends(Phase.CONNECT, said(421, "refused"), Cause.CONNECTION_REFUSED)
    actor = Actor("isp", PASSWORD_REFUSED, always=refused)
    async with Stage(tmp_path, settings_of(tmp_path, {"isp": SMTP}), actor) as stage:
        await stage.put("a@far.test")
        await until(lambda: (gate := stage.spool.outgoing.gate("isp")) and gate.probes == 2, "two probes")
        assert _gate(stage, "isp").reason is HoldReason.AUTH


async def test_a_gate_survives_a_restart_and_time_held_does_not_count(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, {"isp": SMTP}, queue={"retry_first": 1.0, "retry_most": 1.0})
    async with Stage(tmp_path, settings, Actor("isp", always=PASSWORD_REFUSED)) as stage:
        id_ = await stage.put("a@far.test", give_up=0.8)
        await until(lambda: stage.spool.outgoing.gate("isp"), "the hold")
        since_at = _gate(stage, "isp").since_at
    actor = Actor("isp")
    async with Stage(tmp_path, settings, actor) as stage:
        assert _gate(stage, "isp").since_at == since_at
        entry = await stage.settled(id_, "relayed")
        assert entry.recipients[0].give_up_at >= entry.message.accepted_at + 1500
        assert actor.probes == 1


async def test_a_gate_that_stood_at_a_start_is_probed_soon_and_its_pause_goes_on_growing(tmp_path: Path) -> None:
    hours = settings_of(tmp_path, {"isp": SMTP}, queue={"retry_first": 3600.0, "retry_most": 7200.0, "jitter": 0.0})
    async with Stage(tmp_path, hours, Actor("isp", always=PASSWORD_REFUSED)) as stage:
        id_ = await stage.put("a@far.test")
        await until(lambda: stage.spool.outgoing.gate("isp"), "the hold")
    soon = settings_of(tmp_path, {"isp": SMTP}, queue={"retry_first": 0.2, "retry_most": 7200.0, "jitter": 0.0})
    async with Stage(tmp_path, soon, Actor("isp", always=PASSWORD_REFUSED)) as stage:
        await until(lambda: _gate(stage, "isp").probes == 1, "the probe")
    async with Stage(tmp_path, soon, Actor("isp")) as stage:
        await stage.settled(id_, "relayed")


async def test_what_waited_long_for_a_held_upstream_is_not_given_up_by_the_first_attempt(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, {"isp": SMTP}, queue={"retry_first": 1.0, "retry_most": 1.0})
    actor = Actor("isp", PASSWORD_REFUSED, PASSWORD_REFUSED, taken, final(451, "4.3.2 Try again later"))
    async with Stage(tmp_path, settings, actor) as stage:
        id_ = await stage.put("a@far.test", give_up=1.6)
        await stage.settled(id_, "relayed")
        assert await stage.events(id_) == ["accepted", "deferred", "deferred", "relayed"]


async def test_a_probe_is_made_with_what_is_not_past_its_clients_deadline(tmp_path: Path) -> None:
    queue = {"retry_first": 1.0, "retry_most": 1.0}
    settings = settings_of(tmp_path, {"isp": SMTP}, client={"deadline": "2s"}, queue=queue)
    actor = Actor("isp", always=PASSWORD_REFUSED)
    async with Stage(tmp_path, settings, actor) as stage:
        late = await stage.put("late@far.test", sender="late@clinic.test")
        await until(lambda: stage.spool.outgoing.gate("isp"), "the hold")
        other = await stage.put("other@far.test", client="portal", give_up=0.8)
        await until(lambda: _gate(stage, "isp").since_at + 2000 < time.time_ns() // 1_000_000, "the deadline")
        actor.always = taken
        await stage.settled(late, "failed")
        await stage.settled(other, "relayed")
        assert "late@far.test" not in [str(one.envelope.recipients[0].forward_path) for one in actor.offers]


async def test_a_notice_that_misses_a_login_nobody_gave_us_waits_with_the_upstream(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, {"isp": SMTP}, queue={"retry_first": 0.1, "retry_most": 0.1})
    actor = Actor("isp", ends(Phase.MAIL, said(530, "5.7.0 Authentication required")))
    async with Stage(tmp_path, settings, actor) as stage:
        notice = await stage.put("app@clinic.test", sender=None)
        await until(lambda: stage.spool.outgoing.gate("isp"), "the hold")
        await stage.settled(notice, "relayed")


async def test_only_this_from_is_held(tmp_path: Path) -> None:
    actor = Actor("m365", SEND_AS)
    async with Stage(tmp_path, settings_of(tmp_path, {"m365": M365}), actor) as stage:
        refused = await stage.put("a@far.test")
        entry = await stage.settled(refused, "held")
        assert entry.recipients[0].hold_reason is HoldReason.SEND_AS
        assert stage.spool.outgoing.gate("m365") is None
        other = await stage.put("b@far.test")
        await stage.settled(other, "relayed")


async def test_people_hear_once_of_messages_that_wait_for_them(tmp_path: Path) -> None:
    refusing, other = Actor("m365", always=SEND_AS), Actor("other")
    settings = settings_of(
        tmp_path, {"m365": M365, "other": SMTP}, alerts={"to": ("it@clinic.test",), "upstream": "other"}
    )
    async with Stage(tmp_path, settings, refusing, other) as stage:
        ids = [await stage.put(f"{at}@far.test", candidates=("m365",)) for at in range(3)]
        for id_ in ids:
            await stage.settled(id_, "held")
        await until(lambda: other.offers, "the alert")
        await asyncio.sleep(0.2)  # long enough for what must not happen
        assert [parsed(one)["Subject"] for one in other.offers] == ["Relay: a message is held (send_as)"]
        assert any(id_.encode() in other.offers[0].octets for id_ in ids)


async def test_recipients_refused_with_a_full_mailbox_hold_nothing(tmp_path: Path) -> None:
    actor = Actor("m365", refuses({"a@far.test": said(554, "5.2.2 mailbox full")}))
    async with Stage(tmp_path, settings_of(tmp_path, {"m365": M365}), actor) as stage:
        id_ = await stage.put("a@far.test", "b@far.test")
        await stage.settled(id_, "failed", "relayed")
        assert stage.spool.outgoing.gate("m365") is None


async def test_an_operators_gate_is_not_probed_and_opens_within_a_second(tmp_path: Path) -> None:
    actor = Actor("isp")
    async with Stage(tmp_path, settings_of(tmp_path, {"isp": SMTP}), actor) as stage:
        await stage.spool.outgoing.hold(Gate("isp", HoldReason.OPERATOR, 0, None, None))
        id_ = await stage.put("a@far.test")
        stage.dispatcher.nudge("isp")
        await until(lambda: stage.dispatcher.state("isp").state.reason == "operator", "the gate")  # type: ignore[union-attr]
        assert (actor.probes, actor.offers) == (0, [])
        await stage.spool.outgoing.release("isp")
        released = time.monotonic()
        await stage.settled(id_, "relayed")
        assert time.monotonic() - released < 1.5


async def test_a_nudge_probes_at_once(tmp_path: Path) -> None:
    actor = Actor("isp", PASSWORD_REFUSED)
    settings = settings_of(tmp_path, {"isp": SMTP}, queue={"retry_first": 3600.0, "retry_most": 3600.0})
    async with Stage(tmp_path, settings, actor) as stage:
        id_ = await stage.put("a@far.test")
        await until(lambda: stage.spool.outgoing.gate("isp"), "the hold")
        stage.dispatcher.nudge("isp")
        await stage.settled(id_, "relayed")


async def test_people_hear_of_it_once_and_once_more_when_it_is_over(tmp_path: Path) -> None:
    held, other = Actor("m365", *[PASSWORD_REFUSED] * 4), Actor("other")
    settings = settings_of(tmp_path, {"m365": M365, "other": SMTP}, alerts={"to": ("it@clinic.test",)})
    async with Stage(tmp_path, settings, held, other) as stage:
        ids = [await stage.put(f"{at}@far.test") for at in range(3)]
        for id_ in ids:
            await stage.settled(id_, "relayed")
        await until(lambda: len(held.offers) == 4, "the last alert, by an upstream that is open")
        alerts = [*other.offers, held.offers[-1]]
        assert [parsed(one)["Subject"] for one in alerts] == ["Relay: m365 is held (auth)", "Relay: m365 works again"]
        assert {str(one.envelope.recipients[0].forward_path) for one in alerts} == {"it@clinic.test"}
        assert parsed(other.offers[0])["Auto-Submitted"] == "auto-generated"


async def test_people_hear_when_somebody_opens_the_gate(tmp_path: Path) -> None:
    held, other = Actor("m365", PASSWORD_REFUSED), Actor("other")
    queue = {"retry_first": 3600.0, "retry_most": 3600.0}
    settings = settings_of(tmp_path, {"m365": M365, "other": SMTP}, alerts={"to": ("it@clinic.test",)}, queue=queue)
    async with Stage(tmp_path, settings, held, other) as stage:
        id_ = await stage.put("a@far.test")
        await until(lambda: len(other.offers) == 1, "the alert")
        await stage.spool.outgoing.release("m365")
        await stage.settled(id_, "relayed")
        await until(lambda: len(held.offers) == 2, "the end of it")


async def test_nobody_hears_that_it_is_over_when_somebody_opens_the_gate_too_early(tmp_path: Path) -> None:
    held, other = Actor("m365", *[PASSWORD_REFUSED] * 3), Actor("other")
    queue = {"retry_first": 3600.0, "retry_most": 3600.0}
    settings = settings_of(tmp_path, {"m365": M365, "other": SMTP}, alerts={"to": ("it@clinic.test",)}, queue=queue)
    async with Stage(tmp_path, settings, held, other) as stage:
        id_ = await stage.put("a@far.test")
        for tries in range(1, 4):
            await until(lambda: stage.spool.outgoing.gate("m365"), "the hold")
            assert held.conversations == tries
            await stage.spool.outgoing.release("m365")
            await until(lambda: not held.script or stage.spool.outgoing.gate("m365"), "the next try")
        await stage.settled(id_, "relayed")
        await until(lambda: len(held.offers) + len(other.offers) == 3, "the end of it")
        told = [parsed(one)["Subject"] for one in (*other.offers, *held.offers[1:])]
        assert told == ["Relay: m365 is held (auth)", "Relay: m365 works again"]


async def test_a_complaint_that_lasts_becomes_a_hold(tmp_path: Path) -> None:
    refused = said(430, "4.2.0 STOREDRV; mailbox logon failure")
    conversation = Conversation(Phase.DONE, (RCPT_OK,), refused)
    outcomes = (outcome_for(Occasion("microsoft365", Stage_.DATA, refused)),)
    async with Stage(tmp_path, settings_of(tmp_path, {"m365": M365}), Actor("m365")) as stage:
        now = [time.time_ns() // 1_000_000]
        around = Surroundings(stage.settings, stage.spool.outgoing, Journal(stage.metrics), lambda: now[0])
        standing = Standing("m365", around, Alerts(around, lambda _: True, None))
        for minutes in (0, 30, 59):
            now[0] += minutes * 60_000
            assert standing.changed_by(conversation, outcomes)
            await standing.react(conversation, outcomes, trial=False)
            assert standing.gate is None
            if minutes == 30:
                # Once it works in between, patience begins anew.
                assert not standing.changed_by(taken(Envelope(None, ())), (Relayed(OK),))
        now[0] += 60_000 * 61
        await standing.react(conversation, outcomes, trial=False)
        assert _gate(stage, "m365").reason is HoldReason.LICENCE


async def test_a_quota_that_admits_one_now_and_then_is_told_once(tmp_path: Path) -> None:
    last = [0.0]

    def now_and_then(envelope: Envelope) -> Conversation:
        if not envelope.recipients or time.monotonic() - last[0] > 0.05:
            last[0] = time.monotonic() if envelope.recipients else last[0]
            return taken(envelope)
        return DAILY(envelope)

    m365, other = Actor("m365", always=now_and_then), Actor("other")
    alerts = {"to": ("it@clinic.test",), "upstream": "other"}
    settings = settings_of(tmp_path, {"m365": M365, "other": SMTP}, alerts=alerts, queue={"retry_most": 60.0})
    async with Stage(tmp_path, settings, m365, other) as stage:
        for at in range(20):
            await stage.put(f"{at}@far.test", candidates=("m365",))
        await until(lambda: (gate := stage.spool.outgoing.gate("m365")) and gate.probes >= 3, "pauses that grow")
        assert m365.probes >= 3, "it was open in between"
        subjects = [parsed(offer)["Subject"] for offer in other.offers]
        assert subjects == ["Relay: m365 is held (quota)", "Relay: m365 works again"]


async def test_a_webhook_hears_of_what_mail_tells(tmp_path: Path) -> None:
    heard: list[tuple[str, str, str]] = []
    settings = settings_of(tmp_path, {"m365": M365, "other": SMTP})
    async with Stage(tmp_path, settings, Actor("m365"), Actor("other")) as stage:
        around = Surroundings(settings, stage.spool.outgoing, Journal(stage.metrics))
        alerts = Alerts(
            around,
            lambda _: True,
            None,
            lambda shape: heard.append((shape["event"], shape["upstream"], shape["reason"])),
        )
        gate = Gate("m365", HoldReason.AUTH, 0, said(535, "5.7.8 No"), None)
        for _ in range(3):
            await alerts.held(gate)
            await alerts.stuck("other", None, 31)
        await alerts.over("m365")
        await alerts.over("m365")
        await alerts.held(gate)
        assert heard == [("held", "m365", "auth"), ("stuck", "other", "stuck"), ("over", "m365", "auth")]
        assert alerts.has_way()


async def test_what_an_operator_held_before_a_restart_ends_unsaid(tmp_path: Path) -> None:
    heard: list[str] = []
    settings = settings_of(tmp_path, {"isp": SMTP})
    async with Stage(tmp_path, settings, Actor("isp")) as stage:
        around = Surroundings(settings, stage.spool.outgoing, Journal(stage.metrics))
        alerts = Alerts(around, lambda _: True, None, lambda shape: heard.append(shape["event"]))
        alerts.known(Gate("isp", HoldReason.OPERATOR, 0, None, None))
        await alerts.over("isp")
        assert heard == []
        alerts.known(Gate("isp", HoldReason.AUTH, 0, None, None))
        await alerts.over("isp")
        assert heard == ["over"]
