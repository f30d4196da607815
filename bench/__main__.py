"""Relay beside tuned Postfix. All cells: docs/performance.md is written; some: their figures are printed."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from bench.cells import CELLS, Cell
from bench.direct import measure_direct
from bench.machine import description, use_disk
from bench.page import Compared, Report, measured_part, with_measured
from bench.rewriting import measure_rewriting
from bench.rounds import measure
from bench.starting import measure_start
from bench.waiting import measure_waiting, prepare

_PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
_PAIRS = 7
_PAIR_SECONDS = 0.4
"""Of a round's seconds: a pair compares two spools, and there are more pairs than rounds."""

Part = Callable[[Report], None]


def main() -> None:
    """Measure what is asked for; 1 when something could not be measured."""
    given = _arguments()
    parts = _parts(given.rounds, given.seconds)
    unknown = sorted(set(given.cells) - set(parts))
    if unknown:
        sys.exit(f"no such cell: {', '.join(unknown)}; there are {' '.join(parts)}")
    use_disk()
    began, report = time.monotonic(), Report()
    for name in given.cells or parts:
        _measure(name, parts[name], report)
    minutes = (time.monotonic() - began) / 60
    measured = measured_part(report, _circumstances(given.cells, given.rounds, given.seconds, minutes))
    print(measured)
    if not given.cells and len(report.failed) < len(parts):
        _PAGE.write_text(with_measured(_PAGE.read_text(), measured))
    sys.exit(1 if report.failed else 0)


def _arguments() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    arguments.add_argument("cells", nargs="*", metavar="CELL", help="without any: all")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--seconds", type=float, default=10.0, help="of a round")
    return arguments.parse_args()


def _parts(rounds: int, seconds: float) -> dict[str, Part]:
    parts: dict[str, Part] = {cell.name: partial(_compare, cell, rounds, seconds) for cell in CELLS}
    parts["start"] = _start
    parts["direct"] = _direct
    parts["rewriting"] = _rewriting
    for name, count in (("waiting-100k", 100_000), ("waiting-1m", 1_000_000)):
        parts[name] = partial(_wait, count, seconds * _PAIR_SECONDS)
    return parts


def _measure(name: str, part: Part, report: Report) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {name}", file=sys.stderr, flush=True)
    try:
        part(report)
    except Exception:
        # One part's failure must not cost what the others took half an hour to measure.
        traceback.print_exc()
        report.failed.append(name)


def _compare(cell: Cell, rounds: int, seconds: float, report: Report) -> None:
    relay, postfix = measure(cell, rounds, seconds)
    report.compared.append(Compared(cell, relay, postfix))
    rates = f"{relay.rate.median:.0f} : {postfix.rate.median:.0f} messages/s"
    print(
        f"  {rates}, CPU {relay.cpu.median * 1000:.2f} : {postfix.cpu.median * 1000:.2f} ms",
        file=sys.stderr,
        flush=True,
    )


def _start(report: Report) -> None:
    report.start = measure_start()


def _direct(report: Report) -> None:
    report.direct = measure_direct()


def _rewriting(report: Report) -> None:
    report.rewriting = measure_rewriting()


def _wait(count: int, seconds: float, report: Report) -> None:
    with tempfile.TemporaryDirectory(prefix="relay-seeded-") as folder:
        seeded = Path(folder) / "state"
        prepare(seeded, count)
        report.backlogs.append(measure_waiting(count, _PAIRS, seconds, seeded))


def _circumstances(cells: list[str], rounds: int, seconds: float, minutes: float) -> str:
    command = "make bench" + (f' CELL="{" ".join(cells)}"' if cells else "")
    when = f"{datetime.now(UTC):%Y-%m-%d}"
    run = f"{rounds} rounds of {seconds:g} s a cell and system, in {minutes:.0f} minutes"
    return f"`{command}` on {when}: {run}. {description()}"


if __name__ == "__main__":
    main()
