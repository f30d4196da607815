import asyncio
import re

import pytest

from relay.spool.contract import SpoolError
from relay.spool.drafts import StoredDraft
from relay.spool.records import RecipientState, Selection
from relay.spool.store import Spool
from tests.contract.conftest import Store, until
from tests.contract.mail import arrival, full_arrival, relayed

QUEUED = RecipientState.QUEUED


async def content_of(store: Store, id_: str) -> bytes | None:
    content = await store.spool.inspection.content(id_)
    return None if content is None else b"".join([chunk async for chunk in content.chunks()])


async def test_what_is_put_is_claimed_as_it_was(store: Store) -> None:
    message = full_arrival(store.spool.intake.next_id(), store.clock())
    await store.spool.intake.put(message)
    claim = await store.claim_one()
    assert claim.envelope == message.envelope
    kept = claim.message
    assert (kept.id, kept.origin.client, kept.origin.peer) == (message.id, "lab-ä", "2001:db8::1")
    assert kept.origin.helo == "hélo ??"
    assert (kept.header_from, kept.message_id) == (message.header_from, "")
    assert (kept.size, kept.eight_bit, kept.priority, kept.notice) == (4, True, message.priority, True)
    assert (kept.accepted_at, kept.reverse_path) == (message.accepted_at, None)
    assert [row.candidates for row in claim.recipients] == [message.candidates] * 3
    assert [row.give_up_at for row in claim.recipients] == [message.give_up_at] * 3
    assert (claim.content.size, claim.content.eight_bit) == (4, True)
    assert [chunk async for chunk in claim.content.chunks()] == [b"\xff\x00\r\n"]


async def test_what_is_put_survives_a_restart(store: Store) -> None:
    id_ = await store.put(recipients=3, content=b"kept")
    await store.restart()
    claim = await store.claim_one()
    assert (claim.message.id, len(claim.recipients)) == (id_, 3)
    assert [chunk async for chunk in claim.content.chunks()] == [b"kept"]


async def test_an_empty_message_can_be_put(store: Store) -> None:
    id_ = await store.put(content=b"")
    assert await content_of(store, id_) == b""


async def test_an_id_that_exists_is_refused_and_its_neighbours_are_not(store: Store) -> None:
    first = await store.put(content=b"first")
    again = arrival(first, store.clock(), content=b"again")
    others = [store.arrival() for _ in range(5)]
    results = await asyncio.gather(
        *(store.spool.intake.put(message) for message in (*others[:2], again, *others[2:])), return_exceptions=True
    )
    assert [isinstance(result, SpoolError) for result in results] == [False, False, True, False, False, False]
    assert await content_of(store, first) == b"first"
    assert len(await store.claim()) == 6
    assert store.spool.intake.waiting("careright") == 6
    # What was asked of it was wrong, not the database.
    assert store.spool.intake.refusal() is None


async def test_a_put_whose_caller_is_cancelled_is_wholly_there(store: Store) -> None:
    message = store.arrival(recipients=2)
    task = asyncio.create_task(store.spool.intake.put(message))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await store.put()
    claims = {claim.message.id: claim for claim in await store.claim()}
    assert len(claims) == 2
    assert len(claims[message.id].recipients) == 2
    assert await content_of(store, message.id) is not None


async def test_waiting_messages_of_a_client_are_counted(store: Store) -> None:
    intake = store.spool.intake
    await asyncio.gather(*(store.put(recipients=2) for _ in range(3)), store.put(client="lab"))
    assert (intake.waiting("careright"), intake.waiting("lab"), intake.waiting("nobody")) == (3, 1, 0)
    claims = await store.claim(messages=2)
    await store.spool.outgoing.settle(claims[0], relayed(claims[0]), [])
    assert intake.waiting("careright") == 2
    # Not before the last recipient is settled.
    await store.spool.outgoing.settle(claims[1], relayed(claims[1])[:1], [])
    assert intake.waiting("careright") == 2
    await store.restart()
    assert store.spool.intake.waiting("careright") == 2


class TestIdentifiers:
    async def test_they_are_short_and_grow(self, store: Store) -> None:
        ids = [store.spool.intake.next_id() for _ in range(10_000)]
        assert ids == sorted(set(ids))
        assert all(re.fullmatch("[0-9A-Za-z-]{1,32}", id_) for id_ in ids)

    @pytest.mark.parametrize("seconds", [0, -3600, -86400 * 365])
    async def test_they_grow_over_a_restart_with_the_clock_set_back(self, store: Store, seconds: float) -> None:
        await store.put()
        before = [store.spool.intake.next_id() for _ in range(5000)][-1]
        await store.put()
        store.clock.forward(seconds)
        assert store.spool.intake.next_id() > before
        await store.restart()
        assert store.spool.intake.next_id() > before

    async def test_they_differ_between_nodes(self, store: Store, other: Spool) -> None:
        ours = {store.spool.intake.next_id() for _ in range(2000)}
        assert not ours & {other.intake.next_id() for _ in range(2000)}

    async def test_notices_take_them_from_the_same_row(self, store: Store) -> None:
        first, second = store.spool.intake.next_id(), store.spool.outgoing.next_id()
        assert first < second < store.spool.intake.next_id()


