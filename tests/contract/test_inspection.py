import asyncio

import pytest

from relay.spool.contract import Change
from relay.spool.records import HoldReason, QueueCounts, RecipientState, Selection, Settlement
from tests.contract.conftest import Store, until
from tests.contract.mail import DAY, LATER, deferred, failed, held, relayed

QUEUED, IN_FLIGHT, HELD = RecipientState.QUEUED, RecipientState.IN_FLIGHT, RecipientState.HELD
RELAYED, REMOVED = RecipientState.RELAYED, RecipientState.REMOVED


async def queued(store: Store, selection: Selection | None = None, after: str | None = None) -> list[str]:
    entries = await store.spool.inspection.queue(selection or Selection(), after, 100)
    return [entry.message.id for entry in entries]


class TestQueue:
    async def test_oldest_first_in_pages(self, store: Store) -> None:
        ids = [await store.put(upstream=("gmail" if at % 3 else "office365",)) for at in range(10)]
        assert await queued(store) == ids
        first = await store.spool.inspection.queue(Selection(), None, 4)
        assert [entry.message.id for entry in first] == ids[:4]
        assert await queued(store, after=ids[3]) == ids[4:]
        assert await queued(store, after=ids[-1]) == []

    async def test_selections(self, store: Store) -> None:
        a = await store.put(client="lab")
        b = await store.put(client="lab", upstream=("gmail",))
        c = await store.put()
        assert await queued(store, Selection(client="lab")) == [a, b]
        assert await queued(store, Selection(upstream="office365")) == [a, c]
        assert await queued(store, Selection(client="lab", upstream="gmail")) == [b]
        assert await queued(store, Selection(id=c)) == [c]
        assert await queued(store, Selection(id=c, client="lab")) == []
        assert await queued(store, Selection(upstream="nowhere")) == []

    async def test_only_what_waits_is_shown(self, store: Store) -> None:
        wide, done = await store.put(recipients=3), await store.put()
        for claim in await store.claim():
            rest = deferred(claim, store.clock())[1:] if claim.message.id == wide else []
            await store.spool.outgoing.settle(claim, [*relayed(claim)[:1], *rest], [])
        (entry,) = await store.spool.inspection.queue(Selection(), None, 10)
        assert (entry.message.id, [row.position for row in entry.recipients]) == (wide, [1, 2])
        assert await store.states(done) == [RELAYED]

    async def test_reading_does_not_wait_for_the_writer(self, store: Store) -> None:
        await store.put(recipients=2)
        puts = asyncio.gather(*(store.put() for _ in range(200)))
        reads = asyncio.gather(*(store.spool.inspection.counts() for _ in range(5)))
        assert len(await reads) == 5
        await puts
        assert len(await store.spool.inspection.queue(Selection(), None, 1000)) == 201


class TestCounts:
    async def test_by_upstream_and_state(self, store: Store) -> None:
        start = store.clock()
        await store.put(recipients=3)
        store.clock.forward(5)
        await store.put(upstream=("gmail",))
        claim = (await store.claim())[0]
        assert await store.spool.inspection.counts() == QueueCounts(
            {("office365", IN_FLIGHT): 3, ("gmail", QUEUED): 1}, {"office365": start, "gmail": start + 5000}
        )
        await store.spool.outgoing.settle(claim, failed(claim), [])
        assert await store.spool.inspection.counts() == QueueCounts({("gmail", QUEUED): 1}, {"gmail": start + 5000})


