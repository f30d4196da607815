"""A client that waits: arrivals for direct delivery, and whether anybody still listens."""

from __future__ import annotations

import asyncio
import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relay.envelope import Envelope, Notify, Origin, Recipient
from relay.reply import Reply
from relay.spool.contract import Arrival
from relay.spool.records import Selection, TraceEntry
from tests.transfer.actor import Actor, said
from tests.transfer.stage import Stage, mailbox, settings_of, until

HEADER = b"From: App <app@clinic.test>\r\nMessage-ID: <7@clinic.test>\r\n"


@dataclass
class Waiting:
    """What an application does at the final dot. `listens` False: it has hung up meanwhile."""

    stage: Stage
    listens: bool = True

    def arrival(
        self,
        *recipients: str | Recipient,
        body: bytes = b"Results\r\n",
        sender: str = "app@clinic.test",
        candidates: tuple[str, ...] = (),
        own_id: bool = True,
        give_up: float = 3600.0,
    ) -> Arrival:
        """One message; the same arguments make it again, with another ID."""
        rows = tuple(one if isinstance(one, Recipient) else Recipient(mailbox(one)) for one in recipients)
        id_ = self.stage.spool.intake.next_id()
        now = time.time_ns() // 1_000_000
        content = b"Received: %s\r\n" % id_.encode() + HEADER + b"\r\n" + body
        return Arrival(
            id=id_,
            origin=Origin("submission", "app", "10.1.2.3", "app.clinic.test"),
            envelope=Envelope(mailbox(sender), rows),
            candidates=candidates or tuple(self.stage.upstreams),
            content=content,
            size=len(content),
            eight_bit=False,
            header_from="app@clinic.test",
            message_id="<7@clinic.test>" if own_id else f"<{id_}@relay.clinic.test>",
            accepted_at=now,
            give_up_at=now + round(give_up * 1000),
            mark=hashlib.sha256(HEADER).digest(),
        )

    async def carry(self, arrival: Arrival, seconds: float = 20.0) -> Reply:
        """The reply to the final dot."""
        async with asyncio.timeout(seconds):
            return await self.stage.dispatcher.direct.carry(arrival, lambda: self.listens)

    async def send(self, *recipients: str | Recipient, body: bytes = b"Results\r\n") -> str:
        """The reply as text."""
        return str(await self.carry(self.arrival(*recipients, body=body)))

    async def over(self) -> None:
        """Wait until every outcome is recorded."""
        await until(lambda: not self.stage.dispatcher.direct.under_way, "every outcome to be recorded")

    async def last(self) -> TraceEntry | None:
        """The trace of the newest message."""
        await self.over()
        entries = await self.stage.spool.inspection.trace(Selection(client="app"), None, None, 1)
        return entries[0] if entries else None

    async def seen(self, id_: str, event: str) -> None:
        """Wait until a message's trace has this word; a message comes into it a moment after its client has heard."""
        async with asyncio.timeout(20):
            while True:
                entries = await self.stage.spool.inspection.trace(Selection(id=id_), None, None, 1)
                if any(event == happened.event for entry in entries for happened in entry.events):
                    return
                await asyncio.sleep(0.005)

    async def events(self) -> list[str]:
        """The words of the newest message's trace."""
        entry = await self.last()
        return [] if entry is None else [event.event for event in entry.events]


def asks(address: str, wanted: Notify) -> Recipient:
    """A recipient with NOTIFY."""
    return Recipient(mailbox(address), wanted)


SMTP = {"type": "smtp", "host": "mx.provider.test", "timeout": 20.0}
HASTY = SMTP | {"timeout": 0.2}
UNKNOWN, BUSY = said(550, "5.1.1 Nobody of that name"), said(450, "4.2.1 Busy")


def stage_of(folder: Path, actor: Actor, settings: dict[str, Any] | None = None, **tables: Any) -> Stage:
    return Stage(folder, settings_of(folder, {"isp": settings or SMTP}, **tables), actor)
