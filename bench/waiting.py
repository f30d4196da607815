"""What a long queue costs: `python -m bench.waiting [--count N] [--pairs N] [--seconds N] [--folder STATE_DIR]`.

Two relays, one with an empty spool and one with so many messages of 1 KiB waiting for a held upstream, take turns to
relay mail for another upstream. A folder that was seeded before is used again.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.cells import Cell
from bench.figures import Spread, spread
from bench.load import Throughput, by_smtp_source
from bench.machine import use_disk
from bench.rounds import SETTLING, turns
from bench.sinks import Sink, SmtpSink
from bench.starting import started
from bench.systems import Cost, cost_of
from tests.rig.ports import free_port
from tests.rig.relay import RelayProcess
from tests.rig.seeding import hold, seed

_CELL = Cell("waiting", "4 KiB, 20 sessions, reused")
_TRIAL = 1000
_STARTS = 5
_SCRAPES = 11


@dataclass(frozen=True, slots=True)
class Side:
    """One relay of the two: seconds to /readyz (median), octets resident after the load (PSS), seconds of /metrics."""

    start: float
    memory: int
    scrape: float
    longest_scrape: float


@dataclass(frozen=True, slots=True)
class Backlog:
    """What `count` waiting messages cost: throughput as a share of the empty spool's, by pairs of rounds."""

    count: int
    accepted: Spread
    relayed: Spread
    empty: Side
    waiting: Side


class WaitingRelay:
    """A relay with one open upstream, and one that mail waits for."""

    def __init__(self, folder: Path, sink: int, state_dir: Path) -> None:
        open_now = {"host": "127.0.0.1", "security": "none", "auth": "none", "type": "smtp", "max_connections": 20}
        settings = {
            "state_dir": str(state_dir),
            "listener": {"in": {"security": "none", "max_connections": 1000}},
            "client": {"any": {"networks": ["127.0.0.0/8"], "upstream": "sink", "max_waiting": 10_000_000}},
            "upstream": {"sink": open_now | {"port": sink}, "away": open_now | {"port": free_port()}},
        }
        self.process = RelayProcess(folder, settings)

    def starts(self) -> float:
        """Start it some times, the last of them for good; the median of seconds until /readyz says 200."""
        seconds = []
        for _ in range(_STARTS):
            self.stop()
            seconds.append(started(self.process))
        return statistics.median(seconds)

    def stop(self) -> None:
        """End it, where it runs."""
        if self.process.process is not None and self.process.process.poll() is None:
            self.process.terminate()

    def cost(self) -> Cost:
        """So far."""
        assert self.process.process is not None
        return cost_of(self.process.process.pid)

    def send(self, sink: Sink, messages: int) -> Throughput:
        """Relay so many for the open upstream, and let it end its work on them."""
        throughput = by_smtp_source(_CELL, self.process.port("in"), sink, messages)
        time.sleep(SETTLING)
        return throughput

    def side(self, start: float) -> Side:
        """What it takes now."""
        scrapes = sorted(self._scrape() for _ in range(_SCRAPES))
        return Side(start, self.cost().memory, statistics.median(scrapes), scrapes[-1])

    def _scrape(self) -> float:
        begun = time.monotonic()
        status, _ = self.process.http("/metrics")
        assert status == 200
        return time.monotonic() - begun


def measure_waiting(count: int, pairs: int, seconds: float, seeded: Path) -> Backlog:
    """Compare a relay on the state directory `seeded`, in which `count` messages wait, with one on an empty spool."""
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="relay-waiting-")))
        sink = running.enter_context(SmtpSink())
        empty = WaitingRelay(folder / "empty", sink.port, folder / "empty" / "state")
        waiting = WaitingRelay(folder / "waiting", sink.port, seeded)
        running.callback(empty.stop)
        running.callback(waiting.stop)
        starts = empty.starts(), waiting.starts()
        accepted, relayed = _compared(empty, waiting, sink, pairs, seconds)
        return Backlog(count, accepted, relayed, empty.side(starts[0]), waiting.side(starts[1]))


def _compared(
    empty: WaitingRelay, waiting: WaitingRelay, sink: Sink, pairs: int, seconds: float
) -> tuple[Spread, Spread]:
    trial = [relay.send(sink, _TRIAL) for relay in (empty, waiting, empty, waiting)]
    count = max(_TRIAL, int(_TRIAL / trial[2].relayed_in * seconds))
    both: tuple[list[Throughput], list[Throughput]] = [], []
    for at in turns(2, pairs):
        both[at].append((empty, waiting)[at].send(sink, count))
    accepted = [first.accepted_in / second.accepted_in for first, second in zip(*both, strict=True)]
    relayed = [first.relayed_in / second.relayed_in for first, second in zip(*both, strict=True)]
    return spread(accepted), spread(relayed)


def prepare(folder: Path, count: int) -> None:
    """Seed `folder`, unless it was."""
    if folder.exists():
        return
    begun, unfinished = time.monotonic(), folder.with_name(f"{folder.name}.part")
    seed(unfinished, count)
    hold(unfinished)
    unfinished.rename(folder)
    print(f"  seeded {count:,} in {time.monotonic() - begun:.0f} s", flush=True)


def main() -> None:
    """Measure, and print."""
    use_disk()
    arguments = argparse.ArgumentParser(prog="python -m bench.waiting", description=__doc__)
    arguments.add_argument("--count", type=int, default=1_000_000)
    arguments.add_argument("--pairs", type=int, default=7)
    arguments.add_argument("--seconds", type=float, default=5.0)
    arguments.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "relay-seeded-1m")
    given = arguments.parse_args()
    prepare(given.folder, given.count)
    found = measure_waiting(given.count, given.pairs, given.seconds, given.folder)
    for name, ratio in (("accepted", found.accepted), ("end to end", found.relayed)):
        print(f"{name}, waiting/empty: {ratio.median:.3f} ({ratio.lower:.3f} to {ratio.upper:.3f})")
    for name, side in (("empty", found.empty), ("waiting", found.waiting)):
        scrapes = f"/metrics {side.scrape * 1000:.1f} ms, {side.longest_scrape * 1000:.1f} most"
        print(f"{name:<8}/readyz after {side.start:.2f} s; {side.memory / 2**20:.1f} MiB PSS; {scrapes}")


if __name__ == "__main__":
    main()
