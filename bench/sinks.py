"""The end of the way: Postfix's smtp-sink, or our own sink where it can't do what is asked. Both count."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from types import TracebackType
from typing import Self

from tests.rig.peers import ROOT, command, peer_environment
from tests.rig.ports import free_port
from tests.rig.waiting import wait_until

_COUNT = re.compile(rb"mesg=(\d+)")


class Sink:
    """A process that takes all mail on 127.0.0.1:`port`; `count` messages so far, the last at the instant `last`."""

    def __init__(self) -> None:
        self.port = free_port()
        self.count = 0
        self.last = 0.0
        self._process = subprocess.Popen(self.command(), stdout=subprocess.PIPE, cwd=ROOT, env=self.environment())
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(10)
        self._reader.join(10)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def command(self) -> list[str]:
        """What starts it."""
        raise NotImplementedError

    def environment(self) -> dict[str, str] | None:
        """Its environment; None for ours."""
        return None

    def notice(self, octets: bytes) -> bytes:
        """Take up what it printed; return the end that may go on in the next piece."""
        raise NotImplementedError

    def wait_for(self, count: int, seconds: float) -> None:
        """Return when it has taken so many since it began. Raises AssertionError."""
        wait_until(lambda: self.count >= count, f"{count} messages at the sink", seconds, pause=0.01)

    def _read(self) -> None:
        assert self._process.stdout is not None
        left = b""
        while octets := os.read(self._process.stdout.fileno(), 65536):
            left = self.notice(left + octets)


class SmtpSink(Sink):
    """Postfix's. It prints its count at every message; the instant is the one of reading that."""

    def command(self) -> list[str]:
        """smtp-sink, counting; it insists on another account when started by root."""
        account = ["-u", "nobody"] if os.geteuid() == 0 else []
        return [command("smtp-sink"), "-c", *account, f"127.0.0.1:{self.port}", "1000"]

    def environment(self) -> dict[str, str]:
        """What unpacked programs need."""
        return peer_environment()

    def notice(self, octets: bytes) -> bytes:
        """The last count in it."""
        found = _COUNT.findall(octets)
        if found and int(found[-1]) != self.count:
            self.last = time.monotonic()
            self.count = int(found[-1])
        return octets[-60:]


class OwnSink(Sink):
    """bench/sink.py, which replies to final dots after `delay` seconds and tells the instants itself."""

    def __init__(self, delay: float = 0.0) -> None:
        self._delay = delay
        super().__init__()
        wait_until(lambda: self.last > 0, "the sink to listen")

    def command(self) -> list[str]:
        """The program."""
        return [sys.executable, "-m", "bench.sink", str(self.port), "--delay", str(self._delay)]

    def notice(self, octets: bytes) -> bytes:
        """The last whole line."""
        whole, line_end, left = octets.rpartition(b"\n")
        if line_end:
            count, last = whole.rpartition(b"\n")[2].split()
            self.last = float(last)
            self.count = int(count)
        return left
