"""What all conversations of one simulator share."""

from __future__ import annotations

import ssl
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from relay.simulator.faults import Faults
from relay.simulator.mailbox import ReceivedMessages
from relay.simulator.options import Options
from relay.simulator.usage import Usage


@dataclass(frozen=True, slots=True)
class Violation:
    """A breach of the protocol by a client: at `provider`, in words; never an address or content."""

    provider: str
    what: str


@dataclass(slots=True)
class Premises:
    """`directory` holds what is too large for memory; `violations` the breaches so far (the latest 1,000).

    `logins` and `failed_logins` are counted by provider, `connections` too.
    """

    options: Options
    directory: Path
    tls: ssl.SSLContext
    messages: ReceivedMessages
    faults: Faults = field(default_factory=Faults)
    usage: Usage = field(default_factory=Usage)
    violations: list[Violation] = field(default_factory=list)
    connections: Counter[str] = field(default_factory=Counter)
    logins: Counter[str] = field(default_factory=Counter)
    failed_logins: Counter[str] = field(default_factory=Counter)

    def violate(self, provider: str, what: str) -> None:
        """Note a breach of the protocol."""
        if len(self.violations) < 1000:
            self.violations.append(Violation(provider, what))


def milliseconds() -> int:
    """Return now, in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000
