"""What waits for one upstream is looked through a page at a time, and moved to another."""

import asyncio
from collections.abc import Sequence

from relay.reply import reply
from relay.spool.contract import Outgoing
from relay.spool.records import Gate, HoldReason, Place, Priority, QueuedRecipient, RecipientState, Selection
from relay.spool.store import Spool
from tests.contract.conftest import Store
from tests.contract.mail import deferred

QUEUED, IN_FLIGHT = RecipientState.QUEUED, RecipientState.IN_FLIGHT
WHY = reply(451, "4.3.2", "From office365, which is held (auth)")
BOTH = ("office365", "gmail")


async def pages(outgoing: Outgoing, upstream: str, limit: int, due_at: int | None) -> list[list[QueuedRecipient]]:
    found: list[list[QueuedRecipient]] = []
    for priority in Priority:
        behind: Place | None = None
        while page := list(await outgoing.queued(upstream, priority, behind, due_at, limit)):
            found.append(page)
            behind = page[-1].place
    return found


async def move_all(spool: Spool, source: str, target: str) -> list[tuple[str, Sequence[int]]]:
    """Move whatever is queued at `source`."""
    found = await pages(spool.outgoing, source, 500, None)
    rows = [(row.place.message, row.place.position) for page in found for row in page]
    return list(await spool.outgoing.move(source, target, rows, WHY))


class TestPages:
    async def test_they_go_by_priority_and_age_and_miss_nothing(self, store: Store) -> None:
        ids: dict[Priority, list[str]] = {priority: [] for priority in Priority}
        for at in range(12):
            priority = list(Priority)[at % 3]
            ids[priority].append(await store.put(recipients=2, upstream=BOTH, priority=priority))
            store.clock.forward(0.001 * (at % 2))
        found = await pages(store.spool.outgoing, "office365", 3, store.clock())
        assert [len(page) for page in found] == [3, 3, 2] * 3
        rows = [row for page in found for row in page]
        assert [(row.place.message, row.place.position) for row in rows] == [
            (id_, position) for priority in Priority for id_ in ids[priority] for position in (0, 1)
        ]
        first = rows[0]
        assert (first.client, str(first.reverse_path), first.header_from) == (
            "careright",
            "no-reply@clinic.test",
            "no-reply@clinic.test",
        )
        assert (first.candidates, first.uncertain, first.notice) == (BOTH, 0, False)

    async def test_only_what_is_queued_there_and_due_where_asked(self, store: Store) -> None:
        in_flight, later = await store.put(), await store.put()
        held, due = await store.put(), await store.put()
        await store.put(upstream=("gmail",))
        claims = {claim.message.id: claim for claim in await store.claim()}
        outgoing = store.spool.outgoing
        await outgoing.settle(claims[later], deferred(claims[later], store.clock() + 90_000), [])
        await outgoing.give_back([claims[held], claims[due]])
        await store.spool.inspection.change("hold", Selection(id=held))

        async def seen(due_at: int | None) -> list[str]:
            return [row.place.message for page in await pages(outgoing, "office365", 10, due_at) for row in page]

        assert await seen(store.clock()) == [due]
        assert await seen(None) == [due, later]
        assert in_flight in claims


class TestMoving:
    async def test_what_is_queued_and_certain_goes(self, store: Store) -> None:
        certain, unsure = await store.put(recipients=2, upstream=BOTH), await store.put(upstream=BOTH)
        in_flight, later = await store.put(upstream=BOTH), await store.put(upstream=BOTH)
        outgoing = store.spool.outgoing
        for claim in await store.claim():
            until = store.clock() + (30_000 if claim.message.id == later else 0)
            if claim.message.id != in_flight:
                await outgoing.settle(claim, deferred(claim, until, uncertain=claim.message.id == unsure), [])
        rows = [(certain, 1), (unsure, 0), (in_flight, 0), (later, 0), ("no such", 0)]
        assert await outgoing.move("office365", "gmail", rows, WHY) == [(certain, [1]), (later, [0])]
        assert await outgoing.move("office365", "gmail", rows, WHY) == []
        assert (await store.spool.inspection.counts()).recipients == {
            ("gmail", QUEUED): 2,
            ("office365", QUEUED): 2,
            ("office365", IN_FLIGHT): 1,
        }
        assert outgoing.waiting_at("gmail", QUEUED, IN_FLIGHT) == 2
        assert [(one.message.id, one.recipients[0].position) for one in await store.claim("gmail")] == [(certain, 1)]
        store.clock.forward(31)
        assert [one.message.id for one in await store.claim("gmail")] == [later], "not before its time"

    async def test_the_trace_says_why(self, store: Store) -> None:
        id_ = await store.put(recipients=2, upstream=BOTH)
        await move_all(store.spool, "office365", "gmail")
        [entry] = await store.spool.inspection.trace(Selection(id=id_), None, None, 1)
        moved = [event for event in entry.events if event.event == "moved"]
        assert [(event.upstream, event.reply) for event in moved] == [("gmail", WHY)] * 2
        assert {event.recipient for event in moved} == {"r0@patient.test", "r1@patient.test"}
        assert [row.candidates for row in entry.recipients] == [BOTH, BOTH]

    async def test_it_keeps_its_time_and_priority_and_stands_behind_what_is_due_there(self, store: Store) -> None:
        old = store.arrival(upstream=BOTH)
        await store.spool.intake.put(old)
        store.clock.forward(10)
        own = await store.put(upstream=("gmail",))
        store.clock.forward(10)
        urgent = await store.put(upstream=BOTH, priority=Priority.HIGH)
        await move_all(store.spool, "office365", "gmail")
        claims = await store.claim("gmail")
        assert [claim.message.id for claim in claims] == [urgent, own, old.id]
        assert claims[2].recipients[0].give_up_at == old.give_up_at

    async def test_whoever_waits_for_work_there_is_woken(self, store: Store) -> None:
        await store.put(upstream=BOTH)
        outgoing = store.spool.outgoing
        assert await store.claim("gmail") == []
        waiting = asyncio.ensure_future(outgoing.wait_for_work("gmail", None))
        await asyncio.sleep(0)
        await move_all(store.spool, "office365", "gmail")
        await asyncio.wait_for(waiting, 10)

    async def test_time_for_which_the_first_is_still_held_does_not_count(self, store: Store) -> None:
        message = store.arrival(upstream=BOTH)
        await store.spool.intake.put(message)
        store.clock.forward(10)
        outgoing = store.spool.outgoing
        await outgoing.hold(Gate("office365", HoldReason.AUTH, store.clock(), None, None))
        store.clock.forward(100)
        await move_all(store.spool, "office365", "gmail")
        store.clock.forward(1000)
        await outgoing.release("office365")
        waited = message.give_up_at + 100_000
        claim = await store.claim_one("gmail")
        assert claim.recipients[0].give_up_at == waited
        await outgoing.give_back([claim])
        await move_all(store.spool, "gmail", "office365")
        assert (await store.claim_one()).recipients[0].give_up_at == waited

    async def test_what_somebody_claims_at_the_same_time_goes_to_one_of_them(self, store: Store, other: Spool) -> None:
        for _ in range(30):
            await store.put(upstream=BOTH)
        rows = [(row.place.message, 0) for page in await pages(other.outgoing, "office365", 500, None) for row in page]
        claims, moved = await asyncio.gather(
            store.spool.outgoing.claim("office365", 20, 10), other.outgoing.move("office365", "gmail", rows, WHY)
        )
        assert {claim.message.id for claim in claims}.isdisjoint({message for message, _ in moved})
        left = await store.claim(messages=30)
        assert len(claims) + len(moved) + len(left) == 30
