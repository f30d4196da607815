"""Time for which an upstream was held does not count, wherever a message goes afterwards."""

from sqlalchemy import event

from relay.spool.records import Gate, HoldReason, RecipientState, Selection, Settlement
from tests.contract.conftest import Store
from tests.contract.mail import LATER, deferred, relayed
from tests.contract.test_moves import move_all

DAY = 86400.0


async def held(store: Store, upstream: str, seconds: float) -> None:
    """Hold an upstream for so long."""
    await store.spool.outgoing.hold(Gate(upstream, HoldReason.AUTH, store.clock(), None, None))
    store.clock.forward(seconds)
    assert await store.spool.outgoing.release(upstream)


async def given_up_at(store: Store, id_: str) -> int:
    """As an operator sees it."""
    (entry,) = await store.spool.inspection.queue(Selection(id=id_), None, 1)
    (traced,) = await store.spool.inspection.trace(Selection(id=id_), None, None, 1)
    assert traced.recipients[0].give_up_at == entry.recipients[0].give_up_at
    return entry.recipients[0].give_up_at


async def test_several_pauses_add_up_and_outlive_a_restart(store: Store) -> None:
    message = store.arrival()
    await store.spool.intake.put(message)
    await held(store, "office365", 100)
    store.clock.forward(1000)
    await held(store, "office365", 20)
    await held(store, "office365", 3)
    await held(store, "gmail", 50)
    await store.restart()
    assert await given_up_at(store, message.id) == message.give_up_at + 123_000
    claim = await store.claim_one()
    assert claim.recipients[0].give_up_at == message.give_up_at + 123_000
    await store.spool.outgoing.settle(claim, deferred(claim, store.clock()), [])
    assert await given_up_at(store, message.id) == message.give_up_at + 123_000


async def test_a_gate_that_was_put_up_for_the_past_counts_once(store: Store) -> None:
    message = store.arrival()
    await store.spool.intake.put(message)
    await held(store, "office365", 100)
    earlier = store.clock() - 50_000
    await store.spool.outgoing.hold(Gate("office365", HoldReason.AUTH, earlier, None, None))
    store.clock.forward(1)
    await store.spool.outgoing.release("office365")
    assert await given_up_at(store, message.id) == message.give_up_at + 101_000


async def test_it_goes_along_to_another_upstream(store: Store) -> None:
    message = store.arrival(upstream=("office365", "gmail", "ses"))
    await store.spool.intake.put(message)
    await held(store, "ses", 1)
    await held(store, "office365", 100)
    await held(store, "gmail", 10)
    waited = message.give_up_at + 100_000
    assert len(await move_all(store.spool, "office365", "gmail")) == 1
    assert await given_up_at(store, message.id) == waited
    await held(store, "gmail", 20)
    assert await store.spool.inspection.reroute(Selection(id=message.id), "office365") == 1
    assert await given_up_at(store, message.id) == waited + 20_000
    await held(store, "office365", 40)
    claim = await store.claim_one()
    assert claim.recipients[0].give_up_at == waited + 60_000
    assert await store.spool.outgoing.settle(claim, deferred(claim, store.clock(), upstream="ses"), [])
    assert await given_up_at(store, message.id) == waited + 60_000
    await held(store, "office365", 1)
    await held(store, "ses", 80)
    assert await given_up_at(store, message.id) == waited + 140_000


async def test_it_is_forgotten_when_nothing_older_waits(store: Store) -> None:
    old = await store.put()
    await held(store, "office365", 100)
    store.clock.forward(2 * DAY)
    await store.put()
    await store.spool.purge()
    assert store.rows("pauses") == 1
    (claim, _) = await store.claim()
    assert claim.message.id == old
    await store.spool.outgoing.settle(claim, relayed(claim), [])
    await store.spool.purge()
    assert store.rows("pauses") == 0


async def test_what_waits_is_not_touched_when_a_gate_opens(store: Store) -> None:
    """However many wait: mail goes on being accepted meanwhile."""
    for _ in range(3):
        await store.put()
    await store.spool.outgoing.hold(Gate("office365", HoldReason.AUTH, store.clock(), None, None))
    store.clock.forward(10)
    said: list[str] = []
    engine = store.spool._database.engine

    def remember(*arguments: object) -> None:
        said.append(str(arguments[2]))

    event.listen(engine, "before_cursor_execute", remember)
    await store.spool.outgoing.release("office365")
    event.remove(engine, "before_cursor_execute", remember)
    assert any("pauses" in sql for sql in said)
    assert not any("recipients" in sql or "messages" in sql for sql in said), said


async def test_what_an_attempt_passes_on_keeps_the_time_for_which_the_first_was_held(store: Store) -> None:
    both = ("office365", "gmail")
    message, other = store.arrival(recipients=2, upstream=both), store.arrival(upstream=both)
    await store.spool.intake.put(message)
    await store.spool.intake.put(other)
    await held(store, "office365", 100)
    claim = next(one for one in await store.claim() if one.message.id == message.id)
    now = store.clock()
    passed = Settlement(0, RecipientState.QUEUED, "deferred", LATER, next_attempt_at=now, upstream="gmail")
    assert await store.spool.outgoing.settle(claim, [passed, deferred(claim, now)[1]], [])
    (traced,) = await store.spool.inspection.trace(Selection(id=message.id), None, None, 1)
    assert [(row.upstream, row.give_up_at) for row in traced.recipients] == [
        (upstream, message.give_up_at + 100_000) for upstream in reversed(both)
    ]
    assert await given_up_at(store, other.id) == other.give_up_at + 100_000
