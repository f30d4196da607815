"""The load program and the sink of `make bench`, with a real relay between them."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench.cells import Cell
from bench.load import by_own_source
from bench.sinks import OwnSink
from bench.systems import Entrance, Relay
from tests.rig.certificate import CertificateAuthority
from tests.rig.peers import ROOT

CELLS = (
    Cell("kept", "connections kept", sessions=5),
    Cell("large", "larger than what is read at once", sessions=2, size=300_000),
    Cell("plain", "AUTH PLAIN", sessions=5, reused=False, mechanism="PLAIN"),
    Cell("cram", "CRAM-MD5", sessions=5, mechanism="CRAM-MD5"),
    Cell("tls", "STARTTLS and AUTH", sessions=5, reused=False, mechanism="PLAIN", starttls=True),
    Cell("slow", "a sink that takes its time", sessions=5, sink_delay=0.01),
)


@pytest.mark.parametrize("cell", CELLS, ids=[cell.name for cell in CELLS])
def test_every_message_reaches_the_sink_once(cell: Cell, tmp_path: Path) -> None:
    leaf = CertificateAuthority(tmp_path).leaf() if cell.starttls else None
    with OwnSink(cell.sink_delay) as sink, Relay(sink.port, Entrance(cell.mechanism is not None, leaf)) as relay:
        for _ in range(2):
            found = by_own_source(cell, relay.port, sink, 20)
            assert found.sent is not None
            assert found.messages == found.sent.messages == 20
        assert relay.process.metric("relay_messages_accepted_total") == 40
        assert sink.count == 40


def test_a_refusal_ends_the_load_with_what_was_said() -> None:
    with OwnSink() as sink:
        ran = subprocess.run(
            [sys.executable, "-m", "bench.source", str(sink.port), "--auth", "PLAIN", "--messages", "1"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ran.returncode == 1
        assert ran.stderr == "bench.source: expected 235, got 502 5.5.1 Not implemented\n"
        assert sink.count == 0
