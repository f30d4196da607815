"""The offers of a message whose client waits: to which upstream, in how many parts, and until when it waits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from relay.spool.records import HoldReason
from relay.transfer.direct_delivery import Delivery, Ended, Offer, not_offered
from relay.transfer.direct_reply import (
    LIMIT_REACHED,
    NO_ANSWER,
    NO_TURN,
    NO_UPSTREAM,
    NOT_REACHED,
    STOPPING,
    TOO_SLOW,
    held_by,
    lasting,
    softened,
)
from relay.transfer.lane import Lane
from relay.transfer.outcome import Deferred, Failed, Outcome, Relayed, Uncertain
from relay.transfer.sender_rights import may_carry
from relay.transfer.surroundings import Surroundings

_BEFORE_DOT: Final = 540.0
"""Seconds from the client's final dot to the upstream's: the client waits ten minutes at least, RFC 5321 §4.5.3.2.6."""

_OFFERS: Final = 5
"""Offers of one message to one upstream: one that was given back, because others took its connection, is made again."""


class Offers:
    """Makes them. `lane_of` gives an upstream's lane where it is configured.

    `hurry` gives what is done when nobody may wait any longer; `late` is called when the client has to be answered
    although the upstream has not.
    """

    def __init__(
        self,
        surroundings: Surroundings,
        lane_of: Callable[[str], Lane | None],
        hurry: Callable[[], asyncio.Future[Any]],
        late: Callable[[Delivery], Awaitable[None]],
    ) -> None:
        self._around = surroundings
        self._lane_of = lane_of
        self._hurry = hurry
        self._late = late

    async def make(self, delivery: Delivery) -> Sequence[int]:
        """Offer the message, in parts where it has more recipients than an envelope may have; all get an outcome.

        Return the positions that were offered last. Who was not offered shares the end that stopped the rest.
        """
        pending = list(range(len(delivery.arrival.envelope.recipients)))
        part: list[int] = []
        while pending:
            most = self._most_recipients(delivery)
            part, pending = pending[:most], pending[most:]
            ended = await self._offer_to_any(delivery, part)
            delivery.outcomes.update(zip(part, ended.outcomes, strict=True))
            delivery.offered = delivery.offered or ended.offered
            delivery.dsn = ended.dsn
            delivery.note = ended.note or delivery.note
            if delivery.late:
                # The client heard 451, and repeats it to all: the rest is not ours to send.
                delivery.outcomes.update((at, Deferred(NO_ANSWER)) for at in pending)
                break
            again = _blameless(part, ended.outcomes)
            pending = again + pending
            stopped = (one for one in ended.outcomes if not isinstance(one, Relayed) and not lasting(one))
            end = next(stopped, None)
            if end is not None and not again:
                said = NO_ANSWER if isinstance(end, Uncertain) else end.reply
                delivery.outcomes.update((at, Deferred(said)) for at in pending)
                break
        return part

    def _most_recipients(self, delivery: Delivery) -> int:
        upstreams = self._around.settings.upstream
        known = (upstreams[name] for name in delivery.arrival.candidates if name in upstreams)
        return min((one.recipients_per_message for one in known), default=1)

    async def _offer_to_any(self, delivery: Delivery, part: Sequence[int]) -> Ended:
        """Offer to the first upstream that lets us in; once one was offered something, to that one only."""
        first: Ended | None = None
        names = (delivery.upstream,) if delivery.offered else delivery.arrival.candidates
        for name in names:
            if first is not None and not self._may_carry(name, delivery):
                continue
            ended = await self._offer_to(name, delivery, part)
            if not ended.unreached:
                delivery.upstream = name if ended.offered or first is None else delivery.upstream
                return ended if ended.offered or first is None else first
            first = first or ended
        return first or not_offered(NO_UPSTREAM, len(part))

    def _may_carry(self, name: str, delivery: Delivery) -> bool:
        arrival, settings = delivery.arrival, self._around.settings
        path, client = arrival.envelope.reverse_path, arrival.origin.client
        return may_carry(settings, name, client, path, arrival.header_from, notice=arrival.notice)

    async def _offer_to(self, name: str, delivery: Delivery, part: Sequence[int]) -> Ended:
        offered_at = asyncio.get_running_loop().time()
        for _ in range(_OFFERS):
            lane = self._lane_of(name)
            if lane is None:
                return not_offered(NO_UPSTREAM, len(part), unreached=True)
            closed = self._closed(lane, len(part))
            if closed is not None:
                return closed
            offer = Offer(delivery.claim(name, part), self._around.journal)
            offer.offered_at = offered_at
            lane.attempts.offer(offer)
            ended = await self._end_of(offer, lane, delivery)
            if delivery.late:
                # Whatever came of it, the client heard 451: nobody else is asked, and nothing is offered again.
                return replace(ended, unreached=False) if ended else not_offered(NO_ANSWER, len(part))
            if ended is not None:
                return ended
        return not_offered(NO_TURN, len(part))

    def _closed(self, lane: Lane, recipients: int) -> Ended | None:
        """Return why nothing is offered to this upstream just now, or None."""
        if lane.attempts.stopped:
            return not_offered(STOPPING, recipients)
        gate, reach = lane.standing.gate, lane.standing.reach
        if gate is not None:
            # An operator's word is that nothing goes just now.
            return not_offered(held_by(gate), recipients, unreached=gate.reason is not HoldReason.OPERATOR)
        if reach.down:
            said = softened(reach.reply, "The upstream cannot be reached") if reach.reply else NOT_REACHED
            return not_offered(said, recipients, unreached=True)
        if lane.meter.opens_at(recipients) > self._around.clock() + 1000 * self.patience(lane.name):
            return not_offered(LIMIT_REACHED, recipients)
        return None

    async def _end_of(self, offer: Offer, lane: Lane, delivery: Delivery) -> Ended | None:
        """Wait for an offer's end; None where it was given back, to be made again.

        Before its final dot it is broken off when the time is over. Behind it nobody can know what becomes of it: the
        client hears 451, and the upstream's answer is waited for without him.
        """
        loop, hurry = asyncio.get_running_loop(), self._hurry()
        patience = self.patience(lane.name)
        while not offer.result.done():
            until = _until(offer, delivery, patience)
            left = until - loop.time()
            if left > 0 and not hurry.done():
                await asyncio.wait({offer.result, hurry}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                continue
            if offer.past_dot:
                return await self._without_client(offer, delivery)
            return await self._broken_off(offer, lane, hurried=hurry.done())
        return offer.result.result()

    async def _broken_off(self, offer: Offer, lane: Lane, *, hurried: bool) -> Ended:
        if offer in lane.attempts.waiting:
            lane.attempts.waiting.remove(offer)
        begun = offer.begun
        offer.withdraw()
        # It may have ended just now by itself.
        ended = await offer.result
        said = STOPPING if hurried else TOO_SLOW if begun else NO_TURN
        return ended or not_offered(said, len(offer.claim.recipients), offered=begun)

    async def _without_client(self, offer: Offer, delivery: Delivery) -> Ended | None:
        if not delivery.relayed:
            delivery.late = delivery.offered = True
            delivery.upstream = offer.claim.upstream
            await self._late(delivery)
        return await offer.result

    def patience(self, upstream: str) -> float:
        """Return the seconds for which a client waits for its turn, and then for the answer to the final dot."""
        settings = self._around.settings.upstream.get(upstream)
        return settings.timeout if settings is not None else 60.0


def _until(offer: Offer, delivery: Delivery, patience: float) -> float:
    """Return until when the client waits for the next stage: its turn, the final dot, and the answer to that."""
    if offer.past_dot:
        return offer.dot_at + patience
    if offer.begun:
        return delivery.started + _BEFORE_DOT
    # Connecting has time-outs of its own; what is behind it, the upstream's limits, is waited for a little longer.
    return offer.offered_at + (patience if offer.attempt is None else 2 * patience)


def _blameless(part: Sequence[int], outcomes: Sequence[Outcome]) -> list[int]:
    """Return those deferred by the very reply that refused another: Amazon SES names one and refuses the message."""
    blamed = {one.reply for one in outcomes if isinstance(one, Failed)}
    return [
        at
        for at, one in zip(part, outcomes, strict=True)
        if isinstance(one, Deferred) and one.row != "" and one.reply in blamed
    ]
