"""The measured part of docs/performance.md."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.cells import Cell
from bench.direct import DirectFigures
from bench.figures import Spread
from bench.rewriting import RewritingFigures
from bench.rounds import Latency, Measured
from bench.starting import Start
from bench.waiting import Backlog, Side

_BEGIN = "<!-- measured: `make bench` writes what stands between these two lines -->"
_END = "<!-- end of what was measured -->"


@dataclass(frozen=True, slots=True)
class Compared:
    """Both systems on one cell."""

    cell: Cell
    relay: Measured
    postfix: Measured


@dataclass(slots=True)
class Report:
    """What was measured, and the names of what could not be."""

    compared: list[Compared] = field(default_factory=list)
    start: Start | None = None
    backlogs: list[Backlog] = field(default_factory=list)
    direct: DirectFigures | None = None
    rewriting: RewritingFigures | None = None
    failed: list[str] = field(default_factory=list)


def with_measured(page: str, measured: str) -> str:
    """The page with its measured part replaced. ValueError where its two lines are not there."""
    before, begin, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"the lines {_BEGIN} and {_END} are missing")
    return f"{before}{_BEGIN}\n\n{measured}\n\n{_END}{after}"


def measured_part(report: Report, circumstances: str) -> str:
    """Markdown."""
    parts = [circumstances]
    if report.compared:
        parts += ["## Throughput and cost", throughput_table(report.compared)]
    timed = [(one, one.relay.latency, one.postfix.latency) for one in report.compared]
    latencies = [(one.cell, relay, postfix) for one, relay, postfix in timed if relay and postfix]
    if latencies:
        parts += ["## Latency", latency_table(latencies)]
    if report.start is not None:
        parts += ["## Starting, and doing nothing", start_text(report.start)]
    if report.backlogs:
        parts += ["## With messages waiting", backlog_table(report.backlogs)]
    if report.direct is not None:
        parts += ["## Direct delivery", direct_text(report.direct)]
    if report.rewriting is not None:
        parts += ["## Another face", rewriting_text(report.rewriting)]
    if report.failed:
        parts.append(f"Could not be measured this time: {', '.join(report.failed)}.")
    return "\n\n".join(parts)


def throughput_table(compared: Sequence[Compared]) -> str:
    """Rate, CPU and memory of both systems, and how they compare."""
    rows = []
    for one in compared:
        for measured, name in ((one.relay, f"`{one.cell.name}`: {one.cell.words}"), (one.postfix, "")):
            rate, cpu = _quartiles(measured.rate, _whole), _quartiles(measured.cpu, _milliseconds)
            rows.append((name, measured.system, rate, cpu, _mebibytes(measured.memory)))
        relay, postfix = one.relay, one.postfix
        rows.append(
            (
                "",
                "Relay : Postfix",
                f"**{relay.rate.median / postfix.rate.median:.2f}**",
                f"**{relay.cpu.median / postfix.cpu.median:.2f}**",
                f"{relay.memory / postfix.memory:.2f}",
            )
        )
    return _table(("cell", "system", "messages/s", "CPU ms a message", "PSS MiB"), rows)


def latency_table(latencies: Sequence[tuple[Cell, Latency, Latency]]) -> str:
    """Milliseconds of both systems, and how they compare."""
    rows = []
    for cell, relay, postfix in latencies:
        both = (_spreads(relay), _spreads(postfix))
        for spreads, system, name in ((both[0], "Relay", f"`{cell.name}`"), (both[1], "Postfix", "")):
            rows.append((name, system, *(_quartiles(one, _milliseconds) for one in spreads)))
        ratios = [mine.median / theirs.median for mine, theirs in zip(*both, strict=True)]
        rows.append(("", "Relay : Postfix", *(f"**{ratio:.2f}**" for ratio in ratios)))
    head = ("cell", "system", "acceptance p50 ms", "p99 ms", "whole transaction p50 ms", "p99 ms")
    return _table(head, rows)


def start_text(start: Start) -> str:
    """One sentence."""
    ready = f"`relay serve` is ready (/readyz) {start.seconds:.2f} s after its start (median of 5, files in the cache)"
    return f"{ready}; idle it takes {_mebibytes(start.memory)} MiB (PSS), with STARTTLS, AUTH and one upstream."


def backlog_table(backlogs: Sequence[Backlog]) -> str:
    """What waiting messages cost, beside an empty spool of the same minutes."""
    rows = []
    for backlog in backlogs:
        rows.append(("0 (beside it)", "1", "1", *_side(backlog.empty), ""))
        more = (backlog.waiting.memory - backlog.empty.memory) / 2**20
        ratios = (_quartiles(backlog.accepted, _hundredths), _quartiles(backlog.relayed, _hundredths))
        rows.append((f"**{backlog.count:,}**", *ratios, *_side(backlog.waiting), f"{more:+.1f}"))
    head = ("waiting", "accepted/s, of the empty's", "relayed/s, of the empty's", "s to /readyz", "ms of /metrics")
    return _table((*head, "PSS MiB", "more MiB"), rows)


def direct_text(found: DirectFigures) -> str:
    """What it adds, then both ways."""
    adds = f'`delivery = "direct"` adds **{_milliseconds(found.added)} ms** at the median to a transaction'
    how = f"{found.messages:,} of 4 KiB each way in turns, connections kept, a sink that answers at once"
    ways = (("straight to the sink", found.straight), ("through Relay", found.direct))
    rows = [(way, _milliseconds(times.p50), _milliseconds(times.p99)) for way, times in ways]
    return f"{adds} ({how}).\n\n" + _table(("transaction", "p50 ms", "p99 ms"), rows)


def rewriting_text(found: RewritingFigures) -> str:
    """What each change costs, and what it costs to find out that there is none."""
    how = f"CPU of the change alone, of a message of {found.octets:,} octets with text and HTML"
    none = f"Where neither is configured a message costs {found.looking * 1e6:.1f} µs: one look into a dictionary."
    rows = [(one.what, _milliseconds(one.p50), _milliseconds(one.p99)) for one in found.costs]
    return f"{how}. {none}\n\n" + _table(("change", "p50 ms", "p99 ms"), rows)


def _side(side: Side) -> tuple[str, str, str]:
    return f"{side.start:.2f}", f"{_milliseconds(side.scrape)}", _mebibytes(side.memory)


def _spreads(latency: Latency) -> tuple[Spread, ...]:
    return latency.acceptance_p50, latency.acceptance_p99, latency.transaction_p50, latency.transaction_p99


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _quartiles(found: Spread, written: Callable[[float], str]) -> str:
    return f"{written(found.median)} ({written(found.lower)} to {written(found.upper)})"


def _whole(value: float) -> str:
    return f"{value:,.0f}"


def _hundredths(value: float) -> str:
    return f"{value:.2f}"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.2f}"


def _mebibytes(octets: int) -> str:
    return f"{octets / 2**20:.0f}"