class TestTrace:
    async def test_newest_first_with_every_filter(self, store: Store) -> None:
        start = store.clock()
        a = await store.put(client="lab")
        store.clock.forward(60)
        b = await store.put(recipients=2, upstream=("gmail",))
        store.clock.forward(60)
        c = await store.put()

        async def found(
            selection: Selection, recipient: str | None = None, since_at: int | None = None, limit: int = 10
        ) -> list[str]:
            entries = await store.spool.inspection.trace(selection, recipient, since_at, limit)
            return [entry.message.id for entry in entries]

        assert await found(Selection()) == [c, b, a]
        assert await found(Selection(), limit=2) == [c, b]
        assert await found(Selection(id=b)) == [b]
        assert await found(Selection(client="lab")) == [a]
        assert await found(Selection(upstream="gmail")) == [b]
        assert await found(Selection(), "R1@Patient.TEST") == [b]
        assert await found(Selection(), "r0@patient.test", start + 1) == [c, b]
        assert await found(Selection(), "r9@patient.test") == []
        assert await found(Selection(), since_at=start + 60_000) == [c, b]
        assert await found(Selection(id="nothing")) == []
        page = await store.spool.inspection.trace(Selection(), None, None, 10, c)
        assert [entry.message.id for entry in page] == [b, a]

    async def test_it_is_forgotten_when_it_was_kept_long_enough(self, store: Store) -> None:
        old, waiting = await store.put(recipients=2), await store.put()
        claims = {claim.message.id: claim for claim in await store.claim()}
        await store.spool.outgoing.settle(claims[old], relayed(claims[old]), [])
        await store.spool.outgoing.settle(claims[waiting], held(claims[waiting], HoldReason.AMBIGUOUS), [])
        store.clock.forward(89 * 86400)
        young = await store.put()
        claim = await store.claim_one()
        await store.spool.outgoing.settle(claim, relayed(claim), [])
        assert await store.spool.purge() == 0
        store.clock.forward(2 * 86400)
        assert await store.spool.purge() == 1
        entries = await store.spool.inspection.trace(Selection(), None, None, 10)
        assert [entry.message.id for entry in entries] == [young, waiting]
        assert (store.rows("messages"), store.rows("recipients"), store.rows("events")) == (2, 2, 2)

    async def test_it_is_forgotten_earlier_where_it_is_kept_shorter_now(self, store: Store) -> None:
        await store.put()
        claim = await store.claim_one()
        await store.spool.outgoing.settle(claim, relayed(claim), [])
        store.clock.forward(2 * 86400)
        store.spool.apply(reserve=0, keep_trace=86400.0)
        assert await store.spool.purge() == 1

    async def test_much_is_forgotten_in_batches(self, store: Store) -> None:
        await asyncio.gather(*(store.put() for _ in range(250)))
        for claim in await store.claim(messages=250):
            await store.spool.outgoing.settle(claim, relayed(claim), [])
        kept = [await store.put() for _ in range(3)]
        store.clock.forward(91 * 86400)
        assert await store.spool.purge() == 250
        assert await queued(store) == kept


