"""One message whose client waits for the upstream's answer, and one offer of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from relay.envelope import Content, WholeContent
from relay.journal import Journal
from relay.reply import Reply
from relay.spool.contract import Arrival
from relay.spool.records import Claim, Lease, RecipientState, SpooledMessage, SpooledRecipient
from relay.transfer.attempt import Attempt
from relay.transfer.faces import Faces
from relay.transfer.meter import Meter
from relay.transfer.outcome import Deferred, Outcome, Relayed
from relay.transfer.verdict import account_hold
from relay.upstream.contract import Upstream

_NO_LEASE = Lease("", "", 0)


@dataclass(frozen=True, slots=True)
class Ended:
    """What came of an offer, an outcome for each of its recipients.

    `unreached`: the upstream could not be reached, or let nobody in, so that another may be tried; `offered` False:
    nobody was asked. `note`: how the message differed from the one that came.
    """

    outcomes: tuple[Outcome, ...]
    dsn: bool = False
    unreached: bool = False
    offered: bool = True
    note: Reply | None = None


def not_offered(said: Reply, recipients: int, *, unreached: bool = False, offered: bool = False) -> Ended:
    """Return the end of an offer that was not made, or broken off before the upstream can have taken anything."""
    return Ended((Deferred(said),) * recipients, unreached=unreached, offered=offered)


class Delivery:
    """From the final dot of the client to the last outcome.

    `heard` is what the client waits for, which may be cancelled; `answered`: it was told, whether it was there or not;
    `late`: that was before the outcome was known. `over` is done when the outcome is recorded. `said_before`: the
    answer by which an earlier try reached some of its recipients.
    """

    def __init__(self, arrival: Arrival, listening: Callable[[], bool]) -> None:
        loop = asyncio.get_running_loop()
        self.arrival = arrival
        self.listening = listening
        self.content: Content
        self.started = loop.time()
        self.heard: asyncio.Future[Reply] = loop.create_future()
        self.answered = False
        self.over: asyncio.Future[None] = loop.create_future()
        self.outcomes: dict[int, Outcome] = {}
        self.upstream = arrival.candidates[0]
        self.dsn = False
        self.offered = False
        self.late = False
        self.note: Reply | None = None
        self.uncertain_before = 0
        self.reached_before: frozenset[str] = frozenset()
        self.said_before: Reply | None = None

    @property
    def identified(self) -> bool:
        """True where the message came with a Message-ID of its own: the same again is a repetition."""
        return self.arrival.id not in self.arrival.message_id

    @property
    def seconds(self) -> float:
        """Time since the final dot."""
        return asyncio.get_running_loop().time() - self.started

    @property
    def relayed(self) -> bool:
        """True once somebody was reached."""
        return any(isinstance(one, Relayed) for one in self.outcomes.values())

    def ordered(self) -> list[Outcome]:
        """Return the outcomes by position."""
        return [self.outcomes[at] for at in range(len(self.arrival.envelope.recipients))]

    async def read(self) -> None:
        """Get at the content. Raises SpoolError."""
        content = self.arrival.content
        if isinstance(content, bytes):
            self.content = WholeContent(content)
        else:
            self.content = await content.content(eight_bit=self.arrival.eight_bit)

    def leave_out(self, paths: frozenset[str]) -> None:
        """Go on without those recipients, who were reached by an earlier try."""
        self.reached_before = paths
        envelope = self.arrival.envelope
        rest = tuple(one for one in envelope.recipients if str(one.forward_path) not in paths)
        self.arrival = replace(self.arrival, envelope=replace(envelope, recipients=rest))

    def answer(self, said: Reply) -> None:
        """Tell the client, unless it was told already."""
        if not self.answered:
            self.answered = True
            if not self.heard.done():
                self.heard.set_result(said)

    async def close(self) -> None:
        """The outcome is recorded: nothing of the message is needed any more."""
        if not isinstance(self.arrival.content, bytes):
            await self.arrival.content.discard()
        if not self.over.done():
            self.over.set_result(None)

    def arrival_at(self, upstream: str) -> Arrival:
        """Return the arrival with this upstream first."""
        candidates = self.arrival.candidates
        if candidates[0] == upstream:
            return self.arrival
        return replace(self.arrival, candidates=(upstream, *(one for one in candidates if one != upstream)))

    def claim(self, upstream: str, positions: Sequence[int] | None = None) -> Claim:
        """Return what an attempt takes, as the spool would give it out; `positions` None: all recipients."""
        arrival = self.arrival
        everybody = range(len(arrival.envelope.recipients))
        rows = tuple(_row(arrival, at, upstream) for at in (everybody if positions is None else positions))
        return Claim(_message(arrival), upstream, rows, _NO_LEASE, self.content)


class Offer:
    """A message, or a part of it, that waits for a connection or is on its way. `result` None: nothing was offered."""

    def __init__(self, claim: Claim, journal: Journal) -> None:
        loop = asyncio.get_running_loop()
        self.claim = claim
        self.result: asyncio.Future[Ended | None] = loop.create_future()
        self.attempt: Attempt | None = None
        self.offered_at = loop.time()
        self.dot_at = 0.0
        self._journal = journal
        self._withdrawn = False

    @property
    def begun(self) -> bool:
        """True once the upstream's limits admitted it."""
        return self.attempt is not None and self.attempt.counted

    @property
    def past_dot(self) -> bool:
        """True once the upstream may have taken it."""
        return self.attempt is not None and self.attempt.past_dot

    def begin(self, upstream: Upstream, meter: Meter, faces: Faces) -> Attempt:
        """Return the attempt."""
        face = faces.face_of(self.claim.message, self.claim.upstream)
        self.attempt = Attempt(self.claim, upstream, meter, self._may_end, self, self._journal, face, trial=False)
        return self.attempt

    def dismiss(self) -> None:
        """It will not be begun."""
        self._end(None)

    def withdraw(self) -> None:
        """Break it off, before the final dot only."""
        self._withdrawn = True
        if self.attempt is None:
            self._end(None)
        else:
            self.attempt.interrupt()

    async def settle(
        self,
        claim: Claim,
        outcomes: Sequence[Outcome],
        *,
        trial_at: int | None = None,
        dsn: bool = False,
        note: Reply | None = None,
    ) -> None:
        """Take the outcomes."""
        shut = not self.begun and account_hold(outcomes) is not None
        self._end(Ended(tuple(outcomes), dsn, unreached=shut or trial_at is not None, note=note))

    async def give_back(self, claims: Sequence[Claim]) -> None:
        """Take note that nothing was offered."""
        self._end(None)

    def _may_end(self, _claim: Claim) -> bool:
        self.dot_at = asyncio.get_running_loop().time()
        return not self._withdrawn

    def _end(self, ended: Ended | None) -> None:
        if not self.result.done():
            self.result.set_result(ended)


def _message(arrival: Arrival) -> SpooledMessage:
    envelope = arrival.envelope
    return SpooledMessage(
        id=arrival.id,
        origin=arrival.origin,
        reverse_path=envelope.reverse_path,
        body=envelope.body,
        smtputf8=envelope.smtputf8,
        envelope_id=envelope.envelope_id,
        dsn_return=envelope.dsn_return,
        header_from=arrival.header_from,
        message_id=arrival.message_id,
        size=arrival.size,
        eight_bit=arrival.eight_bit,
        priority=arrival.priority,
        accepted_at=arrival.accepted_at,
    )


def _row(arrival: Arrival, position: int, upstream: str) -> SpooledRecipient:
    return SpooledRecipient(
        position=position,
        recipient=arrival.envelope.recipients[position],
        state=RecipientState.IN_FLIGHT,
        upstream=upstream,
        candidates=arrival.candidates,
        attempts=1,
        uncertain=0,
        next_attempt_at=arrival.accepted_at,
        give_up_at=arrival.give_up_at,
    )
