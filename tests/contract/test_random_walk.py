"""Whatever is done in whatever order: the counts are true, nothing is lost, and nothing is done twice."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random

import pytest
from sqlalchemy import Connection, select

from relay.spool.contract import Change
from relay.spool.database import Database
from relay.spool.records import Claim, Gate, HoldReason, Priority, RecipientState, Selection, Settlement
from relay.spool.schema import chunks, counts, leases, messages, recipients, unnamed
from tests.contract.conftest import Store, until
from tests.contract.mail import LATER, OK

UPSTREAMS = ("office365", "gmail", "ses")
CLIENTS = ("careright", "lab")
FINAL = (RecipientState.RELAYED, RecipientState.FAILED)


class Walk:
    """Does one thing after the other, and remembers what cannot be undone."""

    def __init__(self, store: Store, seed: int) -> None:
        self.store = store
        self.random = Random(seed)  # noqa: S311 - a test that can be repeated
        self.put_so_far: dict[str, int] = {}
        self.final: dict[tuple[str, int], RecipientState] = {}
        self.claims: list[Claim] = []
        self.steps: list[Callable[[], Awaitable[None]]] = [
            *[self.put] * 8,
            *[self.claim] * 8,
            *[self.settle] * 16,
            self.settle_late,
            self.give_back,
            self.renew,
            self.forward,
            self.change,
            self.change,
            self.reroute,
            self.move,
            self.gate,
            self.restart,
        ]

    async def put(self) -> None:
        many = self.random.choice([1, 1, 1, 2, 5])
        content = b"x" * self.random.choice([0, 10, 5000, 1_100_000])
        upstreams = tuple(self.random.sample(UPSTREAMS, self.random.randint(1, 3)))
        priority = self.random.choice(list(Priority))
        together = self.random.randint(1, 4)
        ids = await asyncio.gather(
            *(self.store.put(many, content, self.random.choice(CLIENTS), upstreams, priority) for _ in range(together))
        )
        self.put_so_far |= dict.fromkeys(ids, many)

    async def claim(self) -> None:
        upstream = self.random.choice(UPSTREAMS)
        self.claims += await self.store.claim(upstream, self.random.randint(1, 6), self.random.randint(1, 6))

    async def settle(self) -> None:
        if self.claims:
            claim = self.claims.pop(-self.random.randint(1, min(3, len(self.claims))))
            settlements = [self.settlement(claim, row.position) for row in claim.recipients]
            if await self.store.spool.outgoing.settle(claim, settlements, []):
                for said in settlements:
                    if said.state in FINAL:
                        key = (claim.message.id, said.position)
                        assert key not in self.final
                        self.final[key] = said.state

    def settlement(self, claim: Claim, position: int) -> Settlement:
        state = self.random.choice([*FINAL, RecipientState.RELAYED, RecipientState.QUEUED, RecipientState.HELD])
        later = self.store.clock() + self.random.randint(0, 90_000)
        return Settlement(
            position,
            state,
            state.value,
            OK,
            later if state is RecipientState.QUEUED else None,
            self.random.choice([None, None, *UPSTREAMS]) if state is RecipientState.QUEUED else None,
            uncertain=self.random.random() < 0.2,
            hold_reason=HoldReason.AMBIGUOUS if state is RecipientState.HELD else None,
        )

    async def settle_late(self) -> None:
        """As an attempt does that lost its lease long ago."""
        self.store.clock.forward(61)
        await self.store.claim("office365", 1, 1)
        await self.settle()

    async def give_back(self) -> None:
        given = [self.claims.pop() for _ in range(min(2, len(self.claims)))]
        await self.store.spool.outgoing.give_back(given)

    async def renew(self) -> None:
        await self.store.spool.outgoing.renew(self.claims)

    async def forward(self) -> None:
        self.store.clock.forward(self.random.choice([1, 20, 100]))

    def selection(self) -> Selection:
        return self.random.choice(
            [
                Selection(client=self.random.choice(CLIENTS)),
                Selection(upstream=self.random.choice(UPSTREAMS)),
                Selection(id=self.random.choice([*self.put_so_far, "none"])),
            ]
        )

    async def change(self) -> None:
        changes: list[Change] = ["hold", "release", "retry", "release", "remove"]
        selection = self.selection()
        change = self.random.choice(changes)
        if change == "remove":
            selection = Selection(id=self.random.choice([*self.put_so_far, "none"]))
        await self.store.spool.inspection.change(change, selection)

    async def reroute(self) -> None:
        await self.store.spool.inspection.reroute(self.selection(), self.random.choice(UPSTREAMS))

    async def move(self) -> None:
        source, target = self.random.sample(UPSTREAMS, 2)
        outgoing, priority = self.store.spool.outgoing, self.random.choice(list(Priority))
        due_at = self.random.choice([None, self.store.clock()])
        some = await outgoing.queued(source, priority, None, due_at, self.random.randint(1, 5))
        await outgoing.move(source, target, [(row.place.message, row.place.position) for row in some], LATER)

    async def gate(self) -> None:
        outgoing, upstream = self.store.spool.outgoing, self.random.choice(UPSTREAMS)
        if not await outgoing.release(upstream):
            await outgoing.hold(Gate(upstream, HoldReason.AUTH, self.store.clock(), None, None))

    async def restart(self) -> None:
        await self.store.restart()


async def check(walk: Walk) -> None:
    """Compare what the store says with its rows, and both with what was done."""
    store = walk.store
    await until(lambda: not store.rows("unnamed"))
    with Database(store.url).connect() as connection:
        people = connection.execute(select(recipients)).all()
        clients = {row.id: row.client for row in connection.execute(select(messages.c.id, messages.c.client))}
        kept = kept_counts(connection)
        tokens = set(connection.execute(select(leases.c.token)).scalars())
        contents = set(connection.execute(select(chunks.c.content)).scalars())
        assert not connection.execute(select(unnamed)).all()
    assert Counter(row.message for row in people) == walk.put_so_far
    states = {(row.message, row.position): RecipientState(row.state) for row in people}
    assert {key: states[key] for key in walk.final} == walk.final

    waiting = [row for row in people if RecipientState(row.state).waiting]
    by_upstream = Counter(("upstream", row.upstream, row.state) for row in waiting)
    by_client = Counter(("client", clients[id_], "") for id_ in {row.message for row in waiting})
    assert kept == by_upstream + by_client
    said = await store.spool.inspection.counts()
    assert said.recipients == {(name, RecipientState(state)): n for (_, name, state), n in by_upstream.items()}
    for client in CLIENTS:
        assert store.spool.intake.waiting(client) == by_client["client", client, ""]

    assert contents == {row.message for row in waiting}
    assert {row.lease for row in people if row.state == "in_flight"} == tokens
    assert {row.lease for row in people if row.state != "in_flight"} <= {None}


def kept_counts(connection: Connection) -> Counter[tuple[str, str, str]]:
    rows = connection.execute(select(counts).where(counts.c.total != 0))
    return Counter({(row.kind, row.name, row.state): row.total for row in rows})


@pytest.mark.parametrize("seed", range(3))
async def test_a_walk(store: Store, seed: int) -> None:
    walk = Walk(store, seed)
    await walk.put()
    for at in range(300):
        await walk.random.choice(walk.steps)()
        if at % 10 == 0:
            await check(walk)
    await check(walk)
    assert len(walk.final) > 20
    # Everything can be brought to an end.
    walk.claims.clear()
    for upstream in UPSTREAMS:
        await store.spool.outgoing.release(upstream)
    store.clock.forward(200)
    for _ in range(3):
        await store.spool.inspection.change("release", Selection())
        for upstream in UPSTREAMS:
            for claim in await store.claim(upstream, 1000, 1000):
                done = [Settlement(row.position, FINAL[0], "relayed", OK) for row in claim.recipients]
                assert await store.spool.outgoing.settle(claim, done, [])
                walk.final |= {(claim.message.id, row.position): FINAL[0] for row in claim.recipients}
        store.clock.forward(200)
    await check(walk)
    assert (await store.spool.inspection.counts()).recipients == {}
    assert store.rows("chunks") == 0
