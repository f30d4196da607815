"""What is written about the measurements."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.cells import Cell
from bench.direct import DirectFigures, Times
from bench.figures import Spread
from bench.page import (
    Compared,
    Report,
    backlog_table,
    direct_text,
    latency_table,
    measured_part,
    rewriting_text,
    throughput_table,
    with_measured,
)
from bench.rewriting import Cost, RewritingFigures
from bench.rounds import Latency, Measured
from bench.starting import Start
from bench.waiting import Backlog, Side

MIB = 2**20
CELL = Cell("base", "4 KiB")
FAST = Measured("Relay", Spread(1500.0, 1400.4, 1600.0), Spread(0.0005, 0.0004, 0.0006), 64 * MIB, None)
SLOW = Measured("Postfix", Spread(500.0, 490.0, 510.0), Spread(0.002, 0.002, 0.0021), 80 * MIB, None)
LATENCY = Latency(*(Spread(milliseconds / 1000, 0.001, 0.1) for milliseconds in (10, 20, 30, 40)))


def test_systems_stand_below_each_other_with_their_ratio() -> None:
    assert throughput_table([Compared(CELL, FAST, SLOW)]).splitlines()[2:] == [
        "| `base`: 4 KiB | Relay | 1,500 (1,400 to 1,600) | 0.50 (0.40 to 0.60) | 64 |",
        "|  | Postfix | 500 (490 to 510) | 2.00 (2.00 to 2.10) | 80 |",
        "|  | Relay : Postfix | **3.00** | **0.25** | 0.80 |",
    ]


def test_latencies_are_in_milliseconds() -> None:
    twice = replace(LATENCY, acceptance_p99=Spread(0.04, 0.04, 0.04))
    rows = latency_table([(CELL, LATENCY, twice)]).splitlines()
    assert rows[2].startswith("| `base` | Relay | 10.00 (1.00 to 100.00) | 20.00 ")
    assert rows[4] == "|  | Relay : Postfix | **1.00** | **0.50** | **1.00** | **1.00** |"


def test_backlogs_stand_beside_the_empty_spool_of_their_run() -> None:
    level = Spread(0.95, 0.9, 1.0)
    backlog = Backlog(100_000, level, level, Side(0.5, 60 * MIB, 0.003, 0.004), Side(0.75, 62 * MIB, 0.005, 0.006))
    assert backlog_table([backlog]).splitlines()[2:] == [
        "| 0 (beside it) | 1 | 1 | 0.50 | 3.00 | 60 |  |",
        "| **100,000** | 0.95 (0.90 to 1.00) | 0.95 (0.90 to 1.00) | 0.75 | 5.00 | 62 | +2.0 |",
    ]


def test_direct_delivery_is_told_by_what_it_adds() -> None:
    lines = direct_text(DirectFigures(2000, Times(0.001, 0.002), Times(0.00225, 0.005))).splitlines()
    assert "adds **1.25 ms** at the median" in lines[0]
    assert lines[-2:] == ["| straight to the sink | 1.00 | 2.00 |", "| through Relay | 2.25 | 5.00 |"]


def test_another_face_is_told_by_what_it_costs() -> None:
    text = rewriting_text(RewritingFigures(4000, 2e-7, (Cost("both", 0.00025, 0.0004),)))
    assert "a message of 4,000 octets" in text
    assert "costs 0.2 µs" in text
    assert text.endswith("| both | 0.25 | 0.40 |")


def test_a_part_that_was_not_measured_has_no_heading() -> None:
    assert measured_part(Report(start=Start(0.5, 50 * MIB), failed=["starttls"]), "On a machine.") == (
        "On a machine.\n\n## Starting, and doing nothing\n\n"
        "`relay serve` is ready (/readyz) 0.50 s after its start (median of 5, files in the cache); idle it takes "
        "50 MiB (PSS), with STARTTLS, AUTH and one upstream.\n\nCould not be measured this time: starttls."
    )


def test_the_page_keeps_what_stands_around_the_measured_part() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "performance.md").read_text()
    once = with_measured(page, "FIRST")
    twice = with_measured(once, "SECOND")
    assert once.replace("FIRST", "SECOND") == twice
    assert once.startswith(page.partition("<!--")[0])
    assert once.endswith(page.rpartition("-->")[2])


def test_a_page_without_the_two_lines_is_left_alone() -> None:
    with pytest.raises(ValueError, match="missing"):
        with_measured("# Performance\n", "figures")
