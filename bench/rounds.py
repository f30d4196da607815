"""One cell: both systems in turn, each round begun by the other one."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.cells import Cell
from bench.figures import Spread, spread
from bench.load import Throughput, by_own_source, by_smtp_source
from bench.sinks import OwnSink, Sink, SmtpSink
from bench.systems import Entrance, Relay, System, TunedPostfix
from tests.rig.certificate import CertificateAuthority

_WARM_UP = 200
SETTLING = 0.3
"""Seconds after the sink's last message in which a system ends its work on it, before its CPU is read."""

Load = Callable[[Cell, int, Sink, int], Throughput]


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds, of each round the percentile, of those the middle half."""

    acceptance_p50: Spread
    acceptance_p99: Spread
    transaction_p50: Spread
    transaction_p99: Spread


@dataclass(frozen=True, slots=True)
class Measured:
    """One system on one cell: messages a second, CPU seconds a message, proportional resident octets afterwards."""

    system: str
    rate: Spread
    cpu: Spread
    memory: int
    latency: Latency | None


@dataclass(frozen=True, slots=True)
class Round:
    """One system's round."""

    throughput: Throughput
    cpu: float

    @property
    def rate(self) -> float:
        """Messages a second, from the first byte to the last message at the sink."""
        return self.throughput.messages / self.throughput.relayed_in

    @property
    def cpu_a_message(self) -> float:
        """CPU seconds."""
        return self.cpu / self.throughput.messages


def measure(cell: Cell, rounds: int, seconds: float) -> tuple[Measured, Measured]:
    """Relay's figures and Postfix's, of so many rounds of about so many seconds."""
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="relay-bench-tls-")))
        leaf = CertificateAuthority(folder).leaf() if cell.starttls else None
        entrance = Entrance(cell.mechanism is not None, leaf)
        sink = running.enter_context(OwnSink(cell.sink_delay) if cell.own else SmtpSink())
        relay = running.enter_context(Relay(sink.port, entrance))
        postfix = running.enter_context(TunedPostfix(sink.port, entrance))
        systems: tuple[System, System] = (relay, postfix)
        load = by_own_source if cell.own else by_smtp_source
        results = interleaved(cell, systems, sink, load, rounds, seconds)
        memory = [system.cost().memory for system in systems]
        timed = results
        if cell.latency and not cell.own:
            timed = interleaved(cell, systems, sink, by_own_source, rounds, seconds)
        first, second = (
            _measured(system.name, results[at], memory[at], timed[at]) for at, system in enumerate(systems)
        )
        return first, second


def interleaved(
    cell: Cell, systems: Sequence[System], sink: Sink, load: Load, rounds: int, seconds: float
) -> list[list[Round]]:
    """The rounds of each system, after a warm-up."""
    results: list[list[Round]] = [[] for _ in systems]
    counts = [_count_for(cell, system, sink, load, seconds) for system in systems]
    for at in turns(len(systems), rounds):
        result = _round(cell, systems[at], sink, load, counts[at])
        results[at].append(result)
        # The next is as long as asked for, however the warm-up or this one misjudged the speed.
        counts[at] = max(cell.sessions, round(result.rate * seconds))
    return results


def turns(systems: int, rounds: int) -> Iterator[int]:
    """Whose turn it is: all once a round, in the opposite order each time."""
    for number in range(rounds):
        order = range(systems)
        yield from reversed(order) if number % 2 else order


def _count_for(cell: Cell, system: System, sink: Sink, load: Load, seconds: float) -> int:
    """Messages that take about so many seconds, told by a short warm-up and a longer one."""
    cold = _round(cell, system, sink, load, _WARM_UP)
    warm = _round(cell, system, sink, load, max(_WARM_UP, round(cold.rate * min(2.0, seconds))))
    return max(cell.sessions, round(warm.rate * seconds))


def _round(cell: Cell, system: System, sink: Sink, load: Load, messages: int) -> Round:
    before = system.cost().cpu
    throughput = load(cell, system.port, sink, messages)
    time.sleep(SETTLING)
    return Round(throughput, system.cost().cpu - before)


def _measured(system: str, rounds: Sequence[Round], memory: int, timed: Sequence[Round]) -> Measured:
    return Measured(
        system,
        rate=spread([one.rate for one in rounds]),
        cpu=spread([one.cpu_a_message for one in rounds]),
        memory=memory,
        latency=_latency(timed),
    )


def _latency(rounds: Sequence[Round]) -> Latency | None:
    sent = [one.throughput.sent for one in rounds if one.throughput.sent is not None]
    if not sent:
        return None
    return Latency(
        acceptance_p50=spread([one.acceptance_p50 for one in sent]),
        acceptance_p99=spread([one.acceptance_p99 for one in sent]),
        transaction_p50=spread([one.transaction_p50 for one in sent]),
        transaction_p99=spread([one.transaction_p99 for one in sent]),
    )
