"""Direct delivery: the client waits, and hears the upstream's own answer. docs/message-path.md says how."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from relay.envelope import Notify
from relay.reply import Reply
from relay.spool.contract import Arrival, SpoolError
from relay.transfer.direct_delivery import Delivery
from relay.transfer.direct_memory import Key, Memory, key_of
from relay.transfer.direct_offers import Offers
from relay.transfer.direct_record import Records
from relay.transfer.direct_reply import NO_ANSWER, OUR_FAULT, STOPPING, TOO_OFTEN_UNCERTAIN, answer_to, passed_on
from relay.transfer.dsn import Customs
from relay.transfer.lane import Lane
from relay.transfer.outcome import Outcome, Relayed, Uncertain
from relay.transfer.surroundings import Surroundings

_LAST_WORDS: Final = 6.0
"""Seconds after a stop in which an answer may still come; then clients hear 451 before their connections are closed."""

_RECORD_PATIENCE: Final = 20.0


class Direct:
    """What `relay.spool.contract.Carrier` promises. `lane_of` gives an upstream's lane where it is configured."""

    def __init__(self, surroundings: Surroundings, lane_of: Callable[[str], Lane | None], records: Records) -> None:
        self._around = surroundings
        self._offers = Offers(surroundings, lane_of, self._hurried, self._answer_late)
        self._records = records
        self._memory = Memory(surroundings.clock)
        self._tasks: set[asyncio.Task[None]] = set()
        self._hurry: asyncio.Future[None] | None = None
        self._stopping = False

    @property
    def under_way(self) -> int:
        """How many messages have no recorded outcome yet."""
        return len(self._tasks)

    async def carry(self, arrival: Arrival, listening: Callable[[], bool]) -> Reply:
        """Return the reply to the final dot; a caller that is cancelled ends nothing. Never raises."""
        delivery = Delivery(arrival, listening)
        task = asyncio.get_running_loop().create_task(self._carried(delivery))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await delivery.heard

    def stop(self) -> None:
        """Let nobody wait any longer, a few seconds from now; begin nothing new then."""
        if not self._stopping:
            self._stopping = True
            asyncio.get_running_loop().call_later(_LAST_WORDS, self._hurry_up)

    async def settled(self, seconds: float) -> None:
        """Return when every outcome is recorded, at the latest after so many seconds; then the rest is given up."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        left = set(self._tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _hurry_up(self) -> None:
        hurry = self._hurried()
        if not hurry.done():
            hurry.set_result(None)

    def _hurried(self) -> asyncio.Future[None]:
        if self._hurry is None:
            self._hurry = asyncio.get_running_loop().create_future()
        return self._hurry

    # ---- one message -----------------------------------------------------------------------------------

    async def _carried(self, delivery: Delivery) -> None:
        end: Callable[[], None] | None = None
        try:
            if self._hurried().done():
                self._refuse(delivery, STOPPING)
                return
            await delivery.read()
            key = key_of(delivery.arrival)
            said = await self._said_before(key, delivery) if key is not None else None
            if said is not None:
                self._repeated(delivery, said)
                return
            end = self._memory.begin(key, delivery) if key is not None else None
            await self._deliver(key, delivery)
        except SpoolError as error:
            self._around.journal.failed("direct", error)
        except Exception as error:  # task root: whatever is wrong with us, the client may try again
            self._around.journal.failed("direct", error)
        finally:
            if not delivery.answered:
                self._refuse(delivery, NO_ANSWER if delivery.late else OUR_FAULT)
            if end is not None:
                end()
            await delivery.close()

    async def _said_before(self, key: Key, delivery: Delivery) -> Reply | None:
        """Return the answer to a message that an earlier try may have brought to its end; None: it is to be sent."""
        while True:
            seen = self._memory.under_way(key)
            first = await self._memory.first_of(key, delivery)
            if first is not None:
                if not await self._over(first, delivery) or not delivery.listening():
                    # Who has given this up as well may have had it sent in another way by now.
                    return NO_ANSWER
                # Another repetition may have waited for the same, and be under way by now.
                continue
            earlier = await self._memory.find(key, delivery.content)
            if self._memory.under_way(key) == seen:
                break
        if earlier is None:
            return None
        paths = {str(one.forward_path) for one in delivery.arrival.envelope.recipients}
        if paths <= earlier.relayed:
            return earlier.reply
        if earlier.uncertain:
            if self._around.clock() < earlier.wait_until:
                return NO_ANSWER
            if earlier.uncertain > self._around.settings.queue.ambiguous_attempts:
                return TOO_OFTEN_UNCERTAIN
        delivery.uncertain_before = earlier.uncertain
        delivery.said_before = earlier.reply if earlier.reply.positive else None
        delivery.leave_out(earlier.relayed)
        return None

    async def _over(self, first: Delivery, delivery: Delivery) -> bool:
        patience = self._offers.patience(delivery.upstream)
        hurry = self._hurried()
        await asyncio.wait({first.over, hurry}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        return first.over.done()

    async def _deliver(self, key: Key | None, delivery: Delivery) -> None:
        late = await self._offers.make(delivery)
        outcomes = delivery.ordered()
        if delivery.late:
            await self._came_late(key, delivery, late)
            return
        answer = answer_to(self._counted(delivery, outcomes))
        said = answer.reply if answer.taken else delivery.said_before
        if said is not None:
            # Those whom an earlier try reached would hear of a refusal, and may get the message again some day.
            await self._taken(key, delivery, outcomes, passed_on(said, delivery.arrival.id))
            return
        if any(isinstance(one, Uncertain) for one in outcomes):
            await self._remember_uncertain(key, delivery, NO_ANSWER)
        elif delivery.relayed:
            # Of an archive's copy the client hears nothing: repeating the message must not make another.
            await self._remember(key, delivery, answer.reply, _reached(delivery, outcomes))
        self._refuse(delivery, answer.reply)
        if delivery.offered:
            await self._records.told(delivery, outcomes)

    def _counted(self, delivery: Delivery, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
        """Return the outcomes that the client hears of: not those of copies that it knows nothing of."""
        client = self._around.settings.client.get(delivery.arrival.origin.client)
        if client is None or not client.bcc:
            return outcomes
        customs = Customs(archive=frozenset(address.lower() for address in client.bcc))
        recipients = delivery.arrival.envelope.recipients
        known = [found for to, found in zip(recipients, outcomes, strict=True) if not customs.is_archive(to)]
        return known or outcomes

    async def _taken(self, key: Key | None, delivery: Delivery, outcomes: Sequence[Outcome], said: Reply) -> None:
        """Relayed to somebody. What else there is to do is safe on disk before the client hears of it."""
        recipients = delivery.arrival.envelope.recipients
        everybody = all(isinstance(one, Relayed) for one in outcomes)
        asked = any(one.notify is not None and Notify.SUCCESS in one.notify for one in recipients)
        ours = not everybody or asked
        kept = await self._records.taken(delivery, outcomes, _RECORD_PATIENCE) if ours else False
        if ours and not kept and not everybody:
            # Those who were reached are not to get it again when the client repeats it.
            await self._remember(key, delivery, said, _reached(delivery, outcomes))
            self._refuse(delivery, OUR_FAULT)
            return
        await self._remember_unheard(key, delivery, said)
        self._around.journal.accepted(delivery.arrival_at(delivery.upstream), delivery.seconds)
        delivery.answer(said)
        if not ours:
            await self._records.told(delivery, outcomes)

    async def _remember_unheard(self, key: Key | None, delivery: Delivery, said: Reply) -> None:
        # That a client has just hung up the loop sees in its next turn, and tells behind what was ready before.
        for _ in range(2):
            await asyncio.sleep(0)
        if delivery.listening():
            return
        if delivery.identified:
            await self._remember(key, delivery, said, _everybody(delivery))
        self._around.journal.warned("unheard", id=delivery.arrival.id, client=delivery.arrival.origin.client)

    async def _came_late(self, key: Key | None, delivery: Delivery, late: Sequence[int]) -> None:
        """Record what came after the client had heard 451; what was relayed is not sent again when it is repeated."""
        found = {at: delivery.outcomes[at] for at in late}
        outcomes = delivery.ordered()
        answer = answer_to(self._counted(delivery, outcomes))
        said = passed_on(answer.reply, delivery.arrival.id) if answer.taken else delivery.said_before or NO_ANSWER
        if any(isinstance(one, Uncertain) for one in found.values()):
            await self._remember_uncertain(key, delivery, said)
        elif any(isinstance(one, Relayed) for one in found.values()):
            await self._remember(key, delivery, said, _reached(delivery, outcomes))
        await self._records.came_late(
            delivery, {at: one for at, one in found.items() if not isinstance(one, Uncertain)}
        )

    async def _answer_late(self, delivery: Delivery) -> None:
        """The upstream is not done, and the client waits no longer."""
        unknown = Uncertain()
        everybody = range(len(delivery.arrival.envelope.recipients))
        self._refuse(delivery, NO_ANSWER)
        await self._records.told(delivery, [delivery.outcomes.get(at, unknown) for at in everybody])

    async def _remember_uncertain(self, key: Key | None, delivery: Delivery, said: Reply) -> None:
        pause = round(1000 * self._around.settings.queue.retry_ambiguous)
        reached = _reached(delivery, delivery.ordered())
        await self._remember(key, delivery, said, reached, delivery.uncertain_before + 1, pause)

    async def _remember(
        self,
        key: Key | None,
        delivery: Delivery,
        said: Reply,
        reached: frozenset[str],
        uncertain: int = 0,
        pause: int = 0,
    ) -> None:
        if key is None:
            return
        try:
            await self._memory.remember(key, delivery, said, reached, uncertain, pause)
        except SpoolError as error:
            self._around.journal.failed("direct.remember", error)

    def _refuse(self, delivery: Delivery, said: Reply) -> None:
        if delivery.answered:
            return
        arrival = delivery.arrival
        told = passed_on(said, arrival.id) if delivery.offered else said
        origin, sender = arrival.origin, arrival.envelope.reverse_path
        self._around.journal.refused(
            origin.listener,
            "upstream",
            told,
            peer=origin.peer,
            client=origin.client,
            sender=str(sender) if sender else "<>",
        )
        delivery.answer(told)

    def _repeated(self, delivery: Delivery, said: Reply) -> None:
        if not said.positive:
            self._refuse(delivery, said)
            return
        arrival = delivery.arrival
        self._around.journal.told("repeated", id=arrival.id, client=arrival.origin.client, reply=str(said))
        delivery.answer(said)


def _reached(delivery: Delivery, outcomes: Sequence[Outcome]) -> frozenset[str]:
    recipients = delivery.arrival.envelope.recipients
    found = zip(recipients, outcomes, strict=True)
    return delivery.reached_before.union(str(to.forward_path) for to, one in found if isinstance(one, Relayed))


def _everybody(delivery: Delivery) -> frozenset[str]:
    return delivery.reached_before.union(str(one.forward_path) for one in delivery.arrival.envelope.recipients)
