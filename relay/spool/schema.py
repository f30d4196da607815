"""The tables, one schema for SQLite and PostgreSQL. Instants are milliseconds since the epoch, states their words."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    literal_column,
)

REVISION: Final = "0004"
"""The newest revision in `migrations/versions`; `meta` says which one a database has."""

metadata = MetaData()

# IDs are compared as ASCII on every node, whatever the database's collation.
_ID = String(32).with_variant(String(32, collation="C"), "postgresql")

meta = Table(
    "meta",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
    sqlite_with_rowid=False,
)
"""Single values: each node's highest identifier."""

messages = Table(
    "messages",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("content", _ID, nullable=False),
    Column("listener", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("peer", Text, nullable=False),
    Column("helo", Text, nullable=False),
    Column("tls", Text),
    Column("mechanism", Text),
    Column("reverse_path", Text),
    Column("body", Text, nullable=False),
    Column("smtputf8", Boolean, nullable=False),
    Column("envelope_id", Text),
    Column("dsn_return", Text),
    Column("header_from", Text, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("eight_bit", Boolean, nullable=False),
    Column("priority", SmallInteger, nullable=False),
    Column("accepted_at", BigInteger, nullable=False),
    Column("notice", Boolean, nullable=False),
    sqlite_with_rowid=False,
)
"""What was accepted; a row never changes, and stays for the trace."""

recipients = Table(
    "recipients",
    metadata,
    Column("message", _ID, primary_key=True),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("forward_path", Text, nullable=False),
    Column("notify", SmallInteger),
    Column("original", Text),
    Column("state", Text, nullable=False),
    Column("upstream", Text, nullable=False),
    Column("candidates", Text, nullable=False),
    Column("priority", SmallInteger, nullable=False),
    Column("attempts", BigInteger, nullable=False),
    Column("uncertain", BigInteger, nullable=False),
    Column("next_attempt_at", BigInteger, nullable=False),
    Column("give_up_at", BigInteger, nullable=False),
    Column("reply", Text),
    Column("hold_reason", Text),
    Column("held_at", BigInteger),
    Column("delay_told", Boolean, nullable=False),
    Column("lease", Text),
    Column("checksum", BigInteger),
    sqlite_with_rowid=False,
)
"""One row a recipient; `lease` is the token of the claim it is in flight with, `checksum` as in `checksum.py`."""

QUEUED: Final = recipients.c.state == literal_column("'queued'")
WAITING: Final = recipients.c.state.in_([literal_column(f"'{word}'") for word in ("queued", "in_flight", "held")])

Index(
    "recipients_due",
    recipients.c.upstream,
    recipients.c.priority,
    recipients.c.next_attempt_at,
    recipients.c.message,
    recipients.c.position,
    sqlite_where=QUEUED,
)
Index(
    "recipients_waiting",
    recipients.c.upstream,
    recipients.c.message,
    sqlite_where=WAITING,
)


def partial_on_postgresql() -> None:
    """Give the indexes their conditions on PostgreSQL too, whose part of SQLAlchemy is loaded by that."""
    for index in recipients.indexes:
        index.dialect_options["postgresql"]["where"] = index.dialect_options["sqlite"]["where"]


leases = Table(
    "leases",
    metadata,
    Column("token", Text, primary_key=True),
    Column("node", Text, nullable=False),
    Column("message", _ID, nullable=False),
    Column("upstream", Text, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("wish", Text),
    sqlite_with_rowid=False,
)
"""The claims out now. `wish` is what an operator asked for meanwhile: the state to take instead of QUEUED."""

chunks = Table(
    "chunks",
    metadata,
    Column("content", _ID, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("octets", LargeBinary, nullable=False),
    Column("checksum", BigInteger),
)
"""The content, in order of `number`. A table with row IDs: without, SQLite looks for a key in rows of whole chunks."""

unnamed = Table(
    "unnamed",
    metadata,
    Column("content", _ID, primary_key=True),
    Column("node", Text, nullable=False),
    Column("since_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""Content that no message names: still being received, or on its way out."""

events = Table(
    "events",
    metadata,
    Column("message", _ID, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("event", Text, nullable=False),
    Column("positions", Text, nullable=False),
    Column("upstream", Text),
    Column("reply", Text),
    sqlite_with_rowid=False,
)
"""The trace: what happened after acceptance; `positions` are the recipients meant, parted by blanks."""

gates = Table(
    "gates",
    metadata,
    Column("upstream", Text, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("since_at", BigInteger, nullable=False),
    Column("reply", Text),
    Column("next_probe_at", BigInteger),
    Column("probes", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""The held upstreams."""

pauses = Table(
    "pauses",
    metadata,
    Column("upstream", Text, primary_key=True),
    Column("until_at", BigInteger, primary_key=True, autoincrement=False),
    Column("since_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""When upstreams were held, kept as long as something may wait that was accepted before the end of it."""

uses = Table(
    "uses",
    metadata,
    Column("upstream", Text, primary_key=True),
    Column("at", BigInteger, primary_key=True, autoincrement=False),
    Column("messages", BigInteger, nullable=False),
    Column("recipients", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""What counts against an upstream's quotas."""

counts = Table(
    "counts",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("state", Text, primary_key=True),
    Column("total", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""What waits: recipients by upstream and state (`kind` upstream), messages by client (`kind` client, no state)."""
