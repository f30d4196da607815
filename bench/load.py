"""Postfix's own load generator and sink: neither is ours, and both systems get the same."""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from tests.rig.peers import command, peer_environment
from tests.rig.ports import free_port

_COUNT = re.compile(rb"mesg=(\d+)")


@dataclass(frozen=True, slots=True)
class Cell:
    """What one measurement sends: messages of `size` octets over `sessions` connections, reused or new for each."""

    name: str
    sessions: int = 20
    size: int = 4096
    reused: bool = True
    sink_delay_ms: int = 0


CELLS = (
    Cell("base"),
    Cell("1-session", sessions=1),
    Cell("100-sessions", sessions=100),
    Cell("100KiB", size=100 * 1024),
    Cell("not-reused", reused=False),
)


class Sink:
    """smtp-sink, with the number of messages it has taken."""

    def __init__(self) -> None:
        self.port = free_port()
        self.count = 0
        self.last = 0.0
        self._process = subprocess.Popen(
            [command("smtp-sink"), "-c", *_as_user(), f"127.0.0.1:{self.port}", "1000"],
            stdout=subprocess.PIPE,
            env=peer_environment(),
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(10)

    def _read(self) -> None:
        assert self._process.stdout is not None
        left = b""
        while octets := os.read(self._process.stdout.fileno(), 65536):
            left = (left + octets)[-70000:]
            found = _COUNT.findall(left)
            if found and int(found[-1]) != self.count:
                self.count = int(found[-1])
                self.last = time.monotonic()
            left = left[-60:]


def _as_user() -> list[str]:
    return ["-u", "nobody"] if os.geteuid() == 0 else []


@dataclass(frozen=True, slots=True)
class Throughput:
    """Messages, the seconds until smtp-source was answered the last 250, and until the sink had the last."""

    messages: int
    accepted_in: float
    relayed_in: float


def send(cell: Cell, port: int, sink: Sink, messages: int, limit: float = 120.0) -> Throughput:
    """Send so many messages and wait until all have reached the sink. Raises AssertionError beyond `limit` seconds."""
    before, begun = sink.count, time.monotonic()
    subprocess.run(
        [
            command("smtp-source"),
            *(["-d"] if cell.reused else []),
            *("-s", str(cell.sessions), "-m", str(messages), "-l", str(cell.size)),
            *("-f", "app@clinic.test", "-t", "patient@example.test", f"127.0.0.1:{port}"),
        ],
        check=True,
        env=peer_environment(),
        timeout=limit,
    )
    accepted = time.monotonic()
    while sink.count < before + messages:
        if time.monotonic() > begun + limit:
            raise AssertionError(f"{before + messages - sink.count} of {messages} messages missing after {limit} s")
        time.sleep(0.01)
    return Throughput(messages, accepted - begun, sink.last - begun)
