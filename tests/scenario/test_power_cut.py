"""The power goes at any moment since the first start: what got 250 is there, nothing is half, outcomes stay known.

A kill leaves what the kernel was given; a power cut only what was synced. POWER_CUTS says how many moments are tried.
"""

import asyncio
import os
import re
import secrets
import smtplib
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from relay.spool.contract import SpoolError
from relay.spool.store import Spool
from tests.rig.power import Disk, Step, recording, steps_in
from tests.rig.relay import RelayProcess
from tests.rig.scripted import ScriptedServer
from tests.rig.waiting import wait_until
from tests.scenario.conftest import plain_settings
from tests.soak.audit import faults_of, identifiers_in

pytestmark = pytest.mark.peer

CUTS = int(os.environ.get("POWER_CUTS", "24"))
_SENDER = "no-reply@clinic.test"
_QUEUED = re.compile(rb"250 2\.0\.0 Ok: queued as (\w+)()")
_RELAYED = re.compile(rb'"event": ?"relayed".*?"id": ?"(\w+)"|"id": ?"(\w+)"[^\n]*"event": ?"relayed"')
_SAFE_AFTER = 0.5
"""Seconds after which an outcome outlasts a power cut: 50 ms are promised, to a machine with nothing else to do."""


def _load(relay: RelayProcess, provider: ScriptedServer) -> None:
    """Some sessions at once, with content of every kind; a third of it is refused by the upstream at first."""

    def session(number: int) -> None:
        with smtplib.SMTP("127.0.0.1", relay.port(), timeout=60) as connection:
            for count, size in enumerate((300, 5_000, 40_000, 5_000, 1_300_000 if number == 0 else 700)):
                body = ("x" * 70 + "\r\n") * (size // 72)
                connection.sendmail(_SENDER, f"{number}.{count}@example.test", f"Subject: {number}\r\n\r\n{body}")

    provider.script.then("BODY", "451 4.3.0 Later", "250 Ok", "250 Ok", "452 4.3.1 Full", "250 Ok", "451 4.3.0 Later")
    threads = [threading.Thread(target=session, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_until(lambda: len(provider.accepted) == 20, "all to be relayed")
    wait_until(lambda: not relay.metric("relay_queue_recipients"), "an empty queue")


def _said(steps: list[Step], to: tuple[str, ...], text: re.Pattern[bytes]) -> list[tuple[Step, str]]:
    heard = [step for step in steps if step.paths[0].startswith(to)]
    return [(step, (found[1] or found[2]).decode()) for step in heard for found in text.finditer(step.octets)]


async def _open(folder: Path) -> None:
    spool = await Spool.open(f"sqlite:///{folder}/queue.db", folder, node="node-1", reserve=0)
    await spool.aclose()


def _faults(folder: Path, promised: set[str], relayed: set[str]) -> list[str]:
    before = sqlite3.connect(folder / "queue.db")
    with closing(before):
        faults = faults_of(before) if promised else []
    asyncio.run(_open(folder))
    with closing(sqlite3.connect(folder / "queue.db")) as spool:
        faults += faults_of(spool)
        lost = promised - identifiers_in(spool)
        waiting = "SELECT DISTINCT message FROM recipients WHERE state <> 'relayed'"
        again = relayed & {row[0] for row in spool.execute(waiting)}
    return faults + [f"lost: {one}" for one in sorted(lost)] + [f"would be sent again: {one}" for one in sorted(again)]


def _put_down(image: dict[str, bytes], folder: Path) -> None:
    folder.mkdir(parents=True)
    for name, octets in image.items():
        (folder / name).write_bytes(octets)


def test_nothing_is_lost_when_the_power_goes(provider: ScriptedServer, tmp_path: Path) -> None:
    seed = os.environ.get("SOAK_SEED") or secrets.token_hex(4)
    chance, trace = Random(seed), tmp_path / "trace"  # noqa: S311 - not for secrets
    with RelayProcess(tmp_path / "relay", plain_settings(provider.port), under=recording(trace)) as relay:
        _load(relay, provider)
        assert relay.process is not None
        assert relay.terminate() == 0
        steps = steps_in(trace, relay.process.pid)
    disk = Disk(relay.state_dir, steps)
    promised = _said(steps, ("socket:", "TCP"), _QUEUED)
    relayed = _said(steps, (str(relay.folder / "relay.log"),), _RELAYED)
    assert (len(promised), len({one for _, one in relayed})) == (20, 20)
    faults: list[str] = []
    moments = [*(step.began + 1 for step, _ in promised), *disk.places]
    for number in range(CUTS):
        place = chance.choice(moments[:20] if number % 2 else moments)
        folder = tmp_path / "images" / str(number)
        _put_down(disk.after_a_cut(place, chance), folder)
        at = next((step.at for step in reversed(steps) if step.began < place), 0.0)
        known = {one for step, one in relayed if step.at < at - _SAFE_AFTER}
        due = {one for step, one in promised if step.began < place}
        try:
            found = _faults(folder, due, known)
        except (sqlite3.DatabaseError, SpoolError) as error:
            found = [str(error)]
        faults += [f"seed {seed}, cut {number} at {place}: {fault}" for fault in found]
    assert not faults, "\n".join(faults[:20])
