"""What a long queue costs: `python -m bench.waiting [--count N] [--pairs N] [--folder STATE_DIR]`.

Two relays, one with an empty spool and one with so many messages of 1 KiB waiting for a held upstream, take turns to
relay mail for another upstream. A folder that was seeded before is used again.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from bench.cells import Cell
from bench.load import Throughput, by_smtp_source
from bench.sinks import Sink, SmtpSink
from tests.rig.ports import free_port
from tests.rig.relay import RelayProcess
from tests.rig.seeding import hold, seed

_CELL = Cell("waiting", "mail for another upstream than the one that is held")
_TRIAL = 1000
_STARTS = 5
_SCRAPES = 11


class Waiting:
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

    def start(self) -> tuple[float, float]:
        """Start it; return the seconds and the CPU seconds until /readyz says 200."""
        begun = time.monotonic()
        self.process.launch()
        while self.process.readiness()[0] != 200:
            time.sleep(0.005)
        seconds = time.monotonic() - begun
        spent = self._system.cpu_times()
        return seconds, spent.user + spent.system

    @property
    def _system(self) -> psutil.Process:
        assert self.process.process is not None
        return psutil.Process(self.process.process.pid)

    def cpu(self) -> float:
        """CPU seconds so far."""
        spent = self._system.cpu_times()
        return float(spent.user + spent.system)

    def memory(self) -> float:
        """Proportional resident MiB."""
        return float(self._system.memory_full_info().pss / 2**20)

    def scrape(self) -> float:
        """Milliseconds that /metrics takes."""
        begun = time.monotonic()
        status, _ = self.process.http("/metrics")
        assert status == 200
        return (time.monotonic() - begun) * 1000


def main() -> None:
    """Measure, and print."""
    arguments = argparse.ArgumentParser(prog="python -m bench.waiting", description=__doc__)
    arguments.add_argument("--count", type=int, default=1_000_000)
    arguments.add_argument("--pairs", type=int, default=7)
    arguments.add_argument("--seconds", type=float, default=5.0)
    arguments.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "relay-seeded-1m")
    given = arguments.parse_args()
    prepare(given.folder, given.count)
    with tempfile.TemporaryDirectory(prefix="relay-waiting-") as temporary, SmtpSink() as sink:
        folder = Path(temporary)
        empty = Waiting(folder / "empty", sink.port, folder / "empty" / "state")
        long = Waiting(folder / "long", sink.port, given.folder)
        try:
            for name, relay in (("empty", empty), ("waiting", long)):
                print_start(name, relay)
            compare(empty, long, sink, given.pairs, given.seconds)
        finally:
            for relay in (empty, long):
                relay.process.terminate()


def prepare(folder: Path, count: int) -> None:
    """Seed `folder`, unless it was."""
    if folder.exists():
        return
    begun, unfinished = time.monotonic(), folder.with_name(f"{folder.name}.part")
    seed(unfinished, count)
    hold(unfinished)
    unfinished.rename(folder)
    print(f"seeded {count:,} in {time.monotonic() - begun:.0f} s", flush=True)


def print_start(name: str, relay: Waiting) -> None:
    """Start it some times, the last of them for good."""
    starts = []
    for at in range(_STARTS):
        starts.append(relay.start())
        if at < _STARTS - 1:
            relay.process.terminate()
    seconds, cpu = (statistics.median(values) for values in zip(*starts, strict=True))
    memory = relay.memory()
    print(f"{name:<10}start to /readyz {seconds:.2f} s, CPU {cpu:.2f} s, then {memory:.1f} MiB PSS", flush=True)


def compare(empty: Waiting, long: Waiting, sink: Sink, pairs: int, seconds: float) -> None:
    """Send to both in turn; print the ratios, and what they take afterwards."""
    trial = [by_smtp_source(_CELL, relay.process.port("in"), sink, _TRIAL) for relay in (empty, long, empty, long)]
    count = max(_TRIAL, int(_TRIAL / trial[2].relayed_in * seconds))
    accepted, relayed = [], []
    for at in range(pairs):
        both = (empty, long) if at % 2 == 0 else (long, empty)
        cpu = {relay: relay.cpu() for relay in both}
        results = {relay: by_smtp_source(_CELL, relay.process.port("in"), sink, count) for relay in both}
        cost = {relay: (relay.cpu() - cpu[relay]) / count * 1000 for relay in both}
        accepted.append(results[empty].accepted_in / results[long].accepted_in)
        relayed.append(results[empty].relayed_in / results[long].relayed_in)
        print(_pair(results[empty], cost[empty]), "|", _pair(results[long], cost[long]), flush=True)
    print(f"accepted, waiting/empty: median {statistics.median(accepted):.3f}, {_listed(accepted)}")
    print(f"end to end, waiting/empty: median {statistics.median(relayed):.3f}, {_listed(relayed)}")
    for name, relay in (("empty", empty), ("waiting", long)):
        scrapes = sorted(relay.scrape() for _ in range(_SCRAPES))
        print(
            f"{name:<10}{relay.memory():.1f} MiB PSS; /metrics {scrapes[_SCRAPES // 2]:.1f} ms, {scrapes[-1]:.1f} most"
        )


def _pair(result: Throughput, cost: float) -> str:
    rates = result.messages / result.accepted_in, result.messages / result.relayed_in
    return f"accepted {rates[0]:>6.0f}/s, relayed {rates[1]:>6.0f}/s, CPU {cost:.2f} ms"


def _listed(ratios: Sequence[float]) -> str:
    return " ".join(f"{ratio:.2f}" for ratio in ratios)


if __name__ == "__main__":
    main()