class TestDrafts:
    async def test_large_content_arrives_whole(self, store: Store) -> None:
        octets = bytes(range(256)) * 4096 * 3 + b"end"
        draft = store.spool.intake.draft()
        for at in range(0, len(octets), 100_000):
            await draft.write(octets[at : at + 100_000])
        message = arrival(store.spool.intake.next_id(), store.clock(), content=draft, size=len(octets))
        await store.spool.intake.put(message)
        await draft.discard()
        assert await content_of(store, message.id) == octets
        claim = await store.claim_one()
        pieces = [chunk async for chunk in claim.content.chunks()]
        assert b"".join(pieces) == octets
        assert max(map(len, pieces)) <= 1024 * 1024
        assert store.rows("unnamed") == 0

    @pytest.mark.parametrize("octets", [b"", b"small", b"x" * (256 * 1024), b"x" * (256 * 1024 + 1)])
    async def test_any_size_will_do(self, store: Store, octets: bytes) -> None:
        draft = store.spool.intake.draft()
        await draft.write(octets)
        message = arrival(store.spool.intake.next_id(), store.clock(), content=draft, size=len(octets))
        await store.spool.intake.put(message)
        assert await content_of(store, message.id) == octets
        assert store.rows("unnamed") == 0

    async def test_discarded_content_is_removed(self, store: Store) -> None:
        draft = store.spool.intake.draft()
        await draft.write(b"x" * 6_000_000)
        await draft.discard()
        await draft.discard()
        with pytest.raises(SpoolError):
            await draft.write(b"more")
        await no_content_left(store)

    async def test_what_a_crash_left_is_removed_at_the_start(self, store: Store) -> None:
        draft = store.spool.intake.draft()
        await draft.write(b"x" * 2_000_000)
        await store.put(content=b"")
        assert store.rows("chunks") > 1
        await store.restart()
        await no_content_left(store, but=1)

    async def test_a_put_that_fails_leaves_the_draft_to_be_discarded(self, store: Store) -> None:
        first = await store.put(content=b"")
        draft = store.spool.intake.draft()
        await draft.write(b"x" * 600_000)
        with pytest.raises(SpoolError):
            await store.spool.intake.put(arrival(first, store.clock(), content=draft, size=600_000))
        await draft.discard()
        await no_content_left(store, but=1)

    async def test_content_of_a_cancelled_put_is_kept_with_its_message(self, store: Store) -> None:
        draft = store.spool.intake.draft()
        await draft.write(b"x" * 600_000)
        await until(lambda: store.rows("chunks") == 2)
        message = arrival(store.spool.intake.next_id(), store.clock(), content=draft, size=600_000)
        task = asyncio.create_task(store.spool.intake.put(message))
        await until(lambda: store.rows("messages") == 1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        # As a session does that was cut off and does not know how far it came.
        await draft.discard()
        await store.put(content=b"")
        assert await content_of(store, message.id) == b"x" * 600_000

    async def test_no_more_than_four_chunks_wait(self, store: Store) -> None:
        draft = store.spool.intake.draft()
        assert isinstance(draft, StoredDraft)
        blocker = asyncio.create_task(draft.write(b"x" * 20 * 256 * 1024))
        most = 0
        while not blocker.done():
            await asyncio.sleep(0)
            most = max(most, draft.waiting)
        assert 0 < most <= 4
        await draft.discard()


async def no_content_left(store: Store, but: int = 0) -> None:
    """Wait until only `but` chunks are left, and nothing is unnamed."""
    await until(lambda: not store.rows("unnamed") and store.rows("chunks") <= but)
    assert store.rows("chunks") == but


async def test_a_closed_spool_refuses(store: Store) -> None:
    message = store.arrival()
    await store.spool.aclose()
    with pytest.raises(SpoolError):
        await store.spool.intake.put(message)
    with pytest.raises(SpoolError):
        await store.spool.inspection.queue(Selection(), None, 10)


async def test_closing_answers_those_who_wait(store: Store) -> None:
    puts = [asyncio.create_task(store.put()) for _ in range(50)]
    await asyncio.sleep(0)
    await store.spool.aclose()
    assert len(await asyncio.gather(*puts)) == 50
