"""Throughput and cost of Relay and of tuned Postfix, interleaved."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence

from bench.load import CELLS, Cell, Sink, send
from bench.systems import Relay, System, TunedPostfix

_TRIAL = 200


def main() -> None:
    """Measure and print one table."""
    arguments = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    arguments.add_argument("cells", nargs="*", metavar="CELL", help=", ".join(cell.name for cell in CELLS))
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--seconds", type=float, default=10.0)
    given = arguments.parse_args()
    unknown = set(given.cells) - {cell.name for cell in CELLS}
    if unknown:
        arguments.error(f"no such cell: {', '.join(sorted(unknown))}")
    print(f"{'cell':<14}{'system':<10}{'msg/s':>8}{'lowest':>8}{'highest':>8}{'CPU ms/msg':>12}{'PSS MiB':>9}")
    for cell in CELLS:
        if not given.cells or cell.name in given.cells:
            measure(cell, given.rounds, given.seconds)


def measure(cell: Cell, rounds: int, seconds: float) -> None:
    """Run both systems on one cell in turn, each as long as the other."""
    with Sink() as sink, TunedPostfix(sink.port) as postfix, Relay(sink.port) as relay:
        systems: Sequence[System] = (relay, postfix)
        rates: dict[str, list[float]] = {system.name: [] for system in systems}
        costs: dict[str, list[float]] = {system.name: [] for system in systems}
        counts = {system.name: _count_for(cell, system, sink, seconds) for system in systems}
        for _ in range(rounds):
            for system in systems:
                before = system.cost().cpu
                result = send(cell, system.port, sink, counts[system.name])
                rates[system.name].append(result.messages / result.relayed_in)
                costs[system.name].append((system.cost().cpu - before) / result.messages * 1000)
        for system in systems:
            rate, cost = rates[system.name], statistics.median(costs[system.name])
            middle, memory = statistics.median(rate), system.cost().memory / 2**20
            figures = f"{middle:>8.0f}{min(rate):>8.0f}{max(rate):>8.0f}{cost:>12.2f}{memory:>9.0f}"
            print(f"{cell.name:<14}{system.name:<10}{figures}", flush=True)


def _count_for(cell: Cell, system: System, sink: Sink, seconds: float) -> int:
    """Messages that take about so many seconds, after a warm-up."""
    trial = send(cell, system.port, sink, _TRIAL)
    trial = send(cell, system.port, sink, _TRIAL)
    return max(_TRIAL, int(trial.messages / trial.relayed_in * seconds))


if __name__ == "__main__":
    main()
