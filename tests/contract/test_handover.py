"""Handing over: what is put goes to who has room, claimed in the same transaction, as a claim of its own would be."""

from collections.abc import Sequence

import pytest

from relay.spool.contract import SpoolError
from relay.spool.records import Claim, Priority, RecipientState, Selection
from tests.contract.conftest import Store
from tests.contract.mail import deferred, full_arrival, relayed


class Lane:
    """Takes as many messages as it has room for."""

    def __init__(self, room: int = 100) -> None:
        self.room = room
        self.taken: list[Claim] = []
        self.asked: list[tuple[int, int]] = []

    def has_room(self, under_way: int, recipients: int) -> bool:
        self.asked.append((under_way, recipients))
        return len(self.taken) + under_way < self.room

    def take(self, claims: Sequence[Claim]) -> None:
        self.taken += claims

    @property
    def ids(self) -> list[str]:
        return [claim.message.id for claim in self.taken]


@pytest.fixture
async def lane(store: Store) -> Lane:
    """A lane that has seen that nothing is due."""
    lane = Lane()
    store.spool.outgoing.hand_to("office365", lane)
    assert await store.claim() == []
    return lane


async def test_what_is_put_comes_claimed(store: Store, lane: Lane) -> None:
    id_ = await store.put(recipients=2)
    (claim,) = lane.taken
    assert claim.message.id == id_
    assert [row.attempts for row in claim.recipients] == [1, 1]
    assert await store.claim() == []
    counts = await store.spool.inspection.counts()
    assert counts.recipients == {("office365", RecipientState.IN_FLIGHT): 2}
    assert await store.spool.outgoing.renew([claim]) == {claim.lease.token}
    assert await store.spool.outgoing.settle(claim, relayed(claim), [])
    assert store.spool.intake.waiting("careright") == 0
    assert store.rows("chunks") == store.rows("leases") == 0


@pytest.mark.parametrize("forgotten", [False, True], ids=["deferred", "forgotten"])
async def test_what_one_recipient_waits_for_is_kept(store: Store, lane: Lane, forgotten: bool) -> None:
    await store.put(recipients=3)
    (claim,) = lane.taken
    first, second, third = relayed(claim)
    late = [] if forgotten else [deferred(claim, store.clock())[1]]
    assert await store.spool.outgoing.settle(claim, [first, *late, third], [])
    assert (store.rows("chunks"), store.spool.intake.waiting("careright")) == (1, 1)
    (rest,) = await store.claim()
    assert [row.position for row in rest.recipients] == [second.position]
    assert await store.spool.outgoing.settle(rest, relayed(rest), [])
    assert (store.rows("chunks"), store.spool.intake.waiting("careright")) == (0, 0)


async def test_it_is_what_a_claim_would_have_read(store: Store, lane: Lane) -> None:
    await store.spool.intake.put(full_arrival(store.spool.intake.next_id(), store.clock()))
    (handed,) = lane.taken
    await store.spool.outgoing.give_back([handed])
    (claimed,) = await store.claim()
    assert (handed.message, handed.recipients, handed.upstream) == (
        claimed.message,
        claimed.recipients,
        claimed.upstream,
    )
    assert [piece async for piece in handed.content.chunks()] == [piece async for piece in claimed.content.chunks()]


async def test_large_content_and_drafts_are_read_from_the_spool(store: Store, lane: Lane) -> None:
    content = b"Subject: x\r\n\r\n" + b"x" * 300_000
    await store.put(content=content)
    (claim,) = lane.taken
    assert b"".join([piece async for piece in claim.content.chunks()]) == content


async def test_without_room_it_is_queued(store: Store, lane: Lane) -> None:
    lane.room = 1
    first, second = await store.put(), await store.put()
    assert lane.ids == [first]
    assert [claim.message.id for claim in await store.claim()] == [second]


async def test_nothing_overtakes_what_is_due(store: Store, lane: Lane) -> None:
    lane.room = 0
    older = await store.put(priority=Priority.BULK)
    lane.room = 100
    newer = await store.put(priority=Priority.HIGH)
    assert lane.taken == []
    assert [claim.message.id for claim in await store.claim(messages=1)] == [newer]
    third = await store.put()
    assert lane.taken == []
    assert [claim.message.id for claim in await store.claim()] == [third, older]
    assert await store.put() in lane.ids


async def test_nor_what_has_become_due(store: Store, lane: Lane) -> None:
    id_ = await store.put()
    (claim,) = lane.taken
    await store.spool.outgoing.settle(claim, deferred(claim, store.clock() + 5000), [])
    assert await store.put() in lane.ids
    store.clock.forward(6)
    last = await store.put()
    assert last not in lane.ids
    assert [claim.message.id for claim in await store.claim()] == [id_, last]


async def test_a_put_that_fails_hands_nothing_over(store: Store, lane: Lane) -> None:
    message = store.arrival()
    await store.spool.intake.put(message)
    with pytest.raises(SpoolError):
        await store.spool.intake.put(message)
    assert len(lane.taken) == 1
    await store.put()
    assert lane.asked[-1] == (0, 1), "what failed takes up no room"


async def test_given_back_the_attempt_does_not_count(store: Store, lane: Lane) -> None:
    await store.put()
    await store.spool.outgoing.give_back(lane.taken)
    (claim,) = await store.claim()
    assert claim.recipients[0].attempts == 1


async def test_a_lease_that_runs_out_makes_it_due_again(store: Store, lane: Lane) -> None:
    id_ = await store.put()
    store.clock.forward(61)
    (again,) = await store.claim()
    assert (again.message.id, again.recipients[0].attempts) == (id_, 2)
    assert not await store.spool.outgoing.settle(lane.taken[0], relayed(lane.taken[0]), [])
    await store.spool.outgoing.settle(again, relayed(again), [])
    assert await store.claim() == []


async def test_after_a_crash_it_is_due_again(store: Store, lane: Lane) -> None:
    id_ = await store.put()
    await store.restart()
    (again,) = await store.claim()
    assert (again.message.id, again.recipients[0].attempts) == (id_, 2)
    (entry,) = await store.spool.inspection.trace(Selection(id=id_), None, None, 1)
    assert [event.event for event in entry.events] == ["accepted", "interrupted"]


async def test_who_lost_a_lease_looks_for_work_again(store: Store, lane: Lane) -> None:
    await store.put()
    await (await store.open()).aclose()
    assert not await store.spool.outgoing.settle(lane.taken[0], relayed(lane.taken[0]), [])
    last = await store.put()
    assert last not in lane.ids
    assert len(await store.claim()) == 2


async def test_an_upstream_without_lane_is_queued(store: Store, lane: Lane) -> None:
    assert await store.claim("other") == []
    await store.put(upstream=("other",))
    assert lane.asked == []
    assert len(await store.claim("other")) == 1
