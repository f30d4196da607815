"""The spool on either database. Every test of this folder runs on both."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import select

from relay.spool import schema
from relay.spool.contract import Arrival
from relay.spool.database import Database
from relay.spool.records import Claim, Priority, RecipientState, Selection
from relay.spool.store import Spool
from tests.contract.mail import Clock, arrival
from tests.rig.postgres import Postgres


@dataclass
class Store:
    """A spool that a test can close, open again, and look behind."""

    url: str
    state_dir: Path
    clock: Clock = field(default_factory=Clock)
    spool: Spool = field(init=False)

    async def open(self, *, node: str = "node-1", serving: bool = True, keep_trace: float = 90 * 86400.0) -> Spool:
        """Another spool on the same database."""
        return await Spool.open(
            self.url,
            self.state_dir,
            node=node,
            serving=serving,
            reserve=0,
            keep_trace=keep_trace,
            clock=self.clock,
            elapsed=self.clock.elapsed,
        )

    async def restart(self) -> None:
        await self.spool.aclose()
        self.spool = await self.open()

    def arrival(
        self,
        recipients: int = 1,
        content: bytes = b"Subject: x\r\n\r\nbody\r\n",
        client: str = "careright",
        upstream: tuple[str, ...] = ("office365",),
        priority: Priority = Priority.NORMAL,
    ) -> Arrival:
        return arrival(
            self.spool.intake.next_id(),
            self.clock(),
            recipients=recipients,
            content=content,
            client=client,
            upstream=upstream,
            priority=priority,
        )

    async def put(
        self,
        recipients: int = 1,
        content: bytes = b"Subject: x\r\n\r\nbody\r\n",
        client: str = "careright",
        upstream: tuple[str, ...] = ("office365",),
        priority: Priority = Priority.NORMAL,
    ) -> str:
        message = self.arrival(recipients, content, client, upstream, priority)
        await self.spool.intake.put(message)
        return message.id

    async def claim(self, upstream: str = "office365", messages: int = 20, recipients: int = 500) -> list[Claim]:
        return list(await self.spool.outgoing.claim(upstream, messages, recipients))

    async def claim_one(self, upstream: str = "office365") -> Claim:
        (claim,) = await self.claim(upstream)
        return claim

    async def states(self, id_: str) -> list[RecipientState]:
        (entry,) = await self.spool.inspection.trace(Selection(id=id_), None, None, 1)
        return [row.state for row in entry.recipients]

    async def events(self, id_: str) -> list[str]:
        (entry,) = await self.spool.inspection.trace(Selection(id=id_), None, None, 1)
        return [event.event for event in entry.events]

    def rows(self, table: str) -> int:
        """How many rows a table has."""
        database = Database(self.url)
        with database.connect() as connection:
            return len(connection.execute(select(schema.metadata.tables[table])).all())


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what a task of the store does by itself."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - it is the database that is watched
            await asyncio.sleep(0.01)


@pytest.fixture(scope="session")
def postgres_database(postgres: Postgres) -> str:
    """One database for all tests of this folder: making a hundred takes minutes."""
    return postgres.new_database()


@pytest.fixture
def empty_postgres_url(postgres_database: str) -> str:
    """Its URL, with nothing left in it."""
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return postgres_database


@pytest.fixture(params=["sqlite", "postgresql"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """An empty spool."""
    postgresql = request.param == "postgresql"
    url = str(request.getfixturevalue("empty_postgres_url")) if postgresql else f"sqlite:///{tmp_path / 'queue.db'}"
    store = Store(url, tmp_path)
    store.spool = await store.open()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(lambda: store.spool.aclose())
        yield store


@pytest.fixture
async def other(store: Store) -> AsyncIterator[Spool]:
    """A second node on the same database."""
    spool = await store.open(node="node-2")
    yield spool
    await spool.aclose()


@pytest.fixture
def clock() -> Clock:
    """A clock for a spool that a test opens itself."""
    return Clock()
