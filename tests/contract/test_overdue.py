"""What is beyond its time is claimed wherever it stands in the queue."""

from dataclasses import replace

from relay.envelope import Notify
from relay.spool.records import Claim, Gate, HoldReason, Priority
from tests.contract.conftest import Store

HOUR = 3_600_000


async def overdue(store: Store, recipients: int = 100) -> list[Claim]:
    """All of it, an hour being what senders are told of."""
    claims: list[Claim] = []
    after: str | None = ""
    while after is not None:
        some, after = await store.spool.outgoing.claim_overdue(
            "office365", recipients, after, store.clock(), store.clock() - HOUR
        )
        claims += some
    return claims


async def put(store: Store, *, give_up_after: int = 100 * HOUR, notify: Notify | None = None) -> str:
    """A message behind twenty that have time and that nobody asks for."""
    for _ in range(20):
        await store.put(priority=Priority.HIGH)
    message = store.arrival()
    people = tuple(replace(one, notify=notify) for one in message.envelope.recipients)
    message = replace(
        message,
        envelope=replace(message.envelope, recipients=people),
        give_up_at=message.accepted_at + give_up_after,
    )
    await store.spool.intake.put(message)
    return message.id


def ids(claims: list[Claim]) -> list[str]:
    return [claim.message.id for claim in claims]


async def test_what_has_to_be_given_up(store: Store) -> None:
    id_ = await put(store, give_up_after=2 * HOUR)
    assert await overdue(store) == []
    store.clock.forward(7200)
    (claim,) = await overdue(store)
    assert claim.message.id == id_
    assert [row.attempts for row in claim.recipients] == [1]
    assert await overdue(store) == [], "it is in flight"
    await store.spool.outgoing.give_back([claim])
    assert ids(await overdue(store)) == [id_]
    assert len(await store.claim()) == 20, "the others are there as before"


async def test_time_held_does_not_count(store: Store) -> None:
    id_ = await put(store, give_up_after=2 * HOUR)
    await store.spool.outgoing.hold(Gate("office365", HoldReason.AUTH, store.clock(), None, None))
    store.clock.forward(3 * 3600)
    assert await overdue(store) == []
    await store.spool.outgoing.release("office365")
    assert await overdue(store) == []
    store.clock.forward(2 * 3600)
    assert ids(await overdue(store)) == [id_]


async def test_who_asked_to_hear_of_a_delay(store: Store) -> None:
    asked = await put(store, notify=Notify.DELAY | Notify.FAILURE)
    await put(store, notify=Notify.SUCCESS | Notify.FAILURE)
    assert await overdue(store) == []
    store.clock.forward(3600)
    assert ids(await overdue(store)) == [asked]


async def test_many_recipients_come_in_several_claims(store: Store) -> None:
    message = replace(store.arrival(recipients=5), give_up_at=store.clock() + HOUR)
    await store.spool.intake.put(message)
    store.clock.forward(3600)
    first = await overdue(store, recipients=2)
    assert [len(claim.recipients) for claim in first] == [2]
    assert [len(claim.recipients) for claim in await overdue(store, recipients=2)] == [2]
    assert [len(claim.recipients) for claim in await overdue(store, recipients=2)] == [1]


async def test_more_than_are_claimed_at_once(store: Store) -> None:
    late = [await put(store, give_up_after=HOUR) for _ in range(3)]
    for _ in range(120):
        message = replace(store.arrival(), give_up_at=store.clock() + HOUR)
        await store.spool.intake.put(message)
        late.append(message.id)
    store.clock.forward(3600)
    assert ids(await overdue(store)) == late
