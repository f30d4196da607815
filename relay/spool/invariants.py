"""What holds for the rows of a sound spool, as queries that find those for which it doesn't."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from relay.spool.finding import EXAMPLES, Finding
from relay.spool.place import Place
from relay.spool.records import RecipientState

_STATES: Final = ", ".join(f"'{state.value}'" for state in RecipientState)
_WAITING: Final = ", ".join(f"'{state.value}'" for state in RecipientState if state.waiting)
_WAIT: Final = f"SELECT message FROM recipients WHERE state IN ({_WAITING})"

RECOUNT: Final = f"""
    SELECT 'upstream' AS kind, upstream AS name, state, count(*) AS total FROM recipients
    WHERE state IN ({_WAITING}) GROUP BY upstream, state
    UNION ALL SELECT 'client', client, '', count(*) FROM messages WHERE id IN ({_WAIT}) GROUP BY client"""

_RECOUNTED: Final = f"DELETE FROM counts; INSERT INTO counts (kind, name, state, total) {RECOUNT}"
_FREED: Final = """
    UPDATE recipients SET state = 'queued', lease = NULL
    WHERE state = 'in_flight' AND (lease IS NULL OR lease NOT IN (SELECT token FROM leases))"""


@dataclass(frozen=True, slots=True)
class Invariant:
    """`query` gives message and client of each row at fault; `cure` is a statement for a stopped relay."""

    kind: str
    query: str
    what: str
    meaning: str
    cure: str = ""
    actions: tuple[str, ...] = ()
    damage: bool = True


SEND_AGAIN: Final = (
    "relay queue show ID     # for each: the sender and recipients; have the application send it again",
    "relay queue remove ID",
)

INVARIANTS: Final = (
    Invariant(
        "content_missing",
        f"""SELECT id AS message, client FROM messages WHERE size > 0 AND id IN ({_WAIT})
            AND NOT EXISTS (SELECT 1 FROM chunks WHERE chunks.content = messages.content)""",
        "messages wait whose content is gone",
        "they cannot be sent any more, and are tried until queue.give_up",
        actions=SEND_AGAIN,
    ),
    Invariant(
        "content_wrong_size",
        f"""SELECT m.id AS message, min(m.client) AS client
            FROM messages m JOIN chunks c ON c.content = m.content WHERE m.id IN ({_WAIT})
            GROUP BY m.id HAVING sum(length(c.octets)) <> min(m.size) OR max(c.number) + 1 <> count(*)""",
        "messages wait whose content is not as long as it was accepted, or has gaps",
        "they cannot be sent whole",
        actions=SEND_AGAIN,
    ),
    Invariant(
        "recipient_without_message",
        """SELECT message, CAST(NULL AS TEXT) AS client FROM recipients r
            WHERE NOT EXISTS (SELECT 1 FROM messages WHERE id = r.message)""",
        "recipients belong to messages that are not there",
        "whose mail it was is lost; they are never claimed",
        cure="DELETE FROM recipients WHERE message NOT IN (SELECT id FROM messages); " + _RECOUNTED,
    ),
    Invariant(
        "message_without_recipient",
        "SELECT id AS message, client FROM messages m WHERE NOT EXISTS (SELECT 1 FROM recipients WHERE message = m.id)",
        "messages have no recipient",
        "to whom they were to go is lost",
        actions=("relay trace ID     # for each: the sender; have the application send it again",),
    ),
    Invariant(
        "state_unknown",
        f"SELECT r.message, m.client FROM recipients r LEFT JOIN messages m ON m.id = r.message "
        f"WHERE r.state NOT IN ({_STATES})",
        "recipients are in a state that does not exist",
        "they are never sent to",
        cure=f"""UPDATE recipients SET lease = NULL, state = CASE WHEN EXISTS (SELECT 1 FROM messages m
            JOIN chunks c ON c.content = m.content WHERE m.id = message) THEN 'queued' ELSE 'failed' END
            WHERE state NOT IN ({_STATES}); {_RECOUNTED}""",
    ),
    Invariant(
        "in_flight_without_lease",
        """SELECT r.message, m.client FROM recipients r LEFT JOIN messages m ON m.id = r.message
            WHERE r.state = 'in_flight' AND (r.lease IS NULL OR r.lease NOT IN (SELECT token FROM leases))""",
        "recipients are in flight with no lease that would end",
        "they are never tried again; whether their message was taken nobody knows, and sending it may send it twice",
        cure=f"{_FREED}; {_RECOUNTED}",
    ),
    Invariant(
        "lease_not_in_flight",
        """SELECT r.message, m.client FROM recipients r LEFT JOIN messages m ON m.id = r.message
            WHERE r.state <> 'in_flight' AND r.lease IS NOT NULL""",
        "recipients have a lease and are not in flight",
        "the end of that lease changes their state",
        cure="UPDATE recipients SET lease = NULL WHERE state <> 'in_flight'",
    ),
    Invariant(
        "lease_without_recipient",
        """SELECT l.message, m.client FROM leases l LEFT JOIN messages m ON m.id = l.message
            WHERE NOT EXISTS (SELECT 1 FROM recipients r WHERE r.message = l.message AND r.lease = l.token)""",
        "leases hold no recipient",
        "nothing waits for them; they go when they expire",
        damage=False,
    ),
    Invariant(
        "event_without_message",
        """SELECT DISTINCT message, CAST(NULL AS TEXT) AS client FROM events e
            WHERE NOT EXISTS (SELECT 1 FROM messages WHERE id = e.message)""",
        "messages have a trace and are not there",
        "only their history is incomplete",
        damage=False,
    ),
    Invariant(
        "content_unclaimed",
        f"""SELECT DISTINCT c.content AS message, CAST(NULL AS TEXT) AS client FROM chunks c
            WHERE NOT EXISTS (SELECT 1 FROM unnamed WHERE unnamed.content = c.content)
            AND c.content NOT IN (SELECT content FROM messages WHERE id IN ({_WAIT}))""",
        "contents belong to no message that waits",
        "they only take room",
        cure=f"""DELETE FROM chunks WHERE content NOT IN (SELECT content FROM unnamed)
            AND content NOT IN (SELECT content FROM messages WHERE id IN ({_WAIT}))""",
        damage=False,
    ),
)


def broken(connection: Connection, place: Place, invariant: Invariant) -> Finding | None:
    """Return what is found where the invariant doesn't hold. Raises SQLAlchemyError."""
    rows = connection.exec_driver_sql(f"{invariant.query} LIMIT {EXAMPLES + 1}").all()
    if not rows:
        return None
    clients = {row.message: row.client for row in rows}
    counted = [(client, 1) for client in clients.values()]
    if len(rows) > EXAMPLES:
        by_client = f"SELECT client, count(DISTINCT message) FROM ({invariant.query}) AS found GROUP BY client"
        counted = [(client, count) for client, count in connection.exec_driver_sql(by_client)]
    cure = ("systemctl stop relay", place.statement(invariant.cure), "systemctl start relay") if invariant.cure else ()
    return Finding(
        invariant.kind,
        invariant.damage,
        invariant.what,
        invariant.meaning,
        invariant.actions + cure,
        sum(count for _, count in counted),
        tuple(clients)[:EXAMPLES],
        summed(counted),
    )


