"""What the spool keeps: messages, their recipients' states, claims, gates and the trace."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field

from relay.address import ReversePath
from relay.envelope import Body, Content, DsnReturn, Envelope, Origin, Recipient
from relay.reply import Reply


class RecipientState(enum.StrEnum):
    """Where one recipient of one message stands."""

    QUEUED = "queued"
    IN_FLIGHT = "in_flight"
    RELAYED = "relayed"
    FAILED = "failed"
    HELD = "held"
    REMOVED = "removed"

    @property
    def waiting(self) -> bool:
        """True while something is still to be done with it."""
        return self in {RecipientState.QUEUED, RecipientState.IN_FLIGHT, RecipientState.HELD}


class Priority(enum.IntEnum):
    """Who goes first where an upstream's limit is reached; lower is earlier."""

    HIGH = 0
    NORMAL = 1
    BULK = 2


class HoldReason(enum.StrEnum):
    """Why an upstream, or one message, is held; the `reason` label of `relay_upstream_held`."""

    AUTH = "auth"
    CONSENT = "consent"
    LICENCE = "licence"
    QUOTA = "quota"
    SEND_AS = "send_as"
    SECRET = "secret"  # noqa: S105 - a reason, not a password
    AMBIGUOUS = "ambiguous"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class SpooledMessage:
    """A message as it was accepted, less its recipients. `notice` marks our own bounces, of which nobody is told."""

    id: str
    origin: Origin
    reverse_path: ReversePath
    body: Body
    smtputf8: bool
    envelope_id: str | None
    dsn_return: DsnReturn | None
    header_from: str
    message_id: str
    size: int
    eight_bit: bool
    priority: Priority
    accepted_at: int
    notice: bool = False


@dataclass(frozen=True, slots=True)
class SpooledRecipient:
    """One recipient's row. `candidates` are the upstreams in the order to try; `upstream` the one in turn.

    `attempts` counts those begun, the running one included; `uncertain` how many of them ended without a reply after
    the final dot; `give_up_at` moves on by the time for which its upstream was held.
    """

    position: int
    recipient: Recipient
    state: RecipientState
    upstream: str
    candidates: tuple[str, ...]
    attempts: int
    uncertain: int
    next_attempt_at: int
    give_up_at: int
    reply: Reply | None = None
    hold_reason: HoldReason | None = None
    delay_told: bool = False


@dataclass(frozen=True, slots=True)
class Lease:
    """The right of one node to settle a claim until `expires_at`; `token` is new at every claim."""

    node: str
    token: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class Claim:
    """One message's due recipients for one upstream, ours while the lease lasts.

    `whole`: the message has no others. Known of what was handed over as it was put; else it may be so too.
    """

    message: SpooledMessage
    upstream: str
    recipients: tuple[SpooledRecipient, ...]
    lease: Lease
    content: Content
    whole: bool = False

    @property
    def envelope(self) -> Envelope:
        """The envelope to offer: the recipients of this claim only."""
        m = self.message
        recipients = tuple(row.recipient for row in self.recipients)
        return Envelope(m.reverse_path, recipients, m.body, m.smtputf8, m.envelope_id, m.dsn_return)


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of one recipient in one attempt. `event` is the word for trace and log.

    With state QUEUED `next_attempt_at` says when; `upstream` moves the row to another candidate; `uncertain` adds one
    to the row's count; with state HELD `hold_reason` says why. `note` tells how the message that was offered
    differed from the one that was accepted: the trace has it before the outcome, as `rewritten`.
    """

    position: int
    state: RecipientState
    event: str
    reply: Reply | None
    next_attempt_at: int | None = None
    upstream: str | None = None
    uncertain: bool = False
    hold_reason: HoldReason | None = None
    delay_told: bool = False
    note: Reply | None = None


@dataclass(frozen=True, slots=True)
class Gate:
    """A held upstream: kept in the spool, surviving restarts; its messages stay QUEUED.

    `next_probe_at` None: until somebody releases it. `probes` counts those made, for the growing pause.
    """

    upstream: str
    reason: HoldReason
    since_at: int
    reply: Reply | None
    next_probe_at: int | None
    probes: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a queued recipient stands among those of its upstream with the same priority."""

    next_attempt_at: int
    message: str
    position: int


@dataclass(frozen=True, slots=True)
class QueuedRecipient:
    """A queued recipient, as one looks at it who may send it by another upstream; `uncertain` as in its row."""

    place: Place
    client: str
    reverse_path: ReversePath
    header_from: str
    notice: bool
    candidates: tuple[str, ...]
    uncertain: int


@dataclass(frozen=True, slots=True)
class Load:
    """How busy an upstream is: what says when it could send one more message.

    `room`: messages that its limits admit now, None for any number; behind them one more at `opens_at`, and then one
    each `pause` milliseconds. `waiting`: recipients queued for it or in flight. `open`: neither held nor unreachable.
    """

    open: bool = True
    waiting: int = 0
    room: int | None = None
    opens_at: int = 0
    pause: int = 0


@dataclass(frozen=True, slots=True)
class Use:
    """One use of an upstream's quota, counted at MAIL."""

    at: int
    messages: int
    recipients: int


@dataclass(frozen=True, slots=True)
class Selection:
    """Which messages an operator means: one by `id`, those of a client, those of an upstream, or all; anded.

    `refused_sender`: only what is held because this From may not be used, compared without case.
    """

    id: str | None = None
    client: str | None = None
    upstream: str | None = None
    refused_sender: str | None = None


@dataclass(frozen=True, slots=True)
class QueueEntry:
    """A message with something still to be done, as the operator sees it; `recipients` only those waiting."""

    message: SpooledMessage
    recipients: tuple[SpooledRecipient, ...]


@dataclass(frozen=True, slots=True)
class TraceEvent:
    """One thing that happened to a message, or to one recipient of it."""

    at: int
    event: str
    recipient: str | None
    upstream: str | None
    reply: Reply | None


@dataclass(frozen=True, slots=True)
class TraceEntry:
    """What became of one message."""

    message: SpooledMessage
    recipients: tuple[SpooledRecipient, ...]
    events: tuple[TraceEvent, ...]


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """Recipients waiting, by upstream and state, and when the oldest of each upstream was accepted."""

    recipients: dict[tuple[str, RecipientState], int] = field(default_factory=dict)
    oldest_at: dict[str, int] = field(default_factory=dict)

    def total(self, state: RecipientState, upstreams: Sequence[str] | None = None) -> int:
        """Return the recipients in `state` over all, or the named, upstreams."""
        return sum(
            count
            for (upstream, at), count in self.recipients.items()
            if at is state and (upstreams is None or upstream in upstreams)
        )


@dataclass(frozen=True, slots=True)
class Space:
    """Octets free on the spool's disk, and how many of them are kept in reserve."""

    free: int
    reserve: int
