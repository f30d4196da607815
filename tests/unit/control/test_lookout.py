"""What people are told of, how often, and what is remembered of it over restarts."""

import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from relay.config.settings import Settings
from relay.control.alert_memory import NAME, AlertMemory, Told
from relay.control.expiry import Expiry
from relay.control.lookout import Lookout
from relay.journal import Journal
from relay.metrics import Metrics
from relay.transfer.dispatcher import UpstreamState
from relay.transfer.standing import State
from relay.transfer.throttle import Quota

DAY = 86_400_000
NOW = 1_700_000_000_000
SETTINGS = Settings.model_validate(
    {
        "hostname": "relay.clinic.test",
        "upstream": {"isp": {"type": "smtp", "host": "mail.isp.test"}},
        "client": {"app": {"networks": ["10.0.0.0/8"], "upstream": "isp"}},
    }
)


@dataclass
class Board:
    """What ends and what is used, as a test says it."""

    ends: list[Expiry] = field(default_factory=list)
    used: dict[str, Quota] = field(default_factory=dict)

    async def expiring(self) -> Sequence[Expiry]:
        return self.ends

    def upstream(self, name: str) -> UpstreamState | None:
        return UpstreamState(State("open"), 0, self.used, 0)


@dataclass
class Heard:
    """Who is told, and writes it down."""

    way: bool = True
    lines: list[str] = field(default_factory=list)

    def has_way(self) -> bool:
        return self.way

    async def ends(self, what: str, kind: str, upstream: str | None, expires_at: int, *, by_mail_only: bool) -> bool:
        self.lines.append(f"{what} {kind} {upstream}" + (" by mail" if by_mail_only else ""))
        return self.way

    async def renewed(self, what: str, kind: str, upstream: str | None, expires_at: int, before_at: int) -> None:
        self.lines.append(f"{what} renewed by {(expires_at - before_at) // DAY} days")

    async def nearly_used(self, upstream: str, quota: str, used: int, limit: int) -> None:
        self.lines.append(f"{upstream} {quota} {used} of {limit}")


class Office:
    """A lookout in a folder, with a clock that a test moves; `restart` keeps nothing but the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.board, self.heard = Board(), Heard()
        self.now = NOW
        self.restart()

    def restart(self) -> None:
        self.memory = AlertMemory(self.folder, Journal(Metrics("0")))
        self.memory.load()
        self.lookout = Lookout(lambda: SETTINGS, self.board, self.heard, self.memory, lambda: self.now)

    async def told(self, days: float = 0.0) -> list[str]:
        """What is told by looking once, so many days later."""
        self.now += round(days * DAY)
        self.heard.lines.clear()
        await self.lookout.look()
        return list(self.heard.lines)


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def certificate(days: float, what: str = "tls") -> Expiry:
    return Expiry(what, "certificate", NOW + round(days * DAY), None if what == "tls" else what)


async def test_a_thing_is_told_of_once_a_mark(office: Office) -> None:
    office.board.ends = [certificate(20)]
    assert await office.told() == []
    line = ["tls certificate None"]
    for days, expected in ((5, []), (1, line), (0.1, []), (7, line), (0.1, []), (6, line), (0.5, []), (0.5, line)):
        assert await office.told(days) == expected, office.now
    assert await office.told(30) == []


async def test_a_restart_repeats_nothing(office: Office) -> None:
    office.board.ends = [certificate(5), certificate(-1, "isp")]
    assert len(await office.told()) == 2
    office.restart()
    assert await office.told() == []
    assert await office.told(4.5) == ["tls certificate None"]
    office.restart()
    assert await office.told() == []


async def test_each_thing_has_marks_of_its_own(office: Office) -> None:
    office.board.ends = [certificate(5)]
    await office.told()
    office.board.ends.append(certificate(5, "isp"))
    assert await office.told() == ["isp certificate isp"]


async def test_its_renewal_is_told_once_and_a_new_end_again(office: Office) -> None:
    office.board.ends = [certificate(5)]
    await office.told()
    office.board.ends = [certificate(95)]
    assert await office.told() == ["tls renewed by 90 days"]
    office.restart()
    assert await office.told() == []
    assert await office.told(85) == ["tls certificate None"]


async def test_a_renewal_for_too_short_is_told_as_an_end(office: Office) -> None:
    office.board.ends = [certificate(1)]
    await office.told()
    office.board.ends = [certificate(8)]
    assert await office.told() == ["tls certificate None"]
    assert await office.told() == []


async def test_what_cannot_be_read_for_a_while_is_not_told_anew(office: Office) -> None:
    office.board.ends = [certificate(5)]
    await office.told()
    office.board.ends = []
    assert await office.told() == []
    office.board.ends = [certificate(5)]
    assert await office.told() == []


async def test_a_day_that_nobody_knows_is_never_told(office: Office) -> None:
    office.board.ends = [Expiry("upstream.gmail", "app_password", None, "gmail", NOW - 999 * DAY)]
    assert await office.told(1000) == []


async def test_a_mail_without_a_way_follows_once_and_alone(office: Office) -> None:
    office.board.ends = [certificate(5)]
    office.heard.way = False
    assert await office.told() == ["tls certificate None"]
    assert await office.told() == []
    office.restart()
    assert await office.told() == []
    office.heard.way = True
    assert await office.told() == ["tls certificate None by mail"]
    assert await office.told() == []


async def test_a_daily_limit_is_told_of_once_in_its_window(office: Office) -> None:
    office.board.used = {"recipients_per_day": Quota(79, 100), "messages_per_minute": Quota(30, 30)}
    assert await office.told() == []
    office.board.used["recipients_per_day"] = Quota(80, 100)
    assert await office.told() == ["isp recipients_per_day 80 of 100"]
    office.board.used["recipients_per_day"] = Quota(99, 100)
    assert await office.told(0.5) == []
    office.restart()
    assert await office.told(0.4) == []
    assert await office.told(0.1) == ["isp recipients_per_day 99 of 100"]


async def test_the_file_is_private_and_written_only_where_something_was_told(office: Office) -> None:
    file = office.folder / NAME
    await office.told()
    assert not file.exists()
    office.board.ends = [certificate(5)]
    await office.told()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    kept = file.stat().st_ino
    await office.told()
    assert file.stat().st_ino == kept


@pytest.mark.parametrize("octets", [b"", b"{", b"[]", b'{"ends": {"tls": 5}, "quotas": {}}', b'{"ends": {}}', b"\xff"])
async def test_a_damaged_file_is_as_good_as_none(office: Office, octets: bytes) -> None:
    (office.folder / NAME).write_bytes(octets)
    office.restart()
    office.board.ends = [certificate(5)]
    assert await office.told() == ["tls certificate None"]
    office.restart()
    assert office.memory.ends == {"tls": Told(NOW + 5 * DAY, 7 * 86400.0, mailed=True)}


async def test_a_file_that_cannot_be_written_repeats_nothing_while_the_process_lives(tmp_path: Path) -> None:
    office = Office(tmp_path / "missing")
    office.board.ends = [certificate(5)]
    assert await office.told() == ["tls certificate None"]
    assert await office.told() == []
