import asyncio

from relay.spool.records import Gate, HoldReason, Use
from tests.contract.conftest import Store
from tests.contract.mail import NEVER


class TestGates:
    async def test_a_gate_outlives_a_restart(self, store: Store) -> None:
        gate = Gate("office365", HoldReason.CONSENT, store.clock(), NEVER, store.clock() + 30_000, 1)
        await store.spool.outgoing.hold(gate)
        assert store.spool.outgoing.gate("office365") == gate
        await store.restart()
        assert store.spool.outgoing.gate("office365") == gate
        assert dict(store.spool.inspection.gates()) == {"office365": gate}
        assert store.spool.outgoing.gate("gmail") is None

    async def test_its_since_stays_when_a_probe_fails(self, store: Store) -> None:
        first = Gate("office365", HoldReason.AUTH, store.clock(), None, store.clock())
        await store.spool.outgoing.hold(first)
        store.clock.forward(60)
        await store.spool.outgoing.hold(Gate("office365", HoldReason.AUTH, store.clock(), NEVER, None, 2))
        assert store.spool.outgoing.gate("office365") == Gate(
            "office365", HoldReason.AUTH, first.since_at, NEVER, None, 2
        )

    async def test_time_held_does_not_count_towards_giving_up(self, store: Store) -> None:
        before = store.arrival()
        await store.spool.intake.put(before)
        elsewhere = store.arrival(upstream=("gmail",))
        await store.spool.intake.put(elsewhere)
        store.clock.forward(100)
        await store.spool.outgoing.hold(Gate("office365", HoldReason.AUTH, store.clock(), None, None))
        store.clock.forward(1000)
        meanwhile = store.arrival()
        await store.spool.intake.put(meanwhile)
        store.clock.forward(500)
        assert await store.spool.outgoing.release("office365") is True
        assert await store.spool.outgoing.release("office365") is False
        claims = [*await store.claim(), *await store.claim("gmail")]
        assert {claim.message.id: claim.recipients[0].give_up_at for claim in claims} == {
            before.id: before.give_up_at + 1_500_000,
            meanwhile.id: meanwhile.give_up_at + 500_000,
            elsewhere.id: elsewhere.give_up_at,
        }

    async def test_a_held_upstream_can_still_be_claimed_from(self, store: Store) -> None:
        await store.put()
        await store.spool.outgoing.hold(Gate("office365", HoldReason.AUTH, store.clock(), None, None))
        assert len(await store.claim()) == 1


class TestQuotas:
    async def test_uses_outlive_a_restart(self, store: Store) -> None:
        record = store.spool.outgoing.record_use
        now = store.clock()
        await asyncio.gather(
            record("office365", Use(now, 1, 3)),
            record("office365", Use(now, 1, 2)),
            record("office365", Use(now + 5, 1, 1)),
            record("gmail", Use(now, 1, 1)),
        )
        await store.restart()
        uses = store.spool.outgoing.uses
        assert list(await uses("office365", now)) == [Use(now, 2, 5), Use(now + 5, 1, 1)]
        assert list(await uses("office365", now + 1)) == [Use(now + 5, 1, 1)]
        assert list(await uses("ses", 0)) == []

    async def test_old_ones_are_summed_by_the_minute_and_none_is_lost(self, store: Store) -> None:
        now = store.clock() // 60_000 * 60_000
        ages = [26 * 3600, 3 * 3600, 3 * 3600 - 20, 3 * 3600 - 59, 3 * 3600 - 60, 600, 590]
        for age in ages:
            await store.spool.outgoing.record_use("office365", Use(now - age * 1000, 1, 2))
        await store.spool.purge()
        assert [(now - use.at) // 1000 for use in await store.spool.outgoing.uses("office365", 0)] == [
            3 * 3600 - 59,
            3 * 3600 - 60,
            600,
            590,
        ]
        kept = await store.spool.outgoing.uses("office365", 0)
        assert [(use.messages, use.recipients) for use in kept] == [(3, 6), (1, 2), (1, 2), (1, 2)]
