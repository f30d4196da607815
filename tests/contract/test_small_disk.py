"""A disk that is nearly full: mail is refused while enough is left for what settling writes."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

import relay.spool.room
from relay.spool.contract import Draft, SpoolError
from relay.spool.store import Spool
from tests.contract.conftest import until
from tests.contract.mail import Clock, arrival, relayed

DISK = 24 * 1024 * 1024
RESERVE = 4 * 1024 * 1024


def _used(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on a disk of 24 MiB, as far as the spool can see."""

    def statvfs(_: object) -> SimpleNamespace:
        return SimpleNamespace(f_bavail=max(0, DISK - _used(tmp_path)), f_frsize=1)

    monkeypatch.setattr(relay.spool.room, "os", SimpleNamespace(statvfs=statvfs))
    assert os.statvfs(tmp_path).f_frsize > 1
    return tmp_path


async def _refused(spool: Spool, clock: Clock, octets: int) -> int:
    for accepted in range(10_000):
        try:
            await spool.intake.put(arrival(spool.intake.next_id(), clock(), content=b"x" * octets))
        except SpoolError:
            return accepted
    raise AssertionError("nothing was refused")


async def _write_on(draft: Draft) -> None:
    for _ in range(100):
        await draft.write(b"x" * 1_000_000)


@pytest.mark.parametrize("octets", [20_000, 1_000_000])
async def test_mail_that_comes_fast_leaves_the_reserve(disk: Path, clock: Clock, octets: int) -> None:
    spool = await Spool.open("", disk, reserve=RESERVE, clock=clock)
    most = 0
    try:
        accepted = await _refused(spool, clock, octets)
        assert accepted * octets > DISK // 10
        while claims := await spool.outgoing.claim("office365", 1, 1):
            most = max(most, _used(disk))
            await spool.outgoing.settle(claims[0], relayed(claims[0]), [])
            accepted -= 1
        assert most < DISK
        assert accepted == 0
        # It takes mail again by itself, as much as before: the room of what was sent is given back.
        await until(lambda: _used(disk) < DISK // 3)
        assert await _refused(spool, clock, octets) * octets > DISK // 10
    finally:
        await spool.aclose()


async def test_a_draft_ends_at_the_reserve(disk: Path, clock: Clock) -> None:
    spool = await Spool.open("", disk, reserve=RESERVE, clock=clock)
    try:
        draft = spool.intake.draft()
        with pytest.raises(SpoolError) as refused:
            await _write_on(draft)
        assert refused.value.full
        assert _used(disk) < DISK
        await draft.discard()
        await until(lambda: spool.intake.refusal() is None)
    finally:
        await spool.aclose()
