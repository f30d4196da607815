"""The two systems under load, and what they cost."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import psutil

from bench.conversation import PASSWORD, USERNAME
from tests.rig.certificate import Leaf
from tests.rig.postfix import Postfix
from tests.rig.relay import RelayProcess
from tests.rig.toml import Value

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
class Entrance:
    """What its clients meet: AUTH (PLAIN and CRAM-MD5), STARTTLS with a `leaf`, or neither."""

    auth: bool = False
    leaf: Leaf | None = None


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


def cost_of(*roots: int) -> Cost:
    """The cost of processes and their children, those that ended included."""
    cpu, memory = 0.0, 0
    for root in roots:
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
    """Debian's Postfix as a relay, tuned for throughput; Dovecot answers its SASL questions."""

    def __init__(self, sink: int, entrance: Entrance) -> None:
        super().__init__(leaf=entrance.leaf, users={USERNAME: PASSWORD} if entrance.auth else None)
        self.name = "Postfix"
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
        """All of Postfix's processes, and Dovecot's."""
        assert self.process is not None
        roots = [self.process.pid]
        if self._authentication is not None:
            assert self._authentication.process is not None
            roots.append(self._authentication.process.pid)
        return cost_of(*roots)


class Relay:
    """Relay with one listener, and one plain upstream without AUTH."""

    name = "Relay"

    def __init__(self, sink: int, entrance: Entrance) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="relay-bench-")
        settings = _settings(sink, entrance)
        self.process = RelayProcess(Path(self._folder.name), settings, {"BENCH_PASSWORD": PASSWORD})

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


def _settings(sink: int, entrance: Entrance) -> dict[str, Value]:
    listener: dict[str, Value] = {"security": "none", "max_connections": 1000}
    client: dict[str, Value] = {"upstream": "sink", "max_waiting": 10_000_000}
    client |= (
        {"username": USERNAME, "password": {"env": "BENCH_PASSWORD"}}
        if entrance.auth
        else {"networks": ["127.0.0.0/8"]}
    )
    upstream: dict[str, Value] = {"type": "smtp", "host": "127.0.0.1", "port": sink, "security": "none"}
    upstream |= {"auth": "none", "max_connections": 20}
    settings: dict[str, Value] = {}
    if entrance.leaf is not None:
        listener["security"] = "starttls"
        settings["tls"] = {
            "certificate": str(entrance.leaf.certificate),
            "private_key": str(entrance.leaf.private_key),
        }
    return settings | {"listener": {"in": listener}, "client": {"any": client}, "upstream": {"sink": upstream}}
