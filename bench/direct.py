"""What direct delivery adds to a transaction on a kept connection: `python -m bench.direct [--messages N]`.

The same transactions, straight to the sink and through a relay with `delivery = "direct"`, in turn, by one application
that waits for each reply. Seconds from MAIL to the reply to the final dot.
"""

from __future__ import annotations

import argparse
import socket
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bench.conversation import RECIPIENT, SENDER, content_of
from bench.figures import percentile
from bench.machine import use_disk
from bench.sinks import OwnSink
from tests.rig.relay import RelayProcess
from tests.rig.toml import Value

_WARMING = 100
_TURN = 25
_SIZE = 4096


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of a transaction: median and 99th percentile."""

    p50: float
    p99: float


@dataclass(frozen=True, slots=True)
class DirectFigures:
    """Transactions straight to the sink and through the relay; `added` is the difference of the medians in seconds."""

    messages: int
    straight: Times
    direct: Times

    @property
    def added(self) -> float:
        """What the relay adds at the median."""
        return self.direct.p50 - self.straight.p50


class _Application:
    """One kept connection, and the seconds of its transactions."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._replies = self._socket.makefile("rb")
        self.seconds: list[float] = []
        self._expect(b"220")
        self._say(b"EHLO app.clinic.test\r\n", b"250")

    def send(self, number: int, content: bytes) -> None:
        """One transaction."""
        began = time.perf_counter()
        self._say(b"MAIL FROM:<%s>\r\n" % SENDER, b"250")
        self._say(b"RCPT TO:<%s>\r\n" % RECIPIENT, b"250")
        self._say(b"DATA\r\n", b"354")
        self._say(b"Message-ID: <%d@app.clinic.test>\r\n%s" % (number, content), b"250")
        self.seconds.append(time.perf_counter() - began)

    def close(self) -> None:
        """Leave."""
        self._say(b"QUIT\r\n", b"221")
        self._replies.close()
        self._socket.close()

    def times(self) -> Times:
        """Median and 99th percentile, warming up left out."""
        ordered = sorted(self.seconds[_WARMING:])
        return Times(percentile(ordered, 50), percentile(ordered, 99))

    def _say(self, octets: bytes, code: bytes) -> None:
        self._socket.sendall(octets)
        self._expect(code)

    def _expect(self, code: bytes) -> None:
        line = self._replies.readline()
        while line[3:4] == b"-":
            line = self._replies.readline()
        if not line.startswith(code):
            raise AssertionError(f"expected {code.decode()}, got {line!r}")


def measure_direct(messages: int = 2000) -> DirectFigures:
    """Send so many each way, in turns. Raises AssertionError when something is refused."""
    content = content_of(_SIZE)
    with tempfile.TemporaryDirectory(prefix="relay-direct-") as folder, OwnSink() as sink:
        relay = RelayProcess(Path(folder), _settings(sink.port))
        with relay, closing(_Application(sink.port)) as straight, closing(_Application(relay.port("in"))) as direct:
            for start in range(0, _WARMING + messages, _TURN):
                for application in (straight, direct):
                    for number in range(start, start + _TURN):
                        application.send(number, content)
            figures = DirectFigures(messages, straight.times(), direct.times())
    return figures


def _settings(sink: int) -> dict[str, Value]:
    upstream: dict[str, Value] = {"type": "smtp", "host": "127.0.0.1", "port": sink, "security": "none", "auth": "none"}
    return {
        "listener": {"in": {"security": "none"}},
        "client": {"any": {"networks": ["127.0.0.0/8"], "upstream": "sink", "delivery": "direct"}},
        "upstream": {"sink": upstream},
    }


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(prog="python -m bench.direct", description=__doc__)
    arguments.add_argument("--messages", type=int, default=2000)
    given = arguments.parse_args()
    use_disk()
    figures = measure_direct(given.messages)
    for name, times in (("straight to the sink", figures.straight), ("by the relay, direct", figures.direct)):
        print(f"{name}: p50 {times.p50 * 1000:.2f} ms, p99 {times.p99 * 1000:.2f} ms")
    print(f"direct delivery adds {figures.added * 1000:.2f} ms at the median of {figures.messages} transactions")


if __name__ == "__main__":
    main()