def summed(counted: Iterable[tuple[str | None, int]]) -> dict[str, int]:
    """Return the counts by client, those of clients unknown left out."""
    sums: Counter[str] = Counter()
    for client, count in counted:
        if client is not None:
            sums[client] += count
    return dict(sums)


def miscounted(connection: Connection, place: Place) -> Finding | None:
    """Return what is found where `counts` doesn't say what a recount does. Raises SQLAlchemyError."""
    kept = "SELECT kind, name, state, total FROM counts WHERE total <> 0"
    # One statement sees one moment, whatever is written meanwhile.
    both = f"SELECT 0 AS counted, k.* FROM ({kept}) AS k UNION ALL SELECT 1, r.* FROM ({RECOUNT}) AS r"
    sides: tuple[dict[str, int], dict[str, int]] = ({}, {})
    for counted, kind, name, state, total in connection.exec_driver_sql(both):
        sides[counted][f"{kind} {name} {state}".strip()] = total
    wrong = [key for key in sorted(sides[0] | sides[1]) if sides[0].get(key, 0) != sides[1].get(key, 0)]
    if not wrong:
        return None
    said = ", ".join(f"{key}: {sides[0].get(key, 0)} instead of {sides[1].get(key, 0)}" for key in wrong[:EXAMPLES])
    return Finding(
        "miscounted",
        True,
        f"the counts of what waits are wrong ({said})",
        "relay status, the metrics and queue limits are wrong; no mail is affected",
        ("systemctl stop relay", place.statement(_RECOUNTED), "systemctl start relay"),
    )