class TestChanges:
    async def change(self, store: Store, change: Change, selection: Selection | None = None) -> int:
        return await store.spool.inspection.change(change, selection or Selection())

    async def test_hold_and_release(self, store: Store) -> None:
        message = store.arrival(recipients=2)
        await store.spool.intake.put(message)
        other = await store.put(client="lab")
        assert await self.change(store, "hold", Selection(client="careright")) == 1
        assert await store.states(message.id) == [HELD, HELD]
        assert [claim.message.id for claim in await store.claim()] == [other]
        assert await self.change(store, "hold", Selection(client="careright")) == 0
        store.clock.forward(50)
        assert await self.change(store, "release") == 1
        claim = await store.claim_one()
        # The time held does not count towards giving up.
        assert [(row.give_up_at, row.hold_reason) for row in claim.recipients] == [
            (message.give_up_at + 50_000, None)
        ] * 2
        assert await store.events(message.id) == ["accepted", "held", "held", "released", "released"]

    async def test_retry(self, store: Store) -> None:
        id_ = await store.put()
        claim = await store.claim_one()
        await store.spool.outgoing.settle(claim, deferred(claim, store.clock() + DAY), [])
        assert await store.claim() == []
        assert await self.change(store, "retry", Selection(id=id_)) == 1
        assert [row.attempts for row in (await store.claim_one()).recipients] == [2]

    async def test_retry_leaves_what_is_held(self, store: Store) -> None:
        await store.put()
        await self.change(store, "hold")
        assert await self.change(store, "retry") == 0
        assert await store.claim() == []

    async def test_remove(self, store: Store) -> None:
        id_ = await store.put(recipients=2)
        kept = await store.put(client="lab")
        assert await self.change(store, "remove", Selection(id=id_)) == 1
        assert await store.states(id_) == [REMOVED, REMOVED]
        assert await store.spool.inspection.content(id_) is None
        assert await self.change(store, "remove", Selection(id=id_)) == 0
        assert (store.spool.intake.waiting("careright"), store.spool.intake.waiting("lab")) == (0, 1)
        assert await queued(store) == [kept]

    async def test_remove_of_large_content(self, store: Store) -> None:
        await store.put(content=b"x" * 2_000_000)
        await self.change(store, "remove")
        await until(lambda: not store.rows("chunks") and not store.rows("unnamed"))

    @pytest.mark.parametrize(
        ("change", "ends"), [("hold", HELD), ("remove", REMOVED), ("release", QUEUED), ("retry", QUEUED)]
    )
    async def test_what_is_in_flight_ends_its_attempt_first(
        self, store: Store, change: Change, ends: RecipientState
    ) -> None:
        id_ = await store.put(recipients=2)
        claim = await store.claim_one()
        changed = await self.change(store, change)
        assert changed == (1 if change in {"hold", "remove"} else 0)
        assert await store.states(id_) == [IN_FLIGHT, IN_FLIGHT]
        settlements = [*relayed(claim)[:1], *deferred(claim, store.clock())[1:]]
        assert await store.spool.outgoing.settle(claim, settlements, []) is True
        assert await store.states(id_) == [RELAYED, ends]
        (traced,) = await store.spool.inspection.trace(Selection(id=id_), None, None, 1)
        assert traced.recipients[1].hold_reason == (HoldReason.OPERATOR if change == "hold" else None)
        wished = [one.event for one in traced.events if one.event in {"held", "removed"}]
        assert wished == ([ends] if change in {"hold", "remove"} else [])
        expected = {"hold": 1, "remove": 0, "release": 1, "retry": 1}[change]
        assert store.spool.intake.waiting("careright") == expected

    async def test_a_wish_can_be_taken_back(self, store: Store) -> None:
        id_ = await store.put()
        claim = await store.claim_one()
        await self.change(store, "hold")
        assert await self.change(store, "release") == 1
        await store.spool.outgoing.settle(claim, deferred(claim, store.clock() + 1), [])
        assert await store.states(id_) == [QUEUED]

    @pytest.mark.parametrize(("change", "ends"), [("hold", HELD), ("remove", REMOVED)])
    async def test_a_wish_outlives_a_crash_of_the_attempt(
        self, store: Store, change: Change, ends: RecipientState
    ) -> None:
        id_ = await store.put()
        await store.claim_one()
        await self.change(store, change)
        await store.restart()
        assert await store.states(id_) == [ends]
        assert await store.claim() == []
        counts = await store.spool.inspection.counts()
        assert counts.recipients == ({("office365", HELD): 1} if ends is HELD else {})
        assert store.rows("chunks") == (1 if ends is HELD else 0)

    async def test_many_are_changed_in_batches(self, store: Store) -> None:
        await asyncio.gather(*(store.put() for _ in range(450)))
        assert await self.change(store, "hold") == 450
        assert (await store.spool.inspection.counts()).recipients == {("office365", HELD): 450}
        assert await self.change(store, "remove") == 450
        assert (await store.spool.inspection.counts()).recipients == {}

    async def test_the_change_of_an_upstream_leaves_the_others_recipients(self, store: Store) -> None:
        id_ = await store.put(recipients=2, upstream=("office365", "gmail"))
        claim = await store.claim_one()
        settlements = [*deferred(claim, store.clock(), upstream="gmail")[:1], *deferred(claim, store.clock())[1:]]
        await store.spool.outgoing.settle(claim, settlements, [])
        assert await self.change(store, "hold", Selection(upstream="gmail")) == 1
        assert await store.states(id_) == [HELD, QUEUED]

    async def test_what_is_held_for_its_sender_alone_is_released_by_his_address(self, store: Store) -> None:
        id_ = await store.put(recipients=4)
        claim = await store.claim_one()
        reasons = (HoldReason.SEND_AS, HoldReason.AMBIGUOUS, HoldReason.OPERATOR, HoldReason.SEND_AS)
        held = [Settlement(at, HELD, "held", LATER, hold_reason=reason) for at, reason in enumerate(reasons)]
        await store.spool.outgoing.settle(claim, held, [])
        assert await self.change(store, "release", Selection(refused_sender="nobody@clinic.test")) == 0
        sender = claim.message.header_from.upper()
        assert await self.change(store, "release", Selection(refused_sender=sender)) == 1
        assert await store.states(id_) == [QUEUED, HELD, HELD, QUEUED]


class TestRerouting:
    async def test_queued_and_held_go_to_another_upstream(self, store: Store) -> None:
        a, b, c = await store.put(recipients=2), await store.put(), await store.put()
        (claim,) = await store.claim(messages=1)
        assert claim.message.id == a
        await store.spool.inspection.change("hold", Selection(id=b))
        assert await store.spool.inspection.reroute(Selection(), "ses") == 2
        assert await store.spool.inspection.reroute(Selection(), "ses") == 0
        moved = await store.claim_one("ses")
        assert (moved.message.id, moved.recipients[0].candidates) == (c, ("ses", "office365"))
        assert await store.states(b) == [HELD]
        (entry,) = await store.spool.inspection.queue(Selection(id=b), None, 1)
        assert entry.recipients[0].upstream == "ses"
        assert (await store.spool.inspection.counts()).recipients == {
            ("office365", IN_FLIGHT): 2,
            ("ses", HELD): 1,
            ("ses", IN_FLIGHT): 1,
        }
        assert await store.events(c) == ["accepted", "rerouted"]

    async def test_a_rerouted_recipient_is_due_at_once(self, store: Store) -> None:
        await store.put()
        claim = await store.claim_one()
        await store.spool.outgoing.settle(claim, deferred(claim, store.clock() + DAY), [])
        assert await store.spool.inspection.reroute(Selection(), "ses") == 1
        assert len(await store.claim("ses")) == 1
