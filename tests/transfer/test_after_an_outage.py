"""An upstream comes back after two days: what waits goes by priority and age, and no other upstream waits for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from relay.spool.records import Priority
from relay.transfer import throttle
from tests.rig.seeding import hold, seed
from tests.transfer.actor import Actor, Offer
from tests.transfer.stage import Stage, settings_of, until

SMTP = {"type": "smtp", "host": "mx.provider.test"}
TWO_DAYS = 2 * 86_400_000


def _outage(folder: Path, normal: int, other: int) -> None:
    """Mail of two days that waits for a held upstream: normal, and some of each other priority put last."""
    since = time.time_ns() // 1_000_000 - TWO_DAYS
    seed(folder, normal, size=100, client="app", accepted_at=since)
    seed(folder, other, size=100, client="app", accepted_at=since + TWO_DAYS // 2, priority=Priority.BULK)
    seed(folder, other, size=100, client="app", accepted_at=since + TWO_DAYS // 2, priority=Priority.HIGH)
    hold(folder)


@asynccontextmanager
async def _back(folder: Path, away: Actor, other: Actor, **limits: int) -> AsyncIterator[Stage]:
    """Everything at work again, the upstream released."""
    settings = settings_of(folder, {"away": SMTP | {"max_connections": 3} | limits, "other": SMTP})
    async with Stage(folder, settings, away, other) as stage:
        assert await stage.spool.outgoing.release("away")
        yield stage


def _number(offer: Offer) -> int:
    return int(offer.envelope.recipients[0].forward_path.local_part.removeprefix("patient"))


async def test_by_priority_and_age_while_others_go_on(tmp_path: Path) -> None:
    await asyncio.to_thread(_outage, tmp_path, 600, 60)
    away, other = Actor("away"), Actor("other")
    async with _back(tmp_path, away, other) as stage:
        before_all_went = 0
        while len(away.offers) < 720:
            id_ = await stage.put("a@far.test", candidates=("other",))
            await stage.settled(id_, "relayed")
            before_all_went += len(away.offers) < 720
        assert before_all_went >= 5, "other mail has its turn all the time"
    order = [_number(offer) for offer in away.offers]
    expected = [*range(60), *range(600), *range(60)]
    # As many at once as there are connections, and claims of as many again: none is further out of line.
    near = [at for at, (got, wanted) in enumerate(zip(order, expected, strict=True)) if abs(got - wanted) <= 15]
    assert len(near) >= 720 - 4 * 15, "high first, then normal, then bulk, each by age"
    assert sorted(order) == sorted(expected), "each of them once"


async def test_within_the_limits_of_the_provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty messages a minute and three connections, with a minute of one second."""
    monkeypatch.setattr(throttle, "MINUTE", 1000)
    await asyncio.to_thread(_outage, tmp_path, 400, 20)
    away, other = Actor("away"), Actor("other")
    async with _back(tmp_path, away, other, messages_per_minute=30) as stage:
        began = time.monotonic()
        await until(lambda: len(away.offers) >= 70, "a part of it")
        took = time.monotonic() - began
        ids = [await stage.put(f"{at}@far.test", candidates=("other",)) for at in range(50)]
        for id_ in ids:
            await stage.settled(id_, "relayed")
        assert took >= 2.9, "thirty at once, and thirty more each minute and its margin"
        assert away.most_open <= 3
    starts = sorted(offer.at for offer in away.offers)
    for first, thirty_first in zip(starts, starts[30:], strict=False):
        assert thirty_first - first >= 0.99, "never more than thirty in a minute"
    order = [_number(offer) for offer in away.offers]
    assert max(order[:20]) <= 22, "high first"
    assert max(order) <= len(order) - 20 + 3, "then the oldest"
