"""`relay test`: one message straight through an upstream, past the queue."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

from relay.address import Mailbox
from relay.config.settings import Settings
from relay.control.shapes import reply_text
from relay.envelope import Body, Envelope, Recipient, WholeContent
from relay.upstream.contract import Phase, Upstream


@dataclass(frozen=True, slots=True)
class _Trial:
    """The clearance of a message that has no lease to lose."""

    admit: Callable[[], Awaitable[None]]

    async def before_mail(self) -> None:
        await self.admit()

    def before_final_dot(self) -> bool:
        return True


def trial_sender(settings: Settings, upstream: str) -> str:
    """Return whom a test message is from where nobody said: the account, else the first sender of a client of it."""
    account = settings.upstream[upstream].account
    if account:
        return account
    for client in settings.client.values():
        if upstream in client.upstreams:
            for sender in client.senders:
                if not sender.startswith("@"):
                    return sender
    return f"relay@{settings.hostname}"


def trial_content(hostname: str, upstream: str, sender: Mailbox, recipient: Mailbox, trial_id: str) -> bytes:
    """Return the test message."""
    lines = (
        f"From: Relay <{sender}>",
        f"To: <{recipient}>",
        f"Subject: Test of {upstream} by Relay",
        f"Date: {formatdate()}",
        f"Message-ID: <{trial_id}@{hostname}>",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "",
        f"This message was sent by `relay test {upstream}` on {hostname}.",
        "That you read it shows that mail goes out through this upstream.",
        "",
    )
    return "\r\n".join(lines).encode("utf-8")


async def trial_of(
    upstream: Upstream,
    trial_id: str,
    hostname: str,
    sender: Mailbox,
    recipient: Mailbox,
    admit: Callable[[], Awaitable[None]],
) -> dict[str, Any]:
    """Send it once `admit` returns, which counts it; return `relay test --json`."""
    content = WholeContent(trial_content(hostname, upstream.name, sender, recipient, trial_id))
    smtputf8 = not (sender.ascii and recipient.ascii)
    body = Body.SEVEN_BIT if content.octets.isascii() else Body.EIGHT_BIT_MIME
    envelope = Envelope(sender, (Recipient(recipient),), body, smtputf8)
    conversation = await upstream.send(envelope, content, _Trial(admit))
    said = conversation.reply
    refused = next((each for each in conversation.recipients if each and not each.positive), None)
    ok = conversation.phase is Phase.DONE and said is not None and said.positive and refused is None
    return {
        "ok": ok,
        "id": trial_id,
        "reply": reply_text(refused or said),
        "said_by": said.said_by if said else None,
        "phase": conversation.phase.name.lower(),
        "cause": conversation.cause.value if conversation.cause else None,
        "sender": str(sender),
        "recipient": str(recipient),
    }
