"""Many wait for an upstream that takes none, or few: what is beyond its time is given up wherever it stands."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from relay.envelope import Notify
from relay.spool.records import Priority
from relay.spool.store import Spool
from relay.transfer import lane
from tests.contract.mail import arrival
from tests.transfer.actor import CONNECTION_REFUSED, PASSWORD_REFUSED, Actor, final, taken
from tests.transfer.stage import Stage, notify, settings_of, until

SMTP = {"type": "smtp", "host": "mx.provider.test"}


async def test_given_up_behind_many_that_have_time(tmp_path: Path) -> None:
    down, other = Actor("isp", always=CONNECTION_REFUSED), Actor("other")
    async with Stage(tmp_path, settings_of(tmp_path, {"isp": SMTP, "other": SMTP}), down, other) as stage:
        for at in range(120):
            await stage.put(f"{at}@far.test", priority=Priority.HIGH)
        last = await stage.put("last@far.test", give_up=0.5)
        entry = await stage.settled(last, "failed")
        assert "4.4.7" in str(entry.recipients[0].reply)
        await until(lambda: len(other.offers) == 1, "the bounce")


async def test_told_of_the_delay_behind_many_that_did_not_ask(tmp_path: Path) -> None:
    down, other = Actor("isp", always=CONNECTION_REFUSED), Actor("other")
    settings = settings_of(tmp_path, {"isp": SMTP, "other": SMTP}, queue={"delay_notice": 0.3})
    async with Stage(tmp_path, settings, down, other) as stage:
        first = await stage.put("first@far.test")
        for at in range(120):
            await stage.put(f"{at}@far.test")
        await stage.put(notify("asked@far.test", Notify.DELAY))
        last = await stage.put("last@far.test")
        await until(lambda: len(other.offers) == 1, "the delay notice")
        trials = down.conversations
        await until(lambda: down.conversations > trials + 2, "more trials")
        assert len(other.offers) == 1
        assert len(await stage.events(first)) >= trials, "it is tried again and again"
        down.always = taken
        await stage.settled(last, "relayed")
        order = [str(offer.envelope.recipients[0].forward_path) for offer in down.offers]
        assert order.index("first@far.test") < 20, "it waits longest, though it was tried last"
        assert order.index("asked@far.test") > 99, "nor does a notice change anybody's turn"


async def _waiting_since(days: int, tmp_path: Path, messages: int, candidates: tuple[str, ...]) -> list[str]:
    """Return the IDs of messages that a relay accepted so long ago, and has not touched since."""
    spool = await Spool.open("", tmp_path, reserve=0)
    at = time.time_ns() // 1_000_000 - days * 86_400_000
    late = [arrival(spool.intake.next_id(), at, client="app", upstream=candidates) for _ in range(messages)]
    for one in late:
        await spool.intake.put(one)
    await spool.aclose()
    return [one.id for one in late]


async def test_after_a_standstill_each_is_tried_once_more(tmp_path: Path) -> None:
    """A machine that was off for days, or whose clock leapt: nothing that can go now may be given up."""
    late = await _waiting_since(6, tmp_path, 150, ("isp",))
    isp = Actor("isp")
    async with Stage(tmp_path, settings_of(tmp_path, {"isp": SMTP}), isp) as stage:
        for id_ in late:
            await stage.settled(id_, "relayed")
        assert len(isp.offers) == 150


async def test_after_a_standstill_what_is_refused_is_given_up(tmp_path: Path) -> None:
    (late,) = await _waiting_since(6, tmp_path, 1, ("isp",))
    isp, other = Actor("isp", final(451, "4.3.2 Try again later")), Actor("other")
    async with Stage(tmp_path, settings_of(tmp_path, {"isp": SMTP, "other": SMTP}), isp, other) as stage:
        entry = await stage.settled(late, "failed")
        assert "4.4.7" in str(entry.recipients[0].reply)
        await until(lambda: len(isp.offers) + len(other.offers) == 2, "the attempt, and the bounce")


async def test_after_a_standstill_nothing_goes_behind_its_clients_deadline(tmp_path: Path) -> None:
    late = await _waiting_since(3, tmp_path, 150, ("isp", "other"))
    isp, other = Actor("isp"), Actor("other")
    settings = settings_of(tmp_path, {"isp": SMTP, "other": SMTP}, client={"deadline": "2d"})
    async with Stage(tmp_path, settings, isp, other) as stage:
        fresh = await stage.put("fresh@far.test")
        await stage.settled(fresh, "relayed")
        for id_ in late:
            await stage.settled(id_, "failed")
        await until(lambda: len(isp.offers) + len(other.offers) == 151, "the bounces")
        assert not any("patient" in str(offer.envelope.recipients[0].forward_path) for offer in isp.offers)


async def test_given_up_behind_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "_SWEEP", 100)
    isp, other = Actor("isp"), Actor("other")
    metered = SMTP | {"messages_per_minute": 1}
    settings = settings_of(tmp_path, {"isp": metered, "other": SMTP}, queue={"delay_notice": 0.1})
    async with Stage(tmp_path, settings, isp, other) as stage:
        await stage.settled(await stage.put("first@far.test", candidates=("isp",)), "relayed")
        await stage.put(notify("waits@far.test", Notify.DELAY), candidates=("isp",))
        late = await stage.put("late@far.test", give_up=0.2, candidates=("isp",))
        await stage.settled(late, "failed")
        assert len(isp.offers) == 1
        assert len(await stage.queue()) == 2, "what waits, and the bounce; nobody is told of a delay behind a limit"


@pytest.mark.parametrize("way", ["other", None])
async def test_told_of_the_delay_while_held_and_nothing_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str | None
) -> None:
    monkeypatch.setattr(lane, "_SWEEP_HELD", 50)
    held, other = Actor("isp", always=PASSWORD_REFUSED), Actor("other")
    queue = {"delay_notice": 1.5, "retry_most": 0.1}
    settings = settings_of(tmp_path, {"isp": SMTP, "other": SMTP}, queue=queue, alerts={"upstream": way} if way else {})
    async with Stage(tmp_path, settings, held, other) as stage:
        asked = await stage.put(notify("asked@far.test", Notify.DELAY), candidates=("isp",))
        await stage.put("quiet@far.test", candidates=("isp",))
        late = await stage.put(notify("late@far.test", Notify.DELAY | Notify.FAILURE), give_up=1.0, candidates=("isp",))
        if way:
            await until(lambda: len(other.offers) == 1, "the delay notice")
        beyond = time.monotonic() + 2.0
        await until(lambda: time.monotonic() > beyond, "the time to give up, and to tell")
        assert [str(offer.envelope.recipients[0].forward_path) for offer in other.offers] == ["app@clinic.test"] * bool(
            way
        )
        assert "failed" not in await stage.events(late)
        held.always = taken
        for id_ in (asked, late):
            await stage.settled(id_, "relayed")
