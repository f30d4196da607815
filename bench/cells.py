"""What is measured: one load, and one factor of it varied at a time."""

from __future__ import annotations

from dataclasses import dataclass

from bench.conversation import Plan


@dataclass(frozen=True, slots=True)
class Cell:
    """Messages of `size` octets over `sessions` connections, reused or new for each.

    The sink waits `sink_delay` seconds before it answers a final dot. With `latency` there are rounds by our load
    program too, which tells how long each message took.
    """

    name: str
    words: str
    sessions: int = 20
    size: int = 4096
    reused: bool = True
    mechanism: str | None = None
    starttls: bool = False
    sink_delay: float = 0.0
    latency: bool = False

    @property
    def own(self) -> bool:
        """Whether smtp-source and smtp-sink can't do it, so that our load program and sink do."""
        return self.mechanism is not None or self.starttls or self.sink_delay > 0

    @property
    def plan(self) -> Plan:
        """What a session of our load program does."""
        return Plan(self.size, self.reused, self.mechanism, self.starttls)


CELLS = (
    Cell("base", "4 KiB, 20 sessions, reused", latency=True),
    Cell("1-session", "1 session", sessions=1, latency=True),
    Cell("100-sessions", "100 sessions", sessions=100, latency=True),
    Cell("100KiB", "100 KiB", size=100 * 1024),
    Cell("not-reused", "a connection for each message", reused=False),
    Cell("auth-plain", "a connection with AUTH PLAIN for each", reused=False, mechanism="PLAIN"),
    Cell("cram-md5", "a connection with CRAM-MD5 for each", reused=False, mechanism="CRAM-MD5"),
    Cell("starttls", "a connection with STARTTLS for each", reused=False, starttls=True),
    Cell("sink-50ms", "the sink answers after 50 ms", sink_delay=0.05),
)
