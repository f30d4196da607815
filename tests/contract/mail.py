"""Messages to put, and what to say of their attempts."""

import time

from relay.address import Mailbox
from relay.envelope import Body, DsnReturn, Envelope, Notify, Origin, Recipient
from relay.reply import reply
from relay.spool.contract import Arrival, Draft
from relay.spool.records import Claim, HoldReason, Priority, RecipientState, Settlement

OK = reply(250, "2.0.0", "Ok: queued", "mx.provider.test")
LATER = reply(451, "4.7.1", "try later", "mx.provider.test")
NEVER = reply(550, "5.1.1", "no such user", "mx.provider.test")
DAY = 86_400_000


class Clock:
    """Milliseconds since the epoch, as a test sets them."""

    def __init__(self) -> None:
        self.now = time.time_ns() // 1_000_000
        self.leapt = 0

    def __call__(self) -> int:
        return self.now

    def elapsed(self) -> float:
        """Seconds by a clock that nobody sets."""
        return (self.now - self.leapt) / 1000

    def forward(self, seconds: float) -> None:
        """Time goes by."""
        self.now += int(seconds * 1000)

    def leap(self, seconds: float) -> None:
        """The clock is set forward."""
        self.now += int(seconds * 1000)
        self.leapt += int(seconds * 1000)


def arrival(
    id_: str,
    now: int,
    *,
    recipients: int = 1,
    content: bytes | Draft = b"Subject: x\r\n\r\nbody\r\n",
    size: int | None = None,
    client: str = "careright",
    upstream: tuple[str, ...] = ("office365",),
    priority: Priority = Priority.NORMAL,
) -> Arrival:
    """A message for `r0@patient.test`, `r1@...`."""
    named = tuple(Recipient(Mailbox(f"r{at}", "patient.test")) for at in range(recipients))
    if size is None:
        assert isinstance(content, bytes)
        size = len(content)
    return Arrival(
        id=id_,
        origin=Origin("submission", client, "10.1.2.3", "app.test", "TLSv1.3", "PLAIN"),
        envelope=Envelope(Mailbox("no-reply", "clinic.test"), named),
        candidates=upstream,
        content=content,
        size=size,
        eight_bit=False,
        header_from="no-reply@clinic.test",
        message_id="<1@clinic.test>",
        accepted_at=now,
        give_up_at=now + 5 * DAY,
        priority=priority,
    )


def full_arrival(id_: str, now: int) -> Arrival:
    """A message with everything that an arrival can say."""
    return Arrival(
        id=id_,
        origin=Origin("smtps", "lab-ä", "2001:db8::1", "hélo \ud800\0", None, None),
        envelope=Envelope(
            None,
            (
                Recipient(Mailbox('"odd@ local"', "patient.test"), Notify.NEVER, "rfc822;a+2Bb@x"),
                Recipient(Mailbox("jürgen", "bücher.test"), Notify.SUCCESS | Notify.DELAY),
                Recipient(Mailbox("postmaster", "")),
            ),
            Body.EIGHT_BIT_MIME,
            smtputf8=True,
            envelope_id="QQ+3D1",
            dsn_return=DsnReturn.HDRS,
        ),
        candidates=("office365", 'the "second"', "drei"),
        content=b"\xff\x00\r\n",
        size=4,
        eight_bit=True,
        header_from="Zoë <zoë@clinic.test>",
        message_id="",
        accepted_at=now,
        give_up_at=now + 1,
        priority=Priority.BULK,
        notice=True,
    )


def relayed(claim: Claim) -> list[Settlement]:
    """Every recipient was taken."""
    return [Settlement(row.position, RecipientState.RELAYED, "relayed", OK) for row in claim.recipients]


def failed(claim: Claim) -> list[Settlement]:
    """Every recipient was refused for good."""
    return [Settlement(row.position, RecipientState.FAILED, "failed", NEVER) for row in claim.recipients]


def deferred(claim: Claim, until: int, *, uncertain: bool = False, upstream: str | None = None) -> list[Settlement]:
    """Every recipient is to be tried again."""
    return [
        Settlement(row.position, RecipientState.QUEUED, "deferred", LATER, until, upstream, uncertain)
        for row in claim.recipients
    ]


def held(claim: Claim, reason: HoldReason) -> list[Settlement]:
    """Every recipient waits for a person."""
    return [
        Settlement(row.position, RecipientState.HELD, "held", LATER, hold_reason=reason) for row in claim.recipients
    ]
