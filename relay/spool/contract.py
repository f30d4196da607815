"""The spool's three faces: what inbound, transfer and operators may do with it. The store behind them is `store.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from relay.envelope import Content, Envelope, Origin
from relay.reply import Reply
from relay.spool.records import (
    Claim,
    Gate,
    Place,
    Priority,
    QueueCounts,
    QueuedRecipient,
    QueueEntry,
    RecipientState,
    Selection,
    Settlement,
    TraceEntry,
    Use,
)


class SpoolError(Exception):
    """The spool cannot do it now. `full`: too little room, 452 4.3.1; else broken or locked, 451 4.3.0."""

    def __init__(self, text: str, *, full: bool = False) -> None:
        super().__init__(text)
        self.full = full


class Draft(Protocol):
    """Content that is being received, already in the spool but named by no message yet."""

    async def write(self, octets: bytes) -> None:
        """Append; waits while four chunks of this draft are not yet written. Raises SpoolError."""
        ...

    async def content(self, *, eight_bit: bool) -> Content:
        """Return what was written, to be read before anything names it: nothing can be appended then. SpoolError."""
        ...

    async def discard(self) -> None:
        """Give the room back. Does nothing once the draft was put; never raises."""
        ...


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message to be put. All recipients start with the same `candidates` (never empty) and `give_up_at`.

    `content` is the whole message or a draft that holds it; `size` and `eight_bit` speak of it. `mark` is the same when
    a client that waits for the upstream's answer sends the same header section again; empty for all others.
    """

    id: str
    origin: Origin
    envelope: Envelope
    candidates: tuple[str, ...]
    content: bytes | Draft = field(repr=False)
    size: int
    eight_bit: bool
    header_from: str
    message_id: str
    accepted_at: int
    give_up_at: int
    priority: Priority = Priority.NORMAL
    notice: bool = False
    mark: bytes = field(default=b"", repr=False)


class Carrier(Protocol):
    """Who takes a message upstream while its client waits, as inbound sees it."""

    async def carry(self, arrival: Arrival, listening: Callable[[], bool]) -> Reply:
        """Return the reply to the final dot; a caller that is cancelled ends nothing. Never raises.

        250 only where the message was relayed, to some recipients at least. `listening` tells whether the client is
        still there. A draft is discarded, or kept where something of the message still waits.
        """
        ...


class Taker(Protocol):
    """Who works on an upstream's messages, as the spool sees it. Called in the event loop; never raises."""

    def has_room(self, under_way: int, recipients: int) -> bool:
        """Return whether one more message to so many recipients would be begun; `under_way` are on their way here."""
        ...

    def take(self, claims: Sequence[Claim]) -> None:
        """Get messages that were just put, claimed already."""
        ...


class Intake(Protocol):
    """What inbound may do."""

    def next_id(self) -> str:
        """Return a new message ID: strictly increasing as ASCII on this node, over restarts and clocks set back."""
        ...

    def refusal(self) -> SpoolError | None:
        """Return why no message can be accepted just now, without waiting; None when it can."""
        ...

    def waiting(self, client: str) -> int:
        """Return how many messages of this client wait, without waiting."""
        ...

    def draft(self) -> Draft:
        """Begin a draft."""
        ...

    async def put(self, arrival: Arrival) -> None:
        """Return when the message is on stable storage. Raises SpoolError, and then nothing of it is kept."""
        ...


