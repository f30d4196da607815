import asyncio
import contextlib
import threading
import time

import pytest

from relay.reply import reply
from relay.spool.contract import SpoolError
from relay.spool.records import Claim, HoldReason, Lease, Priority, RecipientState, Selection, Settlement
from relay.spool.store import Spool
from relay.spool.transaction import Transaction
from tests.contract.conftest import Store, until
from tests.contract.mail import LATER, NEVER, OK, deferred, failed, relayed

QUEUED, IN_FLIGHT, HELD = RecipientState.QUEUED, RecipientState.IN_FLIGHT, RecipientState.HELD
RELAYED, FAILED = RecipientState.RELAYED, RecipientState.FAILED


class TestClaiming:
    async def test_high_priority_first_then_the_oldest(self, store: Store) -> None:
        expected: dict[Priority, list[str]] = {priority: [] for priority in Priority}
        for priority in (Priority.BULK, Priority.NORMAL, Priority.HIGH, Priority.NORMAL, Priority.BULK, Priority.HIGH):
            expected[priority].append(await store.put(priority=priority))
            store.clock.forward(1)
        order = [id_ for priority in Priority for id_ in expected[priority]]
        assert [claim.message.id for claim in await store.claim(messages=4)] == order[:4]
        assert [claim.message.id for claim in await store.claim()] == order[4:]

    async def test_what_was_deferred_goes_by_when_it_is_due(self, store: Store) -> None:
        first = await store.put()
        claim = await store.claim_one()
        await store.spool.outgoing.settle(claim, deferred(claim, store.clock() + 5000), [])
        store.clock.forward(1)
        second = await store.put()
        store.clock.forward(10)
        assert [claim.message.id for claim in await store.claim()] == [second, first]

    async def test_recipients_are_grouped_by_message_up_to_the_limit(self, store: Store) -> None:
        wide, narrow = await store.put(recipients=5), await store.put(recipients=2)
        claims = await store.claim(messages=3, recipients=3)
        assert [(claim.message.id, [row.position for row in claim.recipients]) for claim in claims] == [
            (wide, [0, 1, 2]),
            (wide, [3, 4]),
            (narrow, [0, 1]),
        ]
        assert len({claim.lease.token for claim in claims}) == 3

    async def test_a_claim_is_not_cut_by_how_many_rows_are_read(self, store: Store) -> None:
        for _ in range(6):
            await store.put(recipients=7)
        sizes: list[int] = []
        while claims := await store.claim(messages=3, recipients=10):
            sizes += [len(claim.recipients) for claim in claims]
        assert sizes == [7] * 6

    async def test_nothing_is_claimed_twice(self, store: Store, other: Spool) -> None:
        ids = {await store.put() for _ in range(60)}
        spools = [store.spool, other] * 10
        results = await asyncio.gather(*(spool.outgoing.claim("office365", 5, 10) for spool in spools))
        claimed = [claim.message.id for claims in results for claim in claims]
        assert len(claimed) == len(set(claimed))
        rest = [claim.message.id for claim in await store.claim(messages=100)]
        assert {*claimed, *rest} == ids

    async def test_only_the_upstream_asked_for_and_only_what_is_due(self, store: Store) -> None:
        await store.put(upstream=("gmail", "office365"))
        assert await store.claim() == []
        claim = await store.claim_one("gmail")
        await store.spool.outgoing.settle(claim, deferred(claim, store.clock() + 30_000), [])
        store.clock.forward(29.9)
        assert await store.claim("gmail") == []
        store.clock.forward(0.1)
        again = await store.claim_one("gmail")
        assert [(row.attempts, row.reply) for row in again.recipients] == [(2, LATER)]

    async def test_attempts_are_counted_when_they_begin(self, store: Store) -> None:
        await store.put()
        claim = await store.claim_one()
        assert [(row.state, row.attempts) for row in claim.recipients] == [(IN_FLIGHT, 1)]
        (entry,) = await store.spool.inspection.queue(Selection(), None, 10)
        assert [(row.state, row.attempts) for row in entry.recipients] == [(IN_FLIGHT, 1)]

    async def test_a_claim_given_back_was_no_attempt(self, store: Store) -> None:
        await store.put(recipients=2)
        claim = await store.claim_one()
        await store.spool.outgoing.give_back([claim])
        again = await store.claim_one()
        assert [row.attempts for row in again.recipients] == [1, 1]
        assert again.lease.token != claim.lease.token
        # Stale by now.
        await store.spool.outgoing.give_back([claim])
        assert await store.claim() == []

    async def test_a_claim_whose_caller_is_cancelled_is_given_back(self, store: Store) -> None:
        await store.put()
        task = asyncio.create_task(store.spool.outgoing.claim("office365", 1, 1))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        # Twice, since the first waits behind the claim that nobody gets.
        claims = [*await store.claim(), *await store.claim()]
        assert [row.attempts for row in claims[0].recipients] == [1]


