"""`relay simulate` as somebody who rehearses starts it, on an address of loopback that no other test has."""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.rig.ports import free_port
from tests.rig.waiting import wait_until


class SimulateProcess:
    """Used as a context manager it runs. Its ports are always the same, so each has an address of its own."""

    def __init__(self, folder: Path) -> None:
        # Two runs of one moment differ by their process, two of one process by the port that was free.
        self.host = f"127.{1 + os.getpid() % 250}.{free_port() % 250}.2"
        self._output = folder / "simulate.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "relay", "simulate", "--host", self.host]
        with self._output.open("wb") as written:
            self._process = subprocess.Popen(command, stdout=written, stderr=written)
        wait_until(self._speaks, "relay simulate", 60)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(30)

    def _speaks(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._output.read_text()
        return "/messages" in self._output.read_text()

    def messages(self) -> list[dict[str, Any]]:
        """What it received."""
        found: list[dict[str, Any]] = self.control("messages")
        return found

    def control(self, path: str, **said: str) -> Any:
        """Ask one of its controls, or tell it something."""
        octets = json.dumps(said).encode() if said else None
        with urllib.request.urlopen(f"http://{self.host}:10080/{path}", octets, timeout=10) as response:
            return json.load(response)