class Outgoing(Protocol):
    """What transfer may do."""

    async def wait_for_work(self, upstream: str, until_at: int | None) -> None:
        """Return when a recipient of this upstream may have become due or its gate changed, or at `until_at`."""
        ...

    async def claim(self, upstream: str, messages: int, recipients: int) -> Sequence[Claim]:
        """Lease what is due: at most `messages` claims, high priority and oldest first, of at most `recipients` each.

        Their attempts are counted in the same transaction. Raises SpoolError.
        """
        ...

    async def claim_overdue(
        self, upstream: str, recipients: int, after: str, now: int, untold_before_at: int
    ) -> tuple[Sequence[Claim], str | None]:
        """Lease some of what is due and beyond its time, in the order of IDs, those behind `after`.

        Meant are messages to be given up by `now`, and those accepted up to `untold_before_at` whose sender asked to
        hear of a delay and has not. Returns also behind which ID to go on, None at the end. Raises SpoolError.
        """
        ...

    def hand_to(self, upstream: str, taker: Taker) -> None:
        """From now on what is put goes to `taker` at once, claimed, where it has room and nothing older is due."""
        ...

    async def renew(self, claims: Sequence[Claim]) -> set[str]:
        """Extend the leases; return the tokens of those still held. Raises SpoolError."""
        ...

    async def give_back(self, claims: Sequence[Claim]) -> None:
        """Make the claims due again at once, their attempt not counted: it never began. Raises SpoolError."""
        ...

    async def postpone(self, postponed: Sequence[tuple[Claim, int]]) -> None:
        """Make each claim due at the instant given with it, its attempt not counted. Raises SpoolError."""
        ...

    async def settle(self, claim: Claim, settlements: Sequence[Settlement], notices: Sequence[Arrival]) -> bool:
        """Record the outcome of every recipient of the claim, and the notices it causes, in one transaction.

        False when the lease was lost: then nothing has changed. Raises SpoolError.
        """
        ...

    async def record(self, arrival: Arrival, settlements: Sequence[Settlement], notices: Sequence[Arrival]) -> None:
        """Put a message of which is known what became of each recipient, at its first candidate, in one transaction.

        Content is kept while one of them waits. Where that is so, or there are notices, it returns when all is on
        stable storage. Raises SpoolError, and then nothing of it is kept.
        """
        ...

    async def amend(
        self,
        id: str,  # noqa: A002
        upstream: str,
        settlements: Sequence[Settlement],
        notices: Sequence[Arrival],
    ) -> None:
        """Replace final outcomes of a message by others, which came to be known later, and put the notices of them.

        Raises SpoolError.
        """
        ...

    async def record_use(self, upstream: str, use: Use) -> None:
        """Count against the upstream's quotas. Raises SpoolError."""
        ...

    async def uses(self, upstream: str, since_at: int) -> Sequence[Use]:
        """Return the uses since then, oldest first, those older than an hour in sums of a minute."""
        ...

    def waiting_at(self, upstream: str, *states: RecipientState) -> int:
        """Return how many recipients wait for an upstream in these states, without waiting."""
        ...

    async def queued(
        self, upstream: str, priority: Priority, behind: Place | None, due_at: int | None, limit: int
    ) -> Sequence[QueuedRecipient]:
        """Return queued recipients in their order, those behind a place, and due by `due_at` (None: or later).

        Read beside the writing task. Raises SpoolError.
        """
        ...

    async def move(
        self, source: str, target: str, rows: Sequence[tuple[str, int]], why: Reply
    ) -> Sequence[tuple[str, Sequence[int]]]:
        """Give recipients, by message and position, to another upstream; return those that went, by message.

        Only what is still queued at `source`, and had no attempt that ended uncertain, goes. It keeps its time to give
        up; due, it stands behind what is due at `target`. The trace has `moved` with `why`. Raises SpoolError.
        """
        ...

    def next_id(self) -> str:
        """Return a new message ID, for a notice."""
        ...

    def gate(self, upstream: str) -> Gate | None:
        """Return the upstream's gate when it is held, without waiting."""
        ...

    async def hold(self, gate: Gate) -> None:
        """Hold the upstream, or change its gate."""
        ...

    async def release(self, upstream: str) -> bool:
        """Open the gate; `give_up_at` of what waits there moves on by the time held. False when it was open."""
        ...


Change = Literal["hold", "release", "retry", "remove"]


class Inspection(Protocol):
    """What operators may see and do; everything is read beside the writing task and never delays it."""

    async def queue(self, selection: Selection, after: str | None, limit: int) -> Sequence[QueueEntry]:
        """Return messages with something waiting, oldest first, those behind the ID `after`."""
        ...

    async def trace(
        self, selection: Selection, recipient: str | None, since_at: int | None, limit: int, before: str | None = None
    ) -> Sequence[TraceEntry]:
        """Return what became of messages, newest first, those with an ID below `before`.

        `recipient` is an address, compared without case.
        """
        ...

    async def counts(self) -> QueueCounts:
        """Return what waits, from counts kept by the transactions that change them."""
        ...

    async def change(self, change: Change, selection: Selection) -> int:
        """Hold, release, retry or remove the waiting recipients meant; return of how many messages."""
        ...

    async def reroute(self, selection: Selection, upstream: str) -> int:
        """Give the queued and held recipients meant to another upstream; return of how many messages."""
        ...

    def gates(self) -> Mapping[str, Gate]:
        """Return the held upstreams."""
        ...

    async def content(self, id: str) -> Content | None:  # noqa: A002 - the contract's word
        """Return a message's content while it is kept."""
        ...