class TestLeases:
    async def test_they_expire(self, store: Store) -> None:
        id_ = await store.put()
        claim = await store.claim_one()
        assert claim.lease.expires_at == store.clock() + 60_000
        store.clock.forward(59)
        assert await store.claim() == []
        store.clock.forward(2)
        again = await store.claim_one()
        assert [row.attempts for row in again.recipients] == [2]
        assert await store.spool.outgoing.settle(claim, relayed(claim), [store.arrival()]) is False
        assert await store.states(id_) == [IN_FLIGHT]
        assert await store.events(id_) == ["accepted", "interrupted"]
        assert await store.spool.outgoing.settle(again, relayed(again), []) is True
        assert store.rows("messages") == 1

    async def test_a_clock_that_leaps_forward_ends_none_before_it_could_be_renewed(self, store: Store) -> None:
        id_ = await store.put()
        claim = await store.claim_one()
        store.clock.leap(3600)
        assert await store.claim() == []
        assert await store.spool.outgoing.renew([claim]) == {claim.lease.token}
        assert await store.spool.outgoing.settle(claim, relayed(claim), []) is True
        assert await store.events(id_) == ["accepted", "relayed"]

    async def test_a_process_that_stood_still_ends_none_before_it_could_renew_them(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        id_ = await store.put()
        claim = await store.claim_one()
        monkeypatch.setattr("relay.spool.writer.monotonic", lambda: time.monotonic() + 75)
        store.clock.forward(75)
        assert await store.claim() == []
        assert await store.spool.outgoing.renew([claim]) == {claim.lease.token}
        assert await store.spool.outgoing.settle(claim, relayed(claim), []) is True
        assert await store.events(id_) == ["accepted", "relayed"]

    async def test_they_can_be_renewed(self, store: Store) -> None:
        await store.put()
        await store.put()
        claims = await store.claim()
        store.clock.forward(45)
        tokens = {claim.lease.token for claim in claims}
        lost = Claim(
            claims[0].message, "office365", claims[0].recipients, Lease("node-1", "gone", 0), claims[0].content
        )
        assert await store.spool.outgoing.renew([*claims, lost]) == tokens
        store.clock.forward(45)
        assert await store.claim() == []
        assert await store.spool.outgoing.settle(claims[0], relayed(claims[0]), []) is True

    async def test_a_claim_is_put_off_until_its_turn(self, store: Store) -> None:
        id_ = await store.put(recipients=2)
        claim = await store.claim_one()
        await store.spool.outgoing.postpone([(claim, store.clock() + 30_000)])
        assert await store.states(id_) == ["queued", "queued"]
        assert await store.claim() == []
        assert await store.spool.outgoing.settle(claim, relayed(claim), []) is False
        store.clock.forward(31)
        again = await store.claim_one()
        assert [row.attempts for row in again.recipients] == [1, 1]
        assert await store.events(id_) == ["accepted"]

    async def test_a_node_that_starts_frees_its_own_at_once(self, store: Store, other: Spool) -> None:
        ours, theirs = await store.put(), await store.put()
        (claim,) = await store.claim(messages=1)
        (others,) = await other.outgoing.claim("office365", 1, 1)
        assert (claim.message.id, others.message.id) == (ours, theirs)
        await store.restart()
        again = await store.claim_one()
        assert (again.message.id, again.recipients[0].attempts) == (ours, 2)
        assert await other.outgoing.settle(others, relayed(others), []) is True

    async def test_a_command_frees_none(self, store: Store) -> None:
        id_ = await store.put()
        await store.claim_one()
        command = await store.open(serving=False)
        try:
            assert await command.outgoing.claim("office365", 1, 1) == []
            assert [entry.message.id for entry in await command.inspection.queue(Selection(), None, 9)] == [id_]
        finally:
            await command.aclose()


class TestSettling:
    async def test_the_last_of_a_message_by_two_nodes_at_once(
        self, store: Store, other: Spool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await store.put(recipients=2)
        (claim,) = await store.claim(messages=1, recipients=1)
        (rest,) = await other.outgoing.claim("office365", 1, 1)
        both_settled = threading.Barrier(2)
        finish = Transaction.finish

        def wait_for_the_other(transaction: Transaction) -> None:
            # Who waits in vain is the first, whose end the other waits for.
            with contextlib.suppress(threading.BrokenBarrierError):
                both_settled.wait(0.3)
            finish(transaction)

        monkeypatch.setattr(Transaction, "finish", wait_for_the_other)
        settled = await asyncio.gather(
            store.spool.outgoing.settle(claim, relayed(claim), []), other.outgoing.settle(rest, relayed(rest), [])
        )
        assert all(settled)
        assert store.rows("chunks") == 0
        await store.restart()
        assert store.spool.intake.waiting("careright") == 0

    async def test_as_many_as_there_are(self, store: Store) -> None:
        id_ = await store.put(recipients=70)
        claim = await store.claim_one()
        said = [reply(250, "2.0.0", f"Ok: queued as {row.position}", "mx.provider.test") for row in claim.recipients]
        settlements = [Settlement(at, RELAYED, "relayed", one) for at, one in enumerate(said)]
        assert await store.spool.outgoing.settle(claim, settlements, [])
        (entry,) = await store.spool.inspection.trace(Selection(id=id_), None, None, 1)
        assert [(row.state, row.reply) for row in entry.recipients] == [(RELAYED, one) for one in said]

    async def test_every_outcome(self, store: Store) -> None:
        id_ = await store.put(recipients=4)
        claim = await store.claim_one()
        until = store.clock() + 60_000
        settlements = [
            Settlement(0, RELAYED, "relayed", OK),
            Settlement(1, FAILED, "failed", NEVER),
            Settlement(2, QUEUED, "deferred", LATER, until, "gmail", uncertain=True, delay_told=True),
            Settlement(3, HELD, "held", LATER, hold_reason=HoldReason.SEND_AS),
        ]
        assert await store.spool.outgoing.settle(claim, settlements, []) is True
        (entry,) = await store.spool.inspection.trace(Selection(id=id_), None, None, 1)
        assert [(row.state, row.reply, row.upstream) for row in entry.recipients] == [
            (RELAYED, OK, "office365"),
            (FAILED, NEVER, "office365"),
            (QUEUED, LATER, "gmail"),
            (HELD, LATER, "office365"),
        ]
        assert [(row.uncertain, row.delay_told, row.hold_reason) for row in entry.recipients] == [
            (0, False, None),
            (0, False, None),
            (1, True, None),
            (0, False, HoldReason.SEND_AS),
        ]
        assert entry.recipients[2].next_attempt_at == until
        assert [(event.event, event.recipient, event.reply, event.upstream) for event in entry.events] == [
            ("accepted", None, None, None),
            ("relayed", "r0@patient.test", OK, "office365"),
            ("failed", "r1@patient.test", NEVER, "office365"),
            ("deferred", "r2@patient.test", LATER, "office365"),
            ("moved", "r2@patient.test", LATER, "gmail"),
            ("held", "r3@patient.test", LATER, "office365"),
        ]
        counts = await store.spool.inspection.counts()
        assert counts.recipients == {("gmail", QUEUED): 1, ("office365", HELD): 1}
        # Held recipients are not claimed.
        store.clock.forward(61)
        assert await store.claim() == []
        assert [row.position for row in (await store.claim_one("gmail")).recipients] == [2]

    async def test_content_goes_with_the_last_recipient(self, store: Store) -> None:
        id_ = await store.put(recipients=2)
        claim = await store.claim_one()
        await store.spool.outgoing.settle(claim, [*relayed(claim)[:1], *deferred(claim, store.clock())[1:]], [])
        assert await store.spool.inspection.content(id_) is not None
        claim = await store.claim_one()
        await store.spool.outgoing.settle(claim, failed(claim), [])
        assert await store.spool.inspection.content(id_) is None
        assert (store.rows("chunks"), store.rows("messages"), store.rows("leases")) == (0, 1, 0)
        assert await store.states(id_) == [RELAYED, FAILED]

    async def test_two_claims_of_one_message_end_it_together(self, store: Store) -> None:
        await store.put(recipients=4)
        claims = [*await store.claim(messages=1, recipients=2), *await store.claim(messages=1, recipients=2)]
        settle = store.spool.outgoing.settle
        assert await asyncio.gather(*(settle(claim, relayed(claim), []) for claim in claims)) == [True, True]
        assert store.spool.intake.waiting("careright") == 0
        assert store.rows("chunks") == 0

    async def test_large_content_goes_behind_the_settlement(self, store: Store) -> None:
        id_ = await store.put(content=b"x" * 3_000_000)
        claim = await store.claim_one()
        await store.spool.outgoing.settle(claim, relayed(claim), [])
        assert await store.spool.inspection.content(id_) is None
        await until(lambda: not store.rows("chunks") and not store.rows("unnamed"))

    async def test_notices_are_put_with_the_settlement(self, store: Store) -> None:
        await store.put()
        claim = await store.claim_one()
        notices = [store.arrival(client="relay"), store.arrival(client="relay", upstream=("gmail",))]
        assert await store.spool.outgoing.settle(claim, failed(claim), notices) is True
        assert [(await store.claim_one(name)).message.id for name in ("office365", "gmail")] == [
            notice.id for notice in notices
        ]

    async def test_a_notice_that_cannot_be_put_undoes_the_settlement(self, store: Store) -> None:
        id_ = await store.put()
        claim = await store.claim_one()
        wrong = store.arrival()
        await store.spool.intake.put(wrong)
        with pytest.raises(SpoolError):
            await store.spool.outgoing.settle(claim, failed(claim), [wrong])
        assert await store.states(id_) == [IN_FLIGHT]
        assert await store.spool.outgoing.settle(claim, failed(claim), []) is True

    async def test_a_recipient_that_was_forgotten_is_tried_again(self, store: Store) -> None:
        await store.put(recipients=2)
        claim = await store.claim_one()
        await store.spool.outgoing.settle(claim, relayed(claim)[1:], [])
        assert [row.position for row in (await store.claim_one()).recipients] == [0]

    async def test_a_claim_is_settled_once(self, store: Store) -> None:
        await store.put()
        claim = await store.claim_one()
        settle = store.spool.outgoing.settle
        assert sorted(await asyncio.gather(*(settle(claim, relayed(claim), []) for _ in range(5)))) == [
            *[False] * 4,
            True,
        ]
        assert (await store.spool.inspection.counts()).recipients == {}
