"""A provider's limits by an injected clock: ten minutes and three days, with restarts and complaints in between."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from relay.journal import Journal
from relay.metrics import Metrics
from relay.spool.store import Spool
from relay.transfer.meter import Meter
from relay.transfer.pace import Pace
from relay.transfer.throttle import DAY, MINUTE, Limits
from tests.limits.windows import most_within

BEGAN = 1_700_000_000_000


@dataclass(slots=True)
class Provider:
    """Sends as the transfer stage does, and counts as a provider would, by the true time `at`.

    `astray` is how far the machine's clock is from it; it is set only while the process is down.
    """

    spool: Spool
    limits: Limits
    connections: int = 3
    chance: random.Random = field(default_factory=lambda: random.Random(1))  # noqa: S311 - a test
    at: int = BEGAN
    astray: int = 0
    mails: list[tuple[float, int]] = field(default_factory=list)
    busy_until: list[int] = field(default_factory=list)
    most_open: int = 0
    metrics: Metrics = field(default_factory=lambda: Metrics("test"))
    meter: Meter = field(init=False)
    pace: Pace = field(init=False)

    async def start(self) -> None:
        """A process begins; what the one before had open is gone."""
        self.busy_until.clear()
        self.pace = Pace(self.connections)
        self.meter = Meter("isp", self.limits, self.spool.outgoing, Journal(self.metrics), self.clock)
        await self.meter.load()

    def clock(self) -> int:
        return self.at + self.astray

    async def send_until(
        self, end: int, recipients: tuple[int, ...], seconds: tuple[float, ...], complaints: float
    ) -> None:
        """Work off a queue that never ends."""
        while self.at < end:
            self.busy_until = [until for until in self.busy_until if until > self.at]
            count = self.chance.choice(recipients)
            if len(self.busy_until) < self.pace.allowed(self.clock()):
                opens_at = self.meter.opens_at(count) - self.astray
                if opens_at <= self.at:
                    await self._send(count, self.chance.choice(seconds), complaints)
                    continue
                following = [opens_at, *self.busy_until]
            else:
                following = [*self.busy_until, self.pace.capped_until - self.astray]
            self.at = min(instant for instant in (*following, end) if instant > self.at)

    async def _send(self, count: int, seconds: float, complaints: float) -> None:
        await self.meter.admit(count)
        self.mails.append((self.at, count))
        if self.chance.random() < complaints:
            self.pace.slow_down(len(self.busy_until) + 1, self.clock(), 5.0)
        self.busy_until.append(self.at + round(1000 * seconds))
        self.most_open = max(self.most_open, len(self.busy_until))

    def used(self, quota: str) -> float:
        """The gauge of a limit, as /metrics shows it."""
        self.meter.tell()
        shown = self.metrics.registry.get_sample_value(
            "relay_upstream_quota_used_ratio", {"upstream": "isp", "quota": quota}
        )
        assert shown is not None
        return shown


@pytest.fixture
async def spool(tmp_path: Path) -> AsyncIterator[Spool]:
    opened = await Spool.open("", tmp_path)
    yield opened
    await opened.aclose()


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    ("seconds", "restarts", "astray", "complaints", "least"),
    [
        # A minute is half a second longer here than there, so ten minutes have nine windows and the begin of a tenth.
        pytest.param((0.2,), (), 0, 0.0, 298, id="steadily"),
        pytest.param((0.0, 0.3, 2.0, 9.0), (), 0, 0.0, 250, id="unevenly"),
        pytest.param((0.3,), (37, 38, 200, 201, 455), 0, 0.0, 298, id="with restarts"),
        pytest.param((0.3,), (59, 120, 300), -45_000, 0.0, 200, id="with the clock set back"),
        pytest.param((0.5, 1.0), (150,), 0, 0.1, 250, id="with complaints"),
        pytest.param((20.0,), (), 0, 0.0, 85, id="slowly"),
    ],
)
async def test_ten_minutes(
    spool: Spool,
    seed: int,
    seconds: tuple[float, ...],
    restarts: tuple[int, ...],
    astray: int,
    complaints: float,
    least: int,
) -> None:
    provider = Provider(spool, Limits(messages_per_minute=30), chance=random.Random(seed))  # noqa: S311
    await provider.start()
    for restart in (*restarts, 600):
        await provider.send_until(BEGAN + 1000 * restart, (1,), seconds, complaints)
        provider.astray += astray
        await provider.start()
    assert provider.most_open <= 3
    assert most_within(MINUTE, provider.mails) <= 30
    assert len(provider.mails) >= least, "the limit is used as well as kept"


@pytest.mark.parametrize("connections", [1, 2, 3])
async def test_a_complaint_makes_one_connection_less_for_a_while(spool: Spool, connections: int) -> None:
    provider = Provider(spool, Limits(), connections)
    await provider.start()
    provider.pace.slow_down(connections, provider.clock(), 5.0)
    await provider.send_until(BEGAN + 4_900, (1,), (0.5,), 0.0)
    assert provider.most_open == max(1, connections - 1)
    await provider.send_until(BEGAN + 10_000, (1,), (0.5,), 0.0)
    assert provider.most_open == connections


@pytest.mark.parametrize("restarts", [(), (3, 20, 23, 24, 25, 47)], ids=["at one go", "with restarts"])
async def test_recipients_of_three_days(spool: Spool, restarts: tuple[int, ...]) -> None:
    hour = 60 * MINUTE
    provider = Provider(spool, Limits(messages_per_minute=30, recipients_per_day=10_000))
    await provider.start()
    for restart in (*restarts, 72):
        await provider.send_until(BEGAN + restart * hour, (1, 80, 500), (30.0,), 0.0)
        await provider.start()
    assert most_within(DAY, provider.mails) <= 10_000
    assert most_within(MINUTE, ((at, 1) for at, _ in provider.mails)) <= 30
    assert sum(count for _, count in provider.mails) >= 28_500, "the limit is used as well as kept"


async def test_the_gauge_goes_up_with_use_and_down_when_the_day_is_over(spool: Spool) -> None:
    provider = Provider(spool, Limits(messages_per_minute=30, recipients_per_day=1000))
    await provider.start()
    assert provider.used("recipients_per_day") == 0
    await provider.meter.admit(400)
    provider.at += 10 * MINUTE
    await provider.meter.admit(400)
    assert provider.used("recipients_per_day") == 0.8
    assert provider.used("messages_per_minute") == 1 / 30
    await provider.start()
    assert provider.used("recipients_per_day") == 0.8, "over a restart"
    provider.at += MINUTE + 1000
    assert provider.used("messages_per_minute") == 0
    provider.at = BEGAN + DAY + 1000
    assert provider.used("recipients_per_day") == 0.4
    provider.at += 10 * MINUTE
    assert provider.used("recipients_per_day") == 0
