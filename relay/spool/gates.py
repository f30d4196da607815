"""Gates: the held upstreams, in the database and in memory."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from relay.spool import pauses
from relay.spool.bells import Bells
from relay.spool.notation import reply_of, reply_text
from relay.spool.records import Gate, HoldReason
from relay.spool.schema import gates
from relay.spool.transaction import Transaction


def gate_of(row: Any) -> Gate:
    """Read a row of `gates`."""
    return Gate(row.upstream, HoldReason(row.reason), row.since_at, reply_of(row.reply), row.next_probe_at, row.probes)


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
    def read(connection: Connection) -> dict[str, Gate]:
        """Read all gates."""
        return {row.upstream: gate_of(row) for row in connection.execute(select(gates))}

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
        since_at = gate.since_at if row is None else min(row.since_at, gate.since_at)
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
        pauses.record(transaction, upstream, row.since_at)
        transaction.after.append(lambda: self._changed(upstream, None))
        return True

    def _changed(self, upstream: str, gate: Gate | None) -> None:
        if gate is None:
            self._held.pop(upstream, None)
        else:
            self._held[upstream] = gate
        self._bells.of(upstream).ring()
