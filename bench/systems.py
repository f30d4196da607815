"""The two systems under load, each between smtp-source and smtp-sink, and what they cost."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import psutil

from tests.rig.postfix import Postfix
from tests.rig.relay import RelayProcess

_TUNED = """
relayhost = [127.0.0.1]:{sink}
smtp_tls_security_level = none
initial_destination_concurrency = 20
smtp_destination_concurrency_limit = 20
default_destination_concurrency_limit = 20
default_process_limit = 150
smtputf8_enable = no
smtp_host_lookup = native
"""
_CLIENT = """smtp unix - - n - - smtp
relay unix - - n - - smtp
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds of all its processes so far, and proportional resident octets now."""

    cpu: float
    memory: int


class System(Protocol):
    """Takes mail on 127.0.0.1:`port` and relays it to the sink."""

    name: str

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    @property
    def port(self) -> int:
        """Where it takes mail."""
        ...

    def cost(self) -> Cost:
        """What it has cost since it was started."""
        ...


def cost_of(root: int) -> Cost:
    """The cost of a process and its children, those that ended included."""
    cpu, memory = 0.0, 0
    parent = psutil.Process(root)
    for process in [parent, *parent.children(recursive=True)]:
        try:
            times = process.cpu_times()
            cpu += times.user + times.system + times.children_user + times.children_system
            memory += process.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
    return Cost(cpu, memory)


class TunedPostfix(Postfix):
    """Debian's Postfix as a relay, tuned for throughput."""

    def __init__(self, sink: int) -> None:
        super().__init__()
        self.name = "postfix"
        self._sink = sink

    def prepare(self) -> None:
        """Lay the configuration, with a client and without local delivery."""
        super().prepare()
        main = self.folder / "config" / "main.cf"
        kept = [line for line in main.read_text().splitlines() if not line.startswith(("virtual_", "smtp_line"))]
        main.write_text("\n".join(kept) + _TUNED.format(sink=self._sink))
        master = self.folder / "config" / "master.cf"
        master.write_text(master.read_text() + _CLIENT)

    def cost(self) -> Cost:
        """All of Postfix's processes."""
        assert self.process is not None
        return cost_of(self.process.pid)


class Relay:
    """Relay with one plain listener and one plain upstream, both without AUTH."""

    name = "relay"

    def __init__(self, sink: int) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="relay-bench-")
        settings = {
            "listener": {"in": {"security": "none", "max_connections": 1000}},
            "client": {"any": {"networks": ["127.0.0.0/8"], "upstream": "sink", "max_waiting": 10_000_000}},
            "upstream": {
                "sink": {
                    "type": "smtp",
                    "host": "127.0.0.1",
                    "port": sink,
                    "security": "none",
                    "auth": "none",
                    "max_connections": 20,
                }
            },
        }
        self.process = RelayProcess(Path(self._folder.name), settings)

    def __enter__(self) -> Self:
        self.process.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.terminate()
        self._folder.cleanup()

    @property
    def port(self) -> int:
        """Its listener's port."""
        return self.process.port("in")

    def cost(self) -> Cost:
        """Its one process."""
        assert self.process.process is not None
        return cost_of(self.process.process.pid)
