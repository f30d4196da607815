"""One transaction of the writer: what runs in it, and what is to follow once it is on stable storage."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, CursorResult, Executable

from relay.spool.database import Cursor
from relay.spool.identifiers import Identifiers
from relay.spool.statements import Statements

CountKey = tuple[str, str, str]
"""`("upstream", name, state)` counts recipients, `("client", name, "")` messages."""


class Transaction:
    """What a unit of work gets to do its work with."""

    __slots__ = ("after", "connection", "cursor", "deltas", "due", "identifiers", "kept", "loose", "now", "statements")

    def __init__(
        self, connection: Connection, cursor: Cursor, statements: Statements, identifiers: Identifiers, now: int
    ) -> None:
        self.connection = connection
        self.cursor = cursor
        self.statements = statements
        self.identifiers = identifiers
        self.now = now
        self.deltas: defaultdict[CountKey, int] = defaultdict(int)
        self.due: dict[str, int] = {}
        self.loose: list[str] = []
        self.kept: list[tuple[str, bytes]] = []
        self.after: list[Callable[[], None]] = []

    @property
    def postgresql(self) -> bool:
        """True on PostgreSQL, False on SQLite."""
        return self.statements.postgresql

    def execute(self, statement: Executable, values: Any = None) -> CursorResult[*tuple[Any, ...]]:
        """Run a statement that is too rare to be compiled beforehand."""
        return self.connection.execute(statement, values)

    def count(self, upstream: str, state: str, difference: int) -> None:
        """Note a change in how many recipients of an upstream are in a state."""
        self.deltas["upstream", upstream, state] += difference

    def count_message(self, client: str, difference: int) -> None:
        """Note a change in how many messages of a client wait."""
        self.deltas["client", client, ""] += difference

    def expect(self, upstream: str, at: int) -> None:
        """Note that something of an upstream is due at `at`."""
        known = self.due.get(upstream)
        if known is None or at < known:
            self.due[upstream] = at

    def finish(self) -> None:
        """Write what goes with every transaction: the counts changed, and the identifiers' mark."""
        changed = sorted((key, total) for key, total in self.deltas.items() if total)
        if changed:
            self.cursor.insert(self.statements.count, [(*key, total) for key, total in changed])
        mark = self.identifiers.next_mark()
        if mark is not None:
            self.cursor.run(self.statements.mark, (self.identifiers.mark_name, str(mark)))
            self.after.append(lambda: self.identifiers.marked(mark))
