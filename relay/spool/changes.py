"""What operators may do to waiting recipients, a batch of messages a transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, select, update

from relay.spool.contract import Change
from relay.spool.endings import end_messages, endings_of
from relay.spool.notation import candidates_of, candidates_text
from relay.spool.pauses import Pauses
from relay.spool.records import HoldReason, RecipientState, Selection
from relay.spool.schema import leases, messages, recipients
from relay.spool.trace import add_event
from relay.spool.transaction import Transaction

_QUEUED, _HELD, _REMOVED = RecipientState.QUEUED.value, RecipientState.HELD.value, RecipientState.REMOVED.value
_EVENTS: Final[dict[Change, str]] = {"hold": "held", "release": "released", "retry": "retried", "remove": "removed"}
_WISHES: Final[dict[Change, str | None]] = {"hold": _HELD, "release": None, "remove": _REMOVED}


def change_some(transaction: Transaction, change: Change, ids: Sequence[str], selection: Selection) -> int:
    """Change what waits of these messages, as far as it is selected; return how many changed."""
    changed = _change_recipients(transaction, change, ids, selection)
    if change in _WISHES and selection.refused_sender is None:
        changed |= _wish(transaction, _WISHES[change], ids, selection.upstream)
    if change == "remove":
        end_messages(transaction, endings_of(transaction, sorted(changed)))
    return len(changed)


def _change_recipients(transaction: Transaction, change: Change, ids: Sequence[str], selection: Selection) -> set[str]:
    r, now = recipients.c, transaction.now
    before: dict[Change, list[str]] = {
        "hold": [_QUEUED],
        "release": [_HELD],
        "retry": [_QUEUED],
        "remove": [_QUEUED, _HELD],
    }
    values: dict[Change, dict[str, Any]] = {
        "hold": {"state": _HELD, "hold_reason": HoldReason.OPERATOR.value, "held_at": now},
        # The time held does not count towards giving up.
        "release": {
            "state": _QUEUED,
            "hold_reason": None,
            "held_at": None,
            "next_attempt_at": now,
            "give_up_at": r.give_up_at + now - r.held_at,
        },
        "retry": {"next_attempt_at": now},
        "remove": {"state": _REMOVED, "hold_reason": None, "held_at": None},
    }
    changed: set[str] = set()
    for state in before[change]:
        rows = transaction.execute(
            update(recipients)
            .where(*_meant(ids, selection), r.state == state)
            .values(values[change])
            .returning(r.message, r.position, r.upstream)
        ).all()
        for row in rows:
            _count(transaction, row.upstream, state, values[change].get("state", state))
        _tell(transaction, _EVENTS[change], rows)
        changed |= {row.message for row in rows}
    return changed


def _meant(ids: Sequence[str], selection: Selection) -> list[ColumnElement[bool]]:
    meant: list[ColumnElement[bool]] = [recipients.c.message.in_(ids)]
    if selection.upstream is not None:
        # No bare column: SQLite would go through all that waits for the upstream, instead of these messages.
        meant.append(recipients.c.upstream.concat("") == selection.upstream)
    if selection.refused_sender is not None:
        meant.append(recipients.c.hold_reason == HoldReason.SEND_AS.value)
    return meant


def _count(transaction: Transaction, upstream: str, before: str, after: str) -> None:
    transaction.count(upstream, before, -1)
    if RecipientState(after).waiting:
        transaction.count(upstream, after, 1)
    if after == _QUEUED:
        transaction.expect(upstream, transaction.now)


def _tell(transaction: Transaction, event: str, rows: Iterable[Any]) -> None:
    alike: dict[tuple[str, str], list[int]] = {}
    for row in rows:
        alike.setdefault((row.message, row.upstream), []).append(row.position)
    for (message, upstream), positions in alike.items():
        add_event(transaction, message, event, sorted(positions), upstream)


def _wish(transaction: Transaction, wish: str | None, ids: Sequence[str], upstream: str | None) -> set[str]:
    """Note what is to become of recipients in flight, should their attempt leave them waiting."""
    meant = update(leases).where(leases.c.message.in_(ids))
    if upstream is not None:
        meant = meant.where(leases.c.upstream == upstream)
    if wish is None:
        meant = meant.where(leases.c.wish == _HELD)
    return set(transaction.execute(meant.values(wish=wish).returning(leases.c.message)).scalars())


def reroute_some(transaction: Transaction, target: str, ids: Sequence[str], selection: Selection) -> int:
    """Give what is queued and held of these messages to `target`; returns as `change_some` does."""
    r = recipients.c
    held = Pauses(transaction.connection)
    rows = transaction.execute(
        select(r.message, r.position, r.upstream, r.state, r.candidates, r.give_up_at, messages.c.accepted_at)
        .join(messages, messages.c.id == r.message)
        .where(*_meant(ids, selection), r.state.in_([_QUEUED, _HELD]), r.upstream != target)
        .order_by(r.message, r.position)
    ).all()
    for row in rows:
        candidates = (target, *(name for name in candidates_of(row.candidates) if name != target))
        transaction.execute(
            update(recipients)
            .where(r.message == row.message, r.position == row.position)
            .values(
                upstream=target,
                candidates=candidates_text(candidates),
                next_attempt_at=transaction.now,
                give_up_at=row.give_up_at + held.carried(row.upstream, target, row.accepted_at, transaction.now),
            )
        )
        transaction.count(row.upstream, row.state, -1)
        transaction.count(target, row.state, 1)
    if rows:
        transaction.expect(target, transaction.now)
    _tell_rerouted(transaction, target, rows)
    return len({row.message for row in rows})


def _tell_rerouted(transaction: Transaction, target: str, rows: Iterable[Any]) -> None:
    positions: dict[str, list[int]] = {}
    for row in rows:
        positions.setdefault(row.message, []).append(row.position)
    for message, at in positions.items():
        add_event(transaction, message, "rerouted", at, target)
