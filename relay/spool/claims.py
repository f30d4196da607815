"""Claims: leasing what is due, and getting back what nobody settled."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import select, update

from relay.spool.bells import Bells
from relay.spool.checksum import is_chunk
from relay.spool.contents import INLINE, ReadChunk, RecentContent, StoredContent
from relay.spool.endings import end_messages, endings_of
from relay.spool.illegible import ILLEGIBLE, Row, not_text, set_aside, tolerating
from relay.spool.notation import (
    MESSAGE_COLUMNS,
    MESSAGE_WIDTH,
    RECIPIENT_COLUMNS,
    is_addressed,
    message_of,
    recipient_of,
)
from relay.spool.pauses import Spans, moved_on
from relay.spool.records import Claim, HoldReason, Lease, Priority, RecipientState
from relay.spool.remedy import damaged
from relay.spool.schema import leases, messages, recipients
from relay.spool.trace import add_event
from relay.spool.transaction import Transaction

LEASE: Final = 60_000
"""Milliseconds for which a claim is ours, from the claim or its last renewal."""

Groups = list[list[Row]]
"""Due rows, recipient before message, in groups of one message each."""

_SWEEP: Final = 1_000
_RECIPIENT_WIDTH: Final = len(RECIPIENT_COLUMNS)
_CONTENT: Final = _RECIPIENT_WIDTH + MESSAGE_COLUMNS.index(messages.c.content)
_ACCEPTED_AT: Final = _RECIPIENT_WIDTH + MESSAGE_COLUMNS.index(messages.c.accepted_at)
_SIZE: Final = _RECIPIENT_WIDTH + MESSAGE_COLUMNS.index(messages.c.size)
_QUEUED, _IN_FLIGHT = RecipientState.QUEUED.value, RecipientState.IN_FLIGHT.value
WISHES: Final = (None, RecipientState.HELD.value, RecipientState.REMOVED.value)
"""What `leases.wish` may be."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one `claim` asks for."""

    upstream: str
    messages: int
    recipients: int
    among: tuple[str, ...] = ()
    """Where not empty: of these messages, whatever else is due before them."""


