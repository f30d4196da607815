"""The transfer stage on a real SQLite spool, with actors, or real ones, for upstreams."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from relay.address import Mailbox, parse_mailbox
from relay.config.settings import Settings
from relay.envelope import DsnReturn, Envelope, Notify, Origin, Recipient
from relay.journal import Journal
from relay.metrics import Metrics
from relay.spool.contract import Arrival
from relay.spool.records import Priority, QueueEntry, Selection, TraceEntry
from relay.spool.store import Spool
from relay.transfer.dispatcher import Dispatcher
from relay.upstream.contract import Upstream
from tests.transfer.actor import Actor, Offer

MESSAGE = b"From: App <app@clinic.test>\r\nTo: a@far.test\r\nSubject: Results\r\n\r\nSecret body\r\n"


def mailbox(text: str) -> Mailbox:
    found = parse_mailbox(text)
    assert found is not None
    return found


def settings_of(state_dir: Path, upstreams: dict[str, dict[str, Any]], **tables: Any) -> Settings:
    """Settings with short pauses; `upstreams` and `tables` as in relay.toml."""
    queue = {"retry_first": 0.1, "retry_most": 0.4, "jitter": 0.0, "retry_ambiguous": 0.1} | tables.pop("queue", {})
    client = {"username": "app", "upstream": tuple(upstreams)} | tables.pop("client", {})
    given = {"hostname": "relay.clinic.test", "state_dir": str(state_dir), "queue": queue, "client": {"app": client}}
    return Settings.model_validate(given | {"upstream": upstreams} | tables)


class Stage:
    """Everything between put and settled, for one test."""

    def __init__(self, folder: Path, settings: Settings, *upstreams: Upstream) -> None:
        self.folder = folder
        self.settings = settings
        self.upstreams = {upstream.name: upstream for upstream in upstreams}
        self.metrics = Metrics("test")
        self.spool: Spool
        self.dispatcher: Dispatcher

    async def __aenter__(self) -> Self:
        self.spool = await Spool.open("", self.folder)
        self.dispatcher = Dispatcher(
            self.settings, self.spool.outgoing, self.upstreams, Journal(self.metrics), self.spool.intake.put
        )
        await self.dispatcher.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for upstream in self.upstreams.values():
            if isinstance(upstream, Actor):
                upstream.go.set()
        await self.dispatcher.drain(2.0)
        for upstream in self.upstreams.values():
            await upstream.aclose()
        await self.spool.aclose()

    async def put(
        self,
        *recipients: str | Recipient,
        sender: str | None = "app@clinic.test",
        content: bytes = MESSAGE,
        give_up: float = 3600.0,
        age: float = 0.0,
        candidates: tuple[str, ...] = (),
        envelope_id: str | None = None,
        dsn_return: DsnReturn | None = None,
        priority: Priority = Priority.NORMAL,
        client: str = "app",
    ) -> str:
        """Put a message that was accepted `age` seconds ago; return its ID."""
        rows = tuple(one if isinstance(one, Recipient) else Recipient(mailbox(one)) for one in recipients)
        now = time.time_ns() // 1_000_000 - round(age * 1000)
        id_ = self.spool.intake.next_id()
        arrival = Arrival(
            id=id_,
            origin=Origin("submission", client, "10.1.2.3", "app.clinic.test"),
            envelope=Envelope(
                mailbox(sender) if sender else None, rows, envelope_id=envelope_id, dsn_return=dsn_return
            ),
            candidates=candidates or tuple(self.upstreams),
            content=content,
            size=len(content),
            eight_bit=not content.isascii(),
            header_from="app@clinic.test",
            message_id="<1@clinic.test>",
            accepted_at=now,
            give_up_at=now + round(give_up * 1000),
            priority=priority,
        )
        await self.spool.intake.put(arrival)
        return id_

    async def trace(self, id_: str) -> TraceEntry:
        return (await self.spool.inspection.trace(Selection(id=id_), None, None, 1))[0]

    async def events(self, id_: str) -> list[str]:
        """The words of a message's trace, oldest first."""
        return [event.event for event in (await self.trace(id_)).events]

    async def states(self, id_: str) -> list[str]:
        return [row.state.value for row in (await self.trace(id_)).recipients]

    async def queue(self) -> list[QueueEntry]:
        return list(await self.spool.inspection.queue(Selection(), None, 1000))

    async def remove(self, id_: str) -> None:
        """What an operator's `queue remove` does."""
        await self.spool.inspection.change("remove", Selection(id=id_))

    async def settled_event(self, id_: str, event: str) -> None:
        """Wait until the message's trace has this word."""
        deadline = time.monotonic() + 20
        while event not in await self.events(id_):
            if time.monotonic() > deadline:
                raise AssertionError(f"waited for {event}: {await self.trace(id_)}")
            await asyncio.sleep(0.01)

    async def settled(self, id_: str, *states: str) -> TraceEntry:
        """The message's trace, once its recipients are in these states."""
        entry = await self.trace(id_)
        deadline = time.monotonic() + 20
        while [row.state.value for row in entry.recipients] != list(states):
            if time.monotonic() > deadline:
                raise AssertionError(f"waited for {states}: {entry}")
            await asyncio.sleep(0.01)
            entry = await self.trace(id_)
        return entry


async def until(condition: Callable[[], object], what: str, seconds: float = 20.0) -> None:
    """Wait until `condition` is true; AssertionError naming `what` after so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s in vain for {what}")
        await asyncio.sleep(0.005)


def parsed(offer: Offer) -> EmailMessage:
    message = BytesParser(policy=policy.SMTP).parsebytes(offer.octets)
    assert isinstance(message, EmailMessage)
    return message


def notify(address: str, wanted: Notify, original: str | None = None) -> Recipient:
    return Recipient(mailbox(address), wanted, original)
