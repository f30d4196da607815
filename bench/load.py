"""Sends messages to a system and waits until all are at the sink: by Postfix's smtp-source, or our load program."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass

from bench.cells import Cell
from bench.sinks import Sink
from bench.source import Sent
from tests.rig.peers import ROOT, command, peer_environment

_LIMIT = 180.0


@dataclass(frozen=True, slots=True)
class Throughput:
    """Seconds from the first byte to the last 250, and to the last message at the sink; times where they were taken."""

    messages: int
    accepted_in: float
    relayed_in: float
    sent: Sent | None = None


def by_smtp_source(cell: Cell, port: int, sink: Sink, messages: int) -> Throughput:
    """Send so many by smtp-source. Raises AssertionError when they do not arrive."""
    before, began = sink.count, time.monotonic()
    subprocess.run(
        [
            command("smtp-source"),
            *(["-d"] if cell.reused else []),
            *("-s", str(cell.sessions), "-m", str(messages), "-l", str(cell.size)),
            *("-f", "app@clinic.test", "-t", "patient@example.test", f"127.0.0.1:{port}"),
        ],
        check=True,
        env=peer_environment(),
        timeout=_LIMIT,
    )
    accepted = time.monotonic()
    sink.wait_for(before + messages, _LIMIT)
    return Throughput(messages, accepted - began, sink.last - began)


def by_own_source(cell: Cell, port: int, sink: Sink, messages: int) -> Throughput:
    """Send so many by our load program. Raises AssertionError when they do not arrive."""
    before = sink.count
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "bench.source", str(port)),
            *("--sessions", str(cell.sessions), "--messages", str(messages), "--size", str(cell.size)),
            *([] if cell.reused else ["--new-connections"]),
            *(["--auth", cell.mechanism] if cell.mechanism else []),
            *(["--starttls"] if cell.starttls else []),
        ],
        check=True,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        timeout=_LIMIT,
    )
    sent = Sent(**json.loads(ran.stdout))
    sink.wait_for(before + messages, _LIMIT)
    return Throughput(sent.messages, sent.ended - sent.began, sink.last - sent.began, sent)
