"""One claim on its way upstream."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from relay.envelope import Envelope
from relay.journal import Journal
from relay.reply import Reply, reply
from relay.spool.records import Claim
from relay.transfer.meter import Meter
from relay.transfer.outcome import Outcome
from relay.transfer.presentation import presented
from relay.transfer.receipts import asks_receipt, header_of, receipt_address, without_success
from relay.transfer.rewriting import Face
from relay.upstream.contract import Cause, Conversation, Phase, Upstream

_OUR_FAULT = reply(451, "4.3.0", "An error of the relay's own; it may be tried again")


class Ends(Protocol):
    """Who hears what came of an attempt."""

    async def settle(
        self,
        claim: Claim,
        outcomes: Sequence[Outcome],
        *,
        trial_at: int | None = None,
        dsn: bool = False,
        note: Reply | None = None,
    ) -> None:
        """Take the outcomes; `trial_at` where the upstream could not be reached: when it is next tried.

        `note` says how the message that was offered differs from the one that was accepted.
        """
        ...

    async def give_back(self, claims: Sequence[Claim]) -> None:
        """Take note that nothing was offered."""
        ...


class Attempt:
    """Offers the claim and reports; it is also the upstream's Clearance.

    `reached` tells that the upstream was ready for MAIL; `counted` that it was counted against its limits; `past_dot`
    that the message may have been taken, so that an end without an answer is uncertain. `trial`: nothing else is sent,
    to find out how the upstream is. `valid` tells before the final dot whether the claim is still ours. `face` is how
    the message is to look: `note` says what was done to it, `stands_in` that the upstream could not tell who is to hear
    of its arrival: we do.
    """

    def __init__(
        self,
        claim: Claim,
        upstream: Upstream,
        meter: Meter,
        valid: Callable[[Claim], bool],
        ends: Ends,
        journal: Journal,
        face: Face | None,
        *,
        trial: bool,
    ) -> None:
        self.claim = claim
        self.ends = ends
        self.trial = trial
        self.reached = False
        self.counted = False
        self.past_dot = False
        self.upstream = upstream
        self.note: Reply | None = None
        self.stands_in = False
        self._face = face
        self._meter = meter
        self._valid = valid
        self._journal = journal
        self._task: asyncio.Task[object] | None = None
        self._interrupted = False

    async def before_mail(self) -> None:
        """Wait until the upstream's limits admit the message, and count it; again where it is offered once more."""
        self.past_dot = False
        self.reached = True
        await self._meter.admit(len(self.claim.recipients))
        self.counted = True

    def before_final_dot(self) -> bool:
        """Return False when the lease was lost."""
        self.past_dot = self._valid(self.claim)
        return self.past_dot

    def interrupt(self) -> None:
        """End the conversation, if it still goes on, by closing its connection."""
        if self._task is not None:
            self._interrupted = True
            self._task.cancel()

    async def converse(self) -> Conversation | None:
        """Return the conversation; None when it was interrupted so early that the message cannot have been taken."""
        task = self._task = asyncio.current_task()
        try:
            envelope = self.claim.envelope
            if any(map(asks_receipt, envelope.recipients)):
                envelope = await self._receipts_by_us(envelope)
            if self._face is None:
                return await self.upstream.send(envelope, self.claim.content, self)
            return await self._presented(envelope, self._face)
        except asyncio.CancelledError:
            if not self._interrupted or task is None:
                raise
            task.uncancel()
            return self._broken_off(None) if self.past_dot else None
        except Exception as error:
            self._journal.failed("attempt", error)
            return self._broken_off(None if self.past_dot else _OUR_FAULT)
        finally:
            self._task = None

    async def _receipts_by_us(self, envelope: Envelope) -> Envelope:
        """Ask for none where the upstream's would not reach who is to get them."""
        configured = self._face.answers_to if self._face is not None else None
        header = await header_of(self.claim.content)
        if receipt_address(header, envelope.reverse_path, configured) == envelope.reverse_path:
            return envelope
        self.stands_in = True
        return without_success(envelope)

    async def _presented(self, envelope: Envelope, face: Face) -> Conversation:
        found = await presented(envelope, self.claim.content, face)
        if found.refusal is not None:
            nobody: tuple[Reply | None, ...] = (None,) * len(self.claim.recipients)
            return Conversation(Phase.MAIL, nobody, found.refusal, Cause.SENDER_NOT_ALLOWED)
        self.note = found.note
        self.stands_in = self.stands_in or found.stands_in
        return await self.upstream.send(found.envelope, found.content, self)

    def _broken_off(self, said: Reply | None) -> Conversation:
        phase = Phase.MAIL if said else Phase.FINAL_DOT
        replies: tuple[Reply | None, ...] = (None,) * len(self.claim.recipients)
        return Conversation(phase, replies, said)