class Claiming:
    """Takes what is due, and frees what expired. Runs in the writer."""

    def __init__(
        self, node: str, recent: RecentContent, read: ReadChunk, bells: Bells, steady: Callable[[], bool]
    ) -> None:
        self._node = node
        self._recent = recent
        self._read = read
        self._bells = bells
        self._steady = steady
        self._swept_at = 0

    def claim(self, transaction: Transaction, wanted: Sequence[Wanted]) -> list[list[Claim]]:
        """Do the claims of one group, in turn."""
        if transaction.now - self._swept_at >= _SWEEP or transaction.now < self._swept_at:
            self._swept_at = transaction.now
            # After an outage settlements wait to be written, under leases that they could not renew.
            if self._steady():
                free_leases(transaction, leases.c.expires_at < transaction.now)
        return [self._claim(transaction, one) for one in wanted]

    def _claim(self, transaction: Transaction, wanted: Wanted) -> list[Claim]:
        claims = self._made(transaction, wanted.upstream, _due(transaction, wanted))
        if claims:
            cursor, statements = transaction.cursor, transaction.statements
            taken = [
                (claim.lease.token, claim.message.id, row.position) for claim in claims for row in claim.recipients
            ]
            cursor.insert(
                statements.put_lease,
                [lease_row(claim) for claim in claims],
            )
            cursor.update(statements.take, taken)
            transaction.count(wanted.upstream, _QUEUED, -len(taken))
            transaction.count(wanted.upstream, _IN_FLIGHT, len(taken))
        if wanted.among:
            return claims
        full = bool(claims) and len(claims) == wanted.messages
        due_at = transaction.now if full else next_due_at(transaction, wanted.upstream)
        # Told with this group's commit, so that it can't undo the ring of a later one.
        transaction.after.append(lambda: self._bells.of(wanted.upstream).seen(due_at))
        return claims

    def _made(self, transaction: Transaction, upstream: str, groups: Groups) -> list[Claim]:
        """Make claims of what is due, and hold what can't be read of it."""
        try:
            return self._made_of_legible(transaction, upstream, groups)
        except ILLEGIBLE:
            sound = set_aside(transaction, upstream, groups)
            if sound == groups:
                raise
            return self._made_of_legible(transaction, upstream, sound)

    def _made_of_legible(self, transaction: Transaction, upstream: str, groups: Groups) -> list[Claim]:
        if not groups:
            return []
        contents = self._contents(transaction, groups)
        oldest_at = min(rows[0][_ACCEPTED_AT] for rows in groups)
        spans = transaction.cursor.rows(transaction.statements.pauses, (upstream, oldest_at))
        return [self._leased(transaction, upstream, rows, contents, spans) for rows in groups]

    def _contents(self, transaction: Transaction, groups: Groups) -> dict[str, bytes]:
        """Return the small contents, from memory or read with the claim."""
        contents: dict[str, bytes] = {}
        missing: list[str] = []
        for rows in groups:
            key = rows[0][_CONTENT]
            octets = self._recent.take(key)
            if octets is not None:
                contents[key] = octets
            elif rows[0][_SIZE] <= INLINE:
                missing.append(key)
        statements = transaction.statements
        if missing and not statements.caution.holds(transaction.now):
            try:
                # What is damaged is left to the reader, which tells.
                read = transaction.cursor.among(statements.read_chunks, missing)
                contents |= {row[0]: row[2] for row in read if is_chunk(*row)}
            except sqlite3.DatabaseError as error:
                if damaged(error) or not_text(error):
                    # From now on each is read by its own attempt, so that the others go.
                    statements.caution.begin(transaction.now)
                if not not_text(error):
                    raise
        return contents

    def _leased(
        self,
        transaction: Transaction,
        upstream: str,
        rows: list[Row],
        contents: dict[str, bytes],
        spans: Spans,
    ) -> Claim:
        message = message_of(rows[0][_RECIPIENT_WIDTH : _RECIPIENT_WIDTH + MESSAGE_WIDTH])
        key = rows[0][_CONTENT]
        octets = contents.get(key)
        if octets is not None and len(octets) != message.size:
            # Small content in several chunks, of a draft, or none any more: the reader tells.
            octets = None
        lease = Lease(self._node, transaction.identifiers.next_id(), transaction.now + LEASE)
        recipient_parts = [row[:_RECIPIENT_WIDTH] for row in rows]
        if not all(is_addressed(rows[0][_RECIPIENT_WIDTH:], part) for part in recipient_parts):
            raise ValueError("an address that is not what was written")
        taken = tuple(recipient_of(row, RecipientState.IN_FLIGHT, attempts_more=1) for row in recipient_parts)
        if spans:
            taken = moved_on(taken, spans, message.accepted_at)
        content = StoredContent(key, message.size, message.eight_bit, octets, self._read)
        return Claim(message, upstream, taken, lease, content)


def _due(transaction: Transaction, wanted: Wanted) -> Groups:
    """Return the rows that are due; what can't be read of them is held, where that shows as they are read."""
    try:
        return _read_due(transaction, wanted)
    except sqlite3.OperationalError as error:
        if not not_text(error):
            raise
    with tolerating(transaction.connection):
        groups = _read_due(transaction, wanted)
    return set_aside(transaction, wanted.upstream, groups)


def _read_due(transaction: Transaction, wanted: Wanted) -> Groups:
    due = _Due(wanted)
    if wanted.among:
        due.read_among(transaction)
        return due.groups
    for priority in Priority:
        if len(due.groups) < wanted.messages:
            due.read(transaction, priority.value)
    return due.groups


class _Due:
    """Due rows in groups of one message each, as they are going to be claimed."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._unfilled: dict[str, list[Row]] = {}
        self.groups: Groups = []

    def read(self, transaction: Transaction, priority: int) -> None:
        """Add rows of one priority, until there are groups enough."""
        wanted, cursor = self._wanted, transaction.cursor
        limit = wanted.messages * wanted.recipients
        if transaction.postgresql:
            # It reads and locks all of them, while SQLite stops with us.
            limit = min(limit, 4 * wanted.messages + wanted.recipients)
        cursor.begin_rows(transaction.statements.due, (wanted.upstream, priority, transaction.now, limit))
        read = 0
        while rows := cursor.more_rows(wanted.messages):
            read += len(rows)
            if not all(map(self._add, rows)):
                return
        last = self.groups[-1] if self.groups else []
        if read == limit and len(self.groups) > 1 and len(last) < wanted.recipients:
            # The limit may have cut through this message: it is taken whole next time.
            self.groups.pop()

    def read_among(self, transaction: Transaction) -> None:
        """Add the rows of the messages named."""
        wanted, statement = self._wanted, transaction.statements.due_among
        values = (wanted.upstream, _QUEUED, transaction.now)
        for row in transaction.cursor.among(statement, wanted.among, values):
            self._add(row)

    def _add(self, row: Row) -> bool:
        """Return False when the row does not fit any more."""
        group = self._unfilled.get(row[0])
        if group is None or len(group) == self._wanted.recipients:
            if len(self.groups) == self._wanted.messages:
                return False
            group = self._unfilled[row[0]] = []
            self.groups.append(group)
        group.append(row)
        return True


def lease_row(claim: Claim) -> tuple[Any, ...]:
    """Return a claim's row of `leases`."""
    lease = claim.lease
    return (lease.token, lease.node, claim.message.id, claim.upstream, lease.expires_at, None)


