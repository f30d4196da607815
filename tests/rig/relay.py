"""A real `relay serve`, as an operator runs it: a process with a state directory, a file and an environment."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from prometheus_client.parser import text_string_to_metric_families

from tests.rig.ports import free_port
from tests.rig.toml import Value, toml_text
from tests.rig.waiting import wait_until

_INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "COVERAGE_PROCESS_START")
"""What reaches the process of our own environment: nothing that could be a setting of Relay or a CA bundle."""


class RelayProcess:
    """One node. Used as a context manager it is started, and ended whatever happens.

    `settings` is relay.toml as a dictionary; hostname, state_dir, metrics.address and the address of each listener that
    has none are added to it. `environ` is added to a bare environment. `under` is a command that runs it.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, Value],
        environ: Mapping[str, str] | None = None,
        under: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.under = under
        self.folder.mkdir(parents=True, exist_ok=True)
        self.state_dir = folder / "state"
        self.config = folder / "relay.toml"
        self.environ = {name: os.environ[name] for name in _INHERITED if name in os.environ} | dict(environ or {})
        self.metrics_port = free_port()
        self.listener_ports: dict[str, int] = {}
        self.process: subprocess.Popen[bytes] | None = None
        self.write_config(settings)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def __repr__(self) -> str:
        state = "not running" if self.process is None else f"pid {self.process.pid}, exit {self.process.poll()}"
        return f"<RelayProcess {state}, ports {self.listener_ports}, log {self._log_path}>"

    # ---- configuration

    def write_config(self, settings: Mapping[str, Value]) -> None:
        """Writes relay.toml; ports given to listeners before are kept."""
        whole = dict(settings)
        whole.setdefault("hostname", "relay.clinic.test")
        whole.setdefault("state_dir", str(self.state_dir))
        whole["metrics"] = {"address": f"127.0.0.1:{self.metrics_port}", **_table(whole.get("metrics"))}
        listeners = _table(whole.get("listener")) or {"submission": {"security": "none", "require_tls": False}}
        whole["listener"] = {name: self._with_address(name, _table(listener)) for name, listener in listeners.items()}
        self.config.write_text(toml_text(whole))

    def _with_address(self, name: str, listener: dict[str, Value]) -> dict[str, Value]:
        if "address" in listener:
            self.listener_ports[name] = int(str(listener["address"]).rpartition(":")[2])
            return listener
        port = self.listener_ports.setdefault(name, free_port())
        return {**listener, "address": f"127.0.0.1:{port}"}

    def port(self, listener: str = "submission") -> int:
        """The port of a listener."""
        return self.listener_ports[listener]

    # ---- life

    def start(self, seconds: float = 30.0) -> None:
        """Starts it and returns when /readyz says 200; AssertionError with the log where it doesn't come to that."""
        self.launch()
        try:
            wait_until(self._ready, "relay to be ready", seconds)
        except AssertionError as unready:
            self.kill()
            raise AssertionError(f"{unready}; its log ends:\n{self.log_text()[-4000:]}") from None

    def launch(self) -> None:
        """Starts it without waiting for anything."""
        with self._log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.under, sys.executable, "-m", "relay", "serve", "--config", str(self.config)],
                cwd=self.folder,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _ready(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"relay ended with {self.process.returncode}")
        return self.readiness()[0] == 200

    def kill(self) -> None:
        """SIGKILL, as the power going out; nothing where it has ended."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(10)

    def terminate(self, seconds: float = 30.0) -> int:
        """SIGTERM; the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def reload(self) -> None:
        """SIGHUP."""
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)

    def restart(self) -> None:
        """Starts it again on the same state, after kill or terminate."""
        self.kill()
        self.start()

    def command(self, *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """Another `relay` command with the same configuration and environment; `text` is its standard input."""
        return subprocess.run(
            [sys.executable, "-m", "relay", *arguments, "--config", str(self.config)],
            cwd=self.folder,
            env=self.environ,
            input=text if text is not None else "",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    # ---- what it says of itself

    @property
    def _log_path(self) -> Path:
        return self.folder / "relay.log"

    def log_text(self) -> str:
        """Everything it wrote to standard output and error, over restarts."""
        return self._log_path.read_text(errors="replace") if self._log_path.exists() else ""

    def log(self, event: str | None = None) -> list[dict[str, Any]]:
        """The log's lines; those of one event where it is named. A line that is no JSON object fails the test."""
        complete = self.log_text().rpartition("\n")[0].splitlines()
        lines: list[dict[str, Any]] = [json.loads(line) for line in complete if line]
        return [line for line in lines if event is None or line.get("event") == event]

    def wait_for_event(self, event: str, count: int = 1, seconds: float = 30.0) -> list[dict[str, Any]]:
        """The log's lines of an event, once there are `count` of them."""
        wait_until(lambda: len(self.log(event)) >= count, f"{count} log lines {event!r}", seconds, pause=0.05)
        return self.log(event)

    def http(self, path: str) -> tuple[int, str]:
        """GET on the metrics address: status and body."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}{path}", timeout=10) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read().decode()

    def readiness(self) -> tuple[int, str]:
        """Status and body of /readyz; status 0 while nothing listens."""
        try:
            return self.http("/readyz")
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return 0, ""

    def metrics(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """All samples by name and labels."""
        families = text_string_to_metric_families(self.http("/metrics")[1])
        return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have these labels; KeyError where there is none."""
        wanted = set(labels.items())
        found = [value for (sample, have), value in self.metrics().items() if sample == name and wanted <= have]
        if not found:
            raise KeyError(f"{name}{labels}")
        return sum(found)

    def resident(self) -> tuple[int, int]:
        """Octets resident now, and at most since start or since `forget_peak` (VmRSS, VmHWM)."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        values = dict(line.split(":", 1) for line in status.splitlines())
        return int(values["VmRSS"].split()[0]) * 1024, int(values["VmHWM"].split()[0]) * 1024

    def forget_peak(self) -> None:
        """Sets VmHWM back to VmRSS (proc(5), clear_refs)."""
        assert self.process is not None
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")


def _table(value: Value | None) -> dict[str, Value]:
    return dict(value) if isinstance(value, Mapping) else {}
