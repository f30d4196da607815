"""When somebody who waits for work is told that there is some."""

import asyncio
import time

from relay.spool.records import Gate, HoldReason, Selection
from tests.contract.conftest import Store
from tests.contract.mail import DAY, deferred, held


class TestWaiting:
    async def returns(self, store: Store, upstream: str = "office365", until_at: int | None = None) -> bool:
        try:
            async with asyncio.timeout(0.05):
                await store.spool.outgoing.wait_for_work(upstream, until_at)
        except TimeoutError:
            return False
        return True

    async def quiet(self, store: Store, upstream: str = "office365") -> None:
        """Use up what was told so far."""
        assert await store.claim(upstream) == []

    async def test_a_start_is_worth_a_look(self, store: Store) -> None:
        await store.put()
        await store.restart()
        assert await self.returns(store)

    async def test_a_put_wakes_who_waits(self, store: Store) -> None:
        await self.quiet(store)
        assert not await self.returns(store)
        waiting = asyncio.create_task(store.spool.outgoing.wait_for_work("office365", None))
        await asyncio.sleep(0)
        await store.put()
        async with asyncio.timeout(5):
            await waiting

    async def test_a_put_before_the_wait_is_not_missed(self, store: Store) -> None:
        await self.quiet(store)
        await store.put()
        assert await self.returns(store)

    async def test_a_put_committed_right_behind_a_claim_is_not_missed(self, store: Store) -> None:
        async def block_the_loop() -> None:
            store.spool._writer._hand_over()
            time.sleep(0.1)  # noqa: ASYNC251 - the writer goes on meanwhile

        await self.quiet(store)
        claim = asyncio.create_task(store.claim())
        steps = [asyncio.create_task(block_the_loop())]
        put = asyncio.create_task(store.put())
        steps.append(asyncio.create_task(block_the_loop()))
        # Both commits are told to the loop at once, before the claim's caller goes on.
        await asyncio.gather(*steps, put)
        assert await claim == []
        assert await self.returns(store)

    async def test_a_put_for_another_upstream_wakes_nobody(self, store: Store) -> None:
        await self.quiet(store)
        await store.put(upstream=("gmail",))
        assert not await self.returns(store)

    async def test_what_did_not_fit_into_a_claim_is_due_at_once(self, store: Store) -> None:
        for _ in range(3):
            await store.put()
        await store.claim(messages=2)
        assert await self.returns(store)

    async def test_the_time_given_ends_the_wait(self, store: Store) -> None:
        await self.quiet(store)
        assert not await self.returns(store, until_at=store.clock() + 60_000)
        assert await self.returns(store, until_at=store.clock() + 10)
        assert await self.returns(store, until_at=store.clock() - 10)

    async def test_a_deferred_recipient_ends_the_wait_when_it_is_due(self, store: Store) -> None:
        await store.put()
        claim = await store.claim_one()
        await store.spool.outgoing.settle(claim, deferred(claim, store.clock() + 20_000), [])
        await self.quiet(store)
        assert not await self.returns(store)
        store.clock.forward(20)
        assert await self.returns(store)
        # Known from the database too.
        await store.restart()
        assert await self.returns(store)

    async def test_gates_retries_and_releases_end_it(self, store: Store) -> None:
        id_ = await store.put()
        claim = await store.claim_one()
        await store.spool.outgoing.settle(claim, deferred(claim, store.clock() + DAY), [])
        await self.quiet(store)
        await store.spool.outgoing.hold(Gate("office365", HoldReason.AUTH, store.clock(), None, None))
        assert await self.returns(store)
        await store.spool.outgoing.release("office365")
        assert await self.returns(store)
        await self.quiet(store)
        await store.spool.inspection.change("retry", Selection(id=id_))
        assert await self.returns(store)
        claim = await store.claim_one()
        await store.spool.outgoing.settle(claim, held(claim, HoldReason.SEND_AS), [])
        await self.quiet(store)
        assert not await self.returns(store)
        await store.spool.inspection.change("release", Selection(id=id_))
        assert await self.returns(store)

    async def test_an_expired_lease_ends_it(self, store: Store) -> None:
        await store.put()
        claim = await store.claim_one()
        await self.quiet(store)
        store.clock.forward(61)
        async with asyncio.timeout(15):
            await store.spool.outgoing.wait_for_work("office365", None)
        assert [row.attempts for row in (await store.claim_one()).recipients] == [2]
        assert await store.spool.outgoing.renew([claim]) == set()
