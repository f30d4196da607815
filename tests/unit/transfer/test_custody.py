"""Leases by the clock, and the counting of uses."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest

from relay.journal import Journal
from relay.metrics import Metrics
from relay.spool.contract import Outgoing, SpoolError
from relay.spool.records import Claim, Use
from relay.transfer.custody import Custody
from relay.transfer.meter import Meter
from relay.transfer.throttle import MINUTE, Limits
from tests.unit.transfer.made import ACCEPTED_AT, claim

LEASED = 60_000


class _Spool:
    """The four methods that are asked here."""

    def __init__(self) -> None:
        self.held: set[str] = {"token"}
        self.uses_now: list[Use] = []
        self.troubles = 0

    async def renew(self, claims: Sequence[Claim]) -> set[str]:
        if self.troubles:
            raise SpoolError("locked")
        return self.held & {one.lease.token for one in claims}

    async def record_use(self, upstream: str, use: Use) -> None:
        if self.troubles:
            self.troubles -= 1
            raise SpoolError("locked")
        self.uses_now.append(use)

    async def uses(self, upstream: str, since_at: int) -> Sequence[Use]:
        return [use for use in self.uses_now if use.at >= since_at]


class _Clock:
    def __init__(self) -> None:
        self.now = ACCEPTED_AT

    def __call__(self) -> int:
        return self.now


async def test_a_lease_holds_until_shortly_before_its_end() -> None:
    clock = _Clock()
    custody = Custody(cast("Outgoing", _Spool()), clock)
    offered = claim()
    assert not custody.valid(offered)
    custody.take([offered])
    clock.now += LEASED - 2001
    assert custody.valid(offered)
    clock.now += 1
    assert not custody.valid(offered)


async def test_a_renewed_lease_holds_on_and_a_lost_one_does_not() -> None:
    clock, spool = _Clock(), _Spool()
    custody = Custody(cast("Outgoing", spool), clock)
    offered = claim()
    custody.take([offered])
    clock.now += 50_000
    await custody.renew()
    clock.now += 50_000
    assert custody.valid(offered)
    spool.held.clear()
    await custody.renew()
    assert not custody.valid(offered)


async def test_a_spool_in_trouble_confirms_nothing() -> None:
    clock, spool = _Clock(), _Spool()
    custody = Custody(cast("Outgoing", spool), clock)
    offered = claim()
    custody.take([offered])
    spool.troubles = 1
    clock.now += 20_000
    with pytest.raises(SpoolError):
        await custody.renew()
    assert custody.valid(offered)
    clock.now += 40_000
    assert not custody.valid(offered)
    custody.end(offered)
    assert len(custody) == 0


def _meter(spool: _Spool, clock: _Clock, limits: Limits) -> Meter:
    return Meter("isp", limits, cast("Outgoing", spool), Journal(Metrics("test")), clock)


async def test_without_limits_nothing_is_counted() -> None:
    spool = _Spool()
    meter = _meter(spool, _Clock(), Limits())
    await meter.load()
    await meter.admit(5)
    assert spool.uses_now == []
    assert meter.room() == (None, None)


async def test_each_use_is_recorded_before_it_is_admitted() -> None:
    spool, clock = _Spool(), _Clock()
    meter = _meter(spool, clock, Limits(2, 10))
    await meter.load()
    await meter.admit(4)
    await meter.admit(5)
    assert spool.uses_now == [Use(ACCEPTED_AT, 1, 4), Use(ACCEPTED_AT, 1, 5)]
    assert meter.room() == (0, 1)
    assert meter.opens_at() == ACCEPTED_AT + MINUTE + 500


async def test_uses_of_the_process_before_count() -> None:
    spool, clock = _Spool(), _Clock()
    spool.uses_now = [Use(ACCEPTED_AT - 30_000, 1, 4), Use(ACCEPTED_AT + 3_600_000, 1, 1)]
    meter = _meter(spool, clock, Limits(2, 10))
    await meter.load()
    assert meter.room() == (0, 5)
    clock.now += 60_500
    assert meter.room() == (2, 5), "a use of the future was taken for one of now"


async def test_who_waits_when_the_limits_change_goes_by_the_new_ones() -> None:
    spool, clock = _Spool(), _Clock()
    meter = _meter(spool, clock, Limits(messages_per_minute=2))
    await meter.admit(1)
    await meter.admit(1)
    waiting = {asyncio.create_task(meter.admit(1)) for _ in range(3)}
    await asyncio.sleep(0)
    meter.change(Limits(messages_per_minute=1))
    clock.now += 60_500
    _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    assert (len(spool.uses_now), len(waiting), meter.room()) == (3, 2, (0, None))
    meter.change(Limits())
    await asyncio.gather(*waiting)
    assert meter.room() == (None, None)


async def test_a_use_on_its_way_to_the_record_while_the_limits_change_counts() -> None:
    spool = _Spool()
    meter = _meter(spool, _Clock(), Limits(messages_per_minute=3))
    record, read, recorded = spool.record_use, spool.uses, asyncio.Event()

    async def record_later(upstream: str, use: Use) -> None:
        await recorded.wait()
        await record(upstream, use)

    async def read_before(upstream: str, since_at: int) -> Sequence[Use]:
        before = list(await read(upstream, since_at))
        recorded.set()
        await admitted
        return before

    await meter.load()
    spool.record_use = record_later  # type: ignore[method-assign]
    admitted = asyncio.create_task(meter.admit(1))
    await asyncio.sleep(0)
    meter.change(Limits(messages_per_minute=2))
    spool.uses = read_before  # type: ignore[method-assign]
    await meter.load()
    assert meter.room() == (1, None)


@pytest.mark.parametrize("limits", [Limits(60), Limits(messages_per_hour=3600), Limits(recipients_per_day=86400)])
def test_the_pause_between_messages_is_told_by_each_limit(limits: Limits) -> None:
    assert _meter(_Spool(), _Clock(), limits).load_of(1, open_now=True).pause == 1000


async def test_what_cannot_be_counted_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.transfer.meter._SPOOL_PAUSE", 0.01)
    spool = _Spool()
    spool.troubles = 3
    meter = _meter(spool, _Clock(), Limits(messages_per_minute=2))
    admitted = asyncio.create_task(meter.admit(1))
    await asyncio.sleep(0)
    assert not admitted.done()
    await admitted
    assert len(spool.uses_now) == 1
    assert spool.troubles == 0