def next_due_at(transaction: Transaction, upstream: str) -> int | None:
    """Return when the next queued recipient of an upstream is due."""
    row = transaction.cursor.rows(transaction.statements.next_due, (upstream,) * len(Priority))[0]
    # A text that damage made of it sorts behind all numbers: such a row is never due.
    return min((at for at in row if isinstance(at, int)), default=None)


def renew(transaction: Transaction, tokens: Iterable[str]) -> set[str]:
    """Extend leases by their full time from now; return those that were still there."""
    until = transaction.now + LEASE
    cursor, statement = transaction.cursor, transaction.statements.renew_lease
    return {row[0] for token in tokens for row in cursor.rows(statement, (until, token))}


def give_back(transaction: Transaction, claims: Iterable[Claim]) -> None:
    """Queue the recipients of claims whose attempt never began; stale claims are passed over."""
    for claim in claims:
        for token, wish in end_leases(transaction, [claim.lease.token]).items():
            requeue(transaction, token, claim.message.id, claim.upstream, wish, attempts_less=1)


def postpone(transaction: Transaction, postponed: Iterable[tuple[Claim, int]]) -> None:
    """Queue the recipients of claims whose attempt never began until the instant given with each."""
    for claim, due_at in postponed:
        for token, wish in end_leases(transaction, [claim.lease.token]).items():
            requeue(transaction, token, claim.message.id, claim.upstream, wish, attempts_less=1, due_at=due_at)


def free_leases(transaction: Transaction, which: Any) -> int:
    """Make the recipients of leases claimable again: those of a node that starts, or those that expired."""
    rows = transaction.execute(select(leases.c.token, leases.c.message, leases.c.upstream).where(which)).all()
    ended = end_leases(transaction, [row.token for row in rows])
    for row in rows:
        if row.token in ended:
            positions = requeue(transaction, row.token, row.message, row.upstream, ended[row.token])
            add_event(transaction, row.message, "interrupted", positions, row.upstream)
    return len(ended)


def end_leases(transaction: Transaction, tokens: Sequence[str]) -> dict[str, str | None]:
    """End those leases that are still there; return what an operator wished meanwhile, by token."""
    return dict(transaction.cursor.among(transaction.statements.end_leases, tokens))


def requeue(
    transaction: Transaction,
    token: str,
    message: str,
    upstream: str,
    wish: str | None,
    *,
    attempts_less: int = 0,
    due_at: int | None = None,
) -> list[int]:
    """Queue what is in flight under a lease again, or as an operator wished meanwhile; return the positions.

    `due_at` None: due at once; where the attempt isn't counted, as it was.
    """
    # A wish that damage made illegible: whatever it was, it was not to go on.
    state = (wish if wish in WISHES else RecipientState.HELD.value) or _QUEUED
    r = recipients.c
    as_it_was = attempts_less and due_at is None
    positions = [
        row[0]
        for row in transaction.execute(
            update(recipients)
            .where(r.message == message, r.lease == token)
            .values(
                state=state,
                attempts=r.attempts - attempts_less,
                next_attempt_at=r.next_attempt_at if as_it_was else due_at or transaction.now,
                hold_reason=HoldReason.OPERATOR.value if state == RecipientState.HELD else None,
                held_at=transaction.now if state == RecipientState.HELD else None,
                lease=None,
            )
            .returning(r.position)
        )
    ]
    transaction.count(upstream, _IN_FLIGHT, -len(positions))
    if state == RecipientState.REMOVED:
        add_event(transaction, message, "removed", positions, upstream)
        end_messages(transaction, endings_of(transaction, [message]))
    else:
        transaction.count(upstream, state, len(positions))
    if state == _QUEUED:
        transaction.expect(upstream, due_at or transaction.now)
    return positions
