"""Gates: the held upstreams, in the database and in memory."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from relay.reply import reply
from relay.spool import pauses
from relay.spool.bells import Bells
from relay.spool.illegible import legibly
from relay.spool.notation import reply_of, reply_text
from relay.spool.records import Gate, HoldReason
from relay.spool.schema import gates
from relay.spool.transaction import Transaction


def gate_of(row: Any) -> Gate:
    """Read a row of `gates`. Raises one of ILLEGIBLE."""
    if not type(row.since_at) is type(row.probes) is int or not isinstance(row.next_probe_at, int | None):
        raise ValueError("text where a number should be")
    return Gate(row.upstream, HoldReason(row.reason), row.since_at, reply_of(row.reply), row.next_probe_at, row.probes)


def _kept_shut(row: Any, now: int) -> Gate:
    """Return the gate to hold by where its row can't be read: somebody has to see why, and release it."""
    said = reply(451, "4.3.0", "The spool's record of why it is held is damaged; release it when it may send")
    return Gate(row.upstream, HoldReason.OPERATOR, _instant(row.since_at, now), said, None)


def _instant(value: Any, otherwise: int) -> int:
    return value if isinstance(value, int) else otherwise


class Gates:
    """The gates as the last transaction left them."""

    def __init__(self, bells: Bells) -> None:
        self._bells = bells
        self._held: dict[str, Gate] = {}

    @property
    def held(self) -> Mapping[str, Gate]:
        """The held upstreams."""
        return MappingProxyType(self._held)

    def of(self, upstream: str) -> Gate | None:
        """Return an upstream's gate, where it is held."""
        return self._held.get(upstream)

    @staticmethod
    def read(connection: Connection, now: int) -> dict[str, Gate]:
        """Read all gates; one that can't be read stays shut until somebody releases it."""
        rows = connection.execute(select(gates)).all()
        return {row.upstream: legibly(gate_of, row) or _kept_shut(row, now) for row in rows}

    def replace(self, held: dict[str, Gate]) -> None:
        """Take over what the database says, and wake those whose gate changed."""
        changed = {name for name in {*held, *self._held} if held.get(name) != self._held.get(name)}
        self._held = dict(held)
        for upstream in changed:
            self._bells.of(upstream).ring()

    def hold(self, transaction: Transaction, gate: Gate) -> None:
        """Hold an upstream, or change its gate; the instant since when it is held stays."""
        row = transaction.execute(
            delete(gates).where(gates.c.upstream == gate.upstream).returning(gates.c.since_at)
        ).first()
        since_at = gate.since_at if row is None else min(_instant(row.since_at, gate.since_at), gate.since_at)
        kept = Gate(gate.upstream, gate.reason, since_at, gate.reply, gate.next_probe_at, gate.probes)
        values = {
            "upstream": kept.upstream,
            "reason": kept.reason.value,
            "since_at": kept.since_at,
            "reply": reply_text(kept.reply),
            "next_probe_at": kept.next_probe_at,
            "probes": kept.probes,
        }
        transaction.execute(insert(gates).values(values))
        transaction.after.append(lambda: self._changed(kept.upstream, kept))

    def release(self, transaction: Transaction, upstream: str) -> bool:
        """Open a gate; the time held does not count towards giving up."""
        row = transaction.execute(delete(gates).where(gates.c.upstream == upstream).returning(gates.c.since_at)).first()
        if row is None:
            return False
        pauses.record(transaction, upstream, _instant(row.since_at, transaction.now))
        transaction.after.append(lambda: self._changed(upstream, None))
        return True

    def _changed(self, upstream: str, gate: Gate | None) -> None:
        if gate is None:
            self._held.pop(upstream, None)
        else:
            self._held[upstream] = gate
        self._bells.of(upstream).ring()
