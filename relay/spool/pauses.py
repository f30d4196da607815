"""Pauses: for how long upstreams were held. That time does not count towards giving up what waited meanwhile.

`give_up_at` stands in the rows as it was put. What moves it on is kept once for each time that an upstream was held:
a million messages may wait when its gate opens.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeAlias

from sqlalchemy import Connection, insert, select

from relay.spool.records import SpooledRecipient
from relay.spool.schema import gates, pauses
from relay.spool.transaction import Transaction

Spans: TypeAlias = Sequence[tuple[int, int]]
"""From when until when, of one upstream; they do not overlap."""


def held_for(spans: Spans, accepted_at: int) -> int:
    """Return for how many milliseconds what was accepted then has waited for a held upstream."""
    return sum(until_at - max(since_at, accepted_at) for since_at, until_at in legible(spans) if until_at > accepted_at)


def legible(spans: Spans) -> Spans:
    """Return the spans without those that damage on the disk made texts of."""
    return [span for span in spans if type(span[0]) is type(span[1]) is int]


def moved_on(rows: Iterable[SpooledRecipient], spans: Spans, accepted_at: int) -> tuple[SpooledRecipient, ...]:
    """Return one upstream's recipients of a message with the `give_up_at` that holds for them."""
    held = held_for(spans, accepted_at)
    return tuple(replace(row, give_up_at=row.give_up_at + held) if held else row for row in rows)


def record(transaction: Transaction, upstream: str, since_at: int) -> None:
    """Note that an upstream was held from then until now."""
    latest = max((until_at for _, until_at in Pauses(transaction.connection).of(upstream)), default=0)
    since_at = max(since_at, latest)
    if transaction.now > since_at:
        values = {"upstream": upstream, "until_at": transaction.now, "since_at": since_at}
        transaction.execute(insert(pauses).values(values))


class Pauses:
    """The pauses as one transaction or query sees them, each upstream's read once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._of: dict[str, Spans] = {}
        self._with_gate: dict[str, Spans] = {}

    def of(self, upstream: str) -> Spans:
        """Return an upstream's."""
        spans = self._of.get(upstream)
        if spans is None:
            p = pauses.c
            found = self._connection.execute(select(p.since_at, p.until_at).where(p.upstream == upstream))
            spans = self._of[upstream] = legible([(row.since_at, row.until_at) for row in found])
        return spans

    def moved_on(self, rows: Iterable[SpooledRecipient], accepted_at: int) -> tuple[SpooledRecipient, ...]:
        """Return a message's recipients with the `give_up_at` that holds for them."""
        return tuple(moved for row in rows for moved in moved_on([row], self.of(row.upstream), accepted_at))

    def carried(self, source: str, target: str, accepted_at: int, now: int) -> int:
        """Return what is to be added to `give_up_at` where a row changes its upstream, so that it stays what it is."""
        spans = (self._until(now, source), self._until(now, target))
        return held_for(spans[0], accepted_at) - held_for(spans[1], accepted_at)

    def _until(self, now: int, upstream: str) -> Spans:
        """Return an upstream's pauses with the one that has not ended: its row comes with the end of it."""
        spans = self._with_gate.get(upstream)
        if spans is None:
            asked = select(gates.c.since_at).where(gates.c.upstream == upstream)
            kept = self._connection.execute(asked).scalar()
            since_at = kept if isinstance(kept, int) else None
            ended = self.of(upstream)
            if since_at is not None:
                since_at = max([since_at, *(until_at for _, until_at in ended)])
            running = [(since_at, now)] if since_at is not None and since_at < now else []
            spans = self._with_gate[upstream] = [*ended, *running]
        return spans
