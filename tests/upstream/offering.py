"""What the tests of upstreams share: a smarthost for a scripted server, envelopes, clearances."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from relay.address import Mailbox, parse_mailbox
from relay.envelope import Envelope, Recipient, WholeContent
from relay.upstream.connection import Route
from relay.upstream.credentials import Credential
from relay.upstream.proxy import Proxy
from relay.upstream.smarthost import Smarthost
from relay.upstream.trust import Trust

MESSAGE = WholeContent(b"From: a@clinic.test\r\nSubject: x\r\n\r\nHello\r\n.dot\r\n..\r\n.\r\nend\r\n")


def mailbox(text: str) -> Mailbox:
    found = parse_mailbox(text)
    assert found is not None
    return found


def envelope(*recipients: str, sender: str = "no-reply@clinic.test", **more: Any) -> Envelope:
    rows = tuple(Recipient(mailbox(address)) for address in recipients or ("patient@example.test",))
    return Envelope(mailbox(sender) if sender else None, rows, **more)


@dataclass
class Cleared:
    """A clearance that counts; `lease` False says that it was lost."""

    lease: bool = True
    mails: int = 0
    dots: int = 0
    at_dot: Callable[[], None] | None = None

    async def before_mail(self) -> None:
        self.mails += 1

    def before_final_dot(self) -> bool:
        self.dots += 1
        if self.at_dot is not None:
            self.at_dot()
        return self.lease


@dataclass
class Credentials:
    """Gives these in turn, the last one for ever."""

    given: Sequence[Credential] = (None,)
    renewable: bool = False
    asked: list[Credential] = field(default_factory=list)

    async def credential(self, refused: Credential = None) -> Credential:
        self.asked.append(refused)
        return self.given[min(len(self.asked), len(self.given)) - 1]


class Listening(Protocol):
    """A server to send to."""

    port: int
    security: str


@asynccontextmanager
async def smarthost(
    server: Listening,
    *given: Credential,
    ca_file: Path | None = None,
    verify: str = "peer",
    timeout: float = 5.0,
    host: str = "127.0.0.1",
    source: Credentials | None = None,
    security: str | None = None,
    client_certificate: Path | None = None,
    proxy: Proxy | None = None,
    **options: Any,
) -> AsyncIterator[Smarthost]:
    route = Route(host, server.port, security or server.security, "relay.clinic.test", timeout, proxy)
    trust = Trust(verify, ca_file, client_certificate)
    made = Smarthost("isp", route, trust, source or Credentials(given or (None,)), **options)
    try:
        yield made
    finally:
        await made.aclose()
