"""The spool: opens everything behind the three faces, and closes it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final, Self

from sqlalchemy import select

from relay.spool import upgrade
from relay.spool.bells import Bells
from relay.spool.claims import Claiming, free_leases
from relay.spool.contents import RecentContent
from relay.spool.counts import Counts
from relay.spool.database import Database
from relay.spool.gates import Gates
from relay.spool.identifiers import Identifiers, mark_name
from relay.spool.intake import StoreIntake
from relay.spool.jobs import write
from relay.spool.node import node_name
from relay.spool.outgoing import StoreOutgoing
from relay.spool.reader import Reader
from relay.spool.room import Room
from relay.spool.schema import chunks, counts, leases, meta
from relay.spool.statements import Statements
from relay.spool.transaction import Transaction
from relay.spool.writer import Writer

_RESERVE: Final = 16 * 1024 * 1024
_KEEP_TRACE: Final = 90 * 86400.0


def _now() -> int:
    return time.time_ns() // 1_000_000


class Spool:
    """Mail that Relay is responsible for. Made by `open`; `intake`, `outgoing` and `inspection` are its faces."""

    def __init__(self, database: Database, state_dir: Path, node: str, reserve: int, clock: Callable[[], int]) -> None:
        self._database = database
        self._node = node
        self._bells = Bells(clock)
        self._counts = Counts()
        self._gates = Gates(self._bells)
        with closing(database.connect()) as connection:
            mark = connection.execute(select(meta.c.value).where(meta.c.name == mark_name(node))).scalar()
            self._counts.replace(
                ((row.kind, row.name, row.state), row.total) for row in connection.execute(select(counts))
            )
            self._gates.replace(Gates.read(connection))
        self._identifiers = Identifiers(node, int(mark or 0), clock)
        self._reader = Reader(database, "spool-reader")
        self._contents = Reader(database, "spool-contents")
        self._writer = Writer(database, Statements(database), self._identifiers, clock, self._committed)
        recent = RecentContent()
        room = Room(state_dir if database.path is None else database.path.parent, reserve)
        self.intake = StoreIntake(
            self._writer, self._identifiers, self._counts, recent, room, self._remove_content, clock
        )
        self.outgoing = StoreOutgoing(
            self._writer,
            self._reader,
            self.intake,
            Claiming(node, recent, self._read_chunk, clock),
            self._gates,
            self._bells,
        )

    @classmethod
    async def open(
        cls,
        url: str,
        state_dir: Path,
        *,
        node: str | None = None,
        password: str | None = None,
        reserve: int = _RESERVE,
        keep_trace: float = _KEEP_TRACE,
        serving: bool = True,
        clock: Callable[[], int] = _now,
    ) -> Self:
        """Open the spool at `url`, made where there is none.

        `node` None: the name kept in `state_dir`. `serving` False: for a command while no `serve` runs; leases stay
        as they are, and nothing is tidied up. Raises SpoolError.
        """
        database = Database(url or f"sqlite:///{state_dir / 'queue.db'}", password)
        upgrade.prepare(database)
        spool = cls(database, state_dir, node or node_name(state_dir), reserve, clock)
        if serving:
            await write(spool._writer, lambda transaction: free_leases(transaction, leases.c.node == spool._node))
        return spool

    async def aclose(self) -> None:
        """Write what waits, and close."""
        await self._writer.aclose()
        await self._reader.aclose()
        await self._contents.aclose()
        self._database.dispose()

    def _committed(self, transaction: Transaction) -> None:
        self._counts.apply(transaction.deltas)
        for upstream, at in transaction.due.items():
            self._bells.of(upstream).expect(at)
        for follow in transaction.after:
            follow()

    def _remove_content(self, key: str) -> None:
        pass

    async def _read_chunk(self, key: str, number: int) -> bytes | None:
        query = select(chunks.c.octets).where(chunks.c.content == key, chunks.c.number == number)
        octets = await self._contents.read(lambda connection: connection.execute(query).scalar())
        return None if octets is None else bytes(octets)
