"""Recording: what was answered before it was put. The outcomes come with the message, in one transaction."""

from dataclasses import replace

import pytest

from relay.spool.contract import Arrival, SpoolError
from relay.spool.records import RecipientState, Selection, Settlement, TraceEntry
from tests.contract.conftest import Store, until
from tests.contract.mail import LATER, NEVER, OK, arrival


def ended(position: int, state: RecipientState = RecipientState.RELAYED, event: str = "relayed") -> Settlement:
    said = {"relayed": OK, "failed": NEVER}.get(event, LATER)
    return Settlement(position, state, event, said)


async def made(store: Store, *settlements: Settlement, size: int | None = None) -> str:
    """A recorded message with so many recipients as settlements; larger than 1 MiB content is a draft."""
    intake = store.spool.intake
    id_ = intake.next_id()
    found: Arrival = arrival(id_, store.clock(), recipients=len(settlements))
    if size is not None:
        draft = intake.draft()
        await draft.write(b"x" * size)
        content = await draft.content(eight_bit=False)
        assert b"".join([chunk async for chunk in content.chunks()]) == b"x" * size
        found = replace(found, content=draft, size=size)
    await store.spool.outgoing.record(found, settlements, [])
    if size is not None:
        assert not isinstance(found.content, bytes)
        await found.content.discard()
    return id_


async def traced(store: Store, id_: str) -> TraceEntry:
    return (await store.spool.inspection.trace(Selection(id=id_), None, None, 1))[0]


async def test_what_has_ended_leaves_its_trace_and_nothing_else(store: Store) -> None:
    id_ = await made(store, ended(0), ended(1, RecipientState.FAILED, "failed"))
    entry = await traced(store, id_)
    assert [row.state.value for row in entry.recipients] == ["relayed", "failed"]
    assert [(event.event, event.reply) for event in entry.events] == [
        ("direct", None),
        ("relayed", OK),
        ("failed", NEVER),
    ]
    assert [row.attempts for row in entry.recipients] == [1, 1]
    assert store.rows("chunks") == store.rows("leases") == store.rows("unnamed") == 0
    assert store.spool.intake.waiting("careright") == 0
    assert (await store.spool.inspection.counts()).recipients == {}
    assert await store.claim() == []


async def test_what_still_waits_is_kept_and_claimed_when_due(store: Store) -> None:
    later = replace(ended(1, RecipientState.QUEUED, "deferred"), next_attempt_at=store.clock() + 1000)
    id_ = await made(store, ended(0), later)
    assert store.spool.intake.waiting("careright") == 1
    assert await store.claim() == []
    store.clock.forward(2)
    (claim,) = await store.claim()
    assert claim.message.id == id_
    assert [(row.position, row.attempts) for row in claim.recipients] == [(1, 2)]
    assert b"".join([chunk async for chunk in claim.content.chunks()]) == b"Subject: x\r\n\r\nbody\r\n"


@pytest.mark.parametrize("size", [3000, 256 * 1024, 1_500_000])
async def test_a_draft_is_read_before_it_is_named(store: Store, size: int) -> None:
    later = replace(ended(1, RecipientState.QUEUED, "deferred"), next_attempt_at=store.clock())
    await made(store, ended(0), later, size=size)
    (claim,) = await store.claim()
    assert b"".join([chunk async for chunk in claim.content.chunks()]) == b"x" * size
    assert store.rows("unnamed") == 0


async def test_a_draft_of_what_has_ended_is_removed(store: Store) -> None:
    await made(store, ended(0), size=1_500_000)
    await until(lambda: store.rows("chunks") == store.rows("unnamed") == 0)


async def test_an_outcome_that_comes_late_replaces_the_first(store: Store) -> None:
    id_ = await made(store, ended(0, RecipientState.FAILED, "uncertain"))
    await store.spool.outgoing.amend(id_, "office365", [ended(0)], [])
    entry = await traced(store, id_)
    assert [row.state.value for row in entry.recipients] == ["relayed"]
    assert [event.event for event in entry.events] == ["direct", "uncertain", "relayed"]
    assert (await store.spool.inspection.counts()).recipients == {}


async def test_a_notice_of_what_comes_late_goes_into_the_queue(store: Store) -> None:
    id_ = await made(store, ended(0, RecipientState.FAILED, "uncertain"))
    notice = arrival(store.spool.intake.next_id(), store.clock())
    await store.spool.outgoing.amend(id_, "office365", [ended(0)], [notice])
    (claim,) = await store.claim()
    assert claim.message.id == notice.id


async def test_a_notice_goes_into_the_queue_with_it(store: Store) -> None:
    intake = store.spool.intake
    notice = arrival(intake.next_id(), store.clock())
    told = arrival(intake.next_id(), store.clock())
    await store.spool.outgoing.record(told, [ended(0, RecipientState.FAILED, "failed")], [notice])
    (claim,) = await store.claim()
    assert claim.message.id == notice.id


async def test_an_id_that_is_taken_leaves_nothing(store: Store) -> None:
    id_ = await store.put()
    with pytest.raises(SpoolError):
        await store.spool.outgoing.record(arrival(id_, store.clock()), [ended(0)], [])
    assert [row.state.value for row in (await traced(store, id_)).recipients] == ["queued"]
