"""How long `relay serve` takes until /readyz says 200, and what it takes of memory when nothing happens."""

from __future__ import annotations

import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.systems import Entrance, Relay
from tests.rig.certificate import CertificateAuthority
from tests.rig.ports import free_port
from tests.rig.relay import RelayProcess

_STARTS = 5
_IDLE = 5.0
_LIMIT = 60.0


@dataclass(frozen=True, slots=True)
class Start:
    """Median of the seconds to /readyz, and octets resident (PSS) some seconds later."""

    seconds: float
    memory: int


def started(process: RelayProcess) -> float:
    """Start it; the seconds until /readyz says 200. Raises AssertionError when it doesn't come to that."""
    begun = time.monotonic()
    process.launch()
    while process.readiness()[0] != 200:
        assert process.process is not None
        if process.process.poll() is not None or time.monotonic() > begun + _LIMIT:
            raise AssertionError(f"relay is not ready; its log ends:\n{process.log_text()[-4000:]}")
        time.sleep(0.005)
    return time.monotonic() - begun


def measure_start() -> Start:
    """With STARTTLS and AUTH, one upstream, no console; the first start, which makes the spool, is not counted."""
    with tempfile.TemporaryDirectory(prefix="relay-bench-tls-") as folder:
        leaf = CertificateAuthority(Path(folder)).leaf()
        with Relay(free_port(), Entrance(auth=True, leaf=leaf)) as relay:
            seconds = []
            for _ in range(_STARTS):
                relay.process.terminate()
                seconds.append(started(relay.process))
            time.sleep(_IDLE)
            return Start(statistics.median(seconds), relay.cost().memory)
