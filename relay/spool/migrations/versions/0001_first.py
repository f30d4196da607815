"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _id() -> sa.types.TypeEngine[str]:
    return sa.String(32).with_variant(sa.String(32, collation="C"), "postgresql")


def _key(*columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns)


def upgrade() -> None:
    """Make all tables."""
    _mail()
    _content()
    _operation()


def _mail() -> None:
    op.create_table(
        "messages",
        sa.Column("id", _id(), nullable=False),
        sa.Column("content", _id(), nullable=False),
        sa.Column("listener", sa.Text(), nullable=False),
        sa.Column("client", sa.Text(), nullable=False),
        sa.Column("peer", sa.Text(), nullable=False),
        sa.Column("helo", sa.Text(), nullable=False),
        sa.Column("tls", sa.Text()),
        sa.Column("mechanism", sa.Text()),
        sa.Column("reverse_path", sa.Text()),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("smtputf8", sa.Boolean(), nullable=False),
        sa.Column("envelope_id", sa.Text()),
        sa.Column("dsn_return", sa.Text()),
        sa.Column("header_from", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("eight_bit", sa.Boolean(), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("accepted_at", sa.BigInteger(), nullable=False),
        sa.Column("notice", sa.Boolean(), nullable=False),
        _key("id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "recipients",
        sa.Column("message", _id(), nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("forward_path", sa.Text(), nullable=False),
        sa.Column("notify", sa.SmallInteger()),
        sa.Column("original", sa.Text()),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("upstream", sa.Text(), nullable=False),
        sa.Column("candidates", sa.Text(), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("uncertain", sa.BigInteger(), nullable=False),
        sa.Column("next_attempt_at", sa.BigInteger(), nullable=False),
        sa.Column("give_up_at", sa.BigInteger(), nullable=False),
        sa.Column("reply", sa.Text()),
        sa.Column("hold_reason", sa.Text()),
        sa.Column("held_at", sa.BigInteger()),
        sa.Column("delay_told", sa.Boolean(), nullable=False),
        sa.Column("lease", sa.Text()),
        _key("message", "position"),
        sqlite_with_rowid=False,
    )
    queued = sa.text("state = 'queued'")
    op.create_index(
        "recipients_due",
        "recipients",
        ["upstream", "priority", "next_attempt_at", "message", "position"],
        sqlite_where=queued,
        postgresql_where=queued,
    )
    waiting = sa.text("state IN ('queued', 'in_flight', 'held')")
    op.create_index(
        "recipients_waiting", "recipients", ["upstream", "message"], sqlite_where=waiting, postgresql_where=waiting
    )
    op.create_table(
        "leases",
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("message", _id(), nullable=False),
        sa.Column("upstream", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("wish", sa.Text()),
        _key("token"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "events",
        sa.Column("message", _id(), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("positions", sa.Text(), nullable=False),
        sa.Column("upstream", sa.Text()),
        sa.Column("reply", sa.Text()),
        _key("message", "number"),
        sqlite_with_rowid=False,
    )


def _content() -> None:
    op.create_table(
        "chunks",
        sa.Column("content", _id(), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("octets", sa.LargeBinary(), nullable=False),
        _key("content", "number"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "unnamed",
        sa.Column("content", _id(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("since_at", sa.BigInteger(), nullable=False),
        _key("content"),
        sqlite_with_rowid=False,
    )


def _operation() -> None:
    op.create_table(
        "meta",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        _key("name"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "gates",
        sa.Column("upstream", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("since_at", sa.BigInteger(), nullable=False),
        sa.Column("reply", sa.Text()),
        sa.Column("next_probe_at", sa.BigInteger()),
        sa.Column("probes", sa.BigInteger(), nullable=False),
        _key("upstream"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "uses",
        sa.Column("upstream", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("messages", sa.BigInteger(), nullable=False),
        sa.Column("recipients", sa.BigInteger(), nullable=False),
        _key("upstream", "at"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "counts",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        _key("kind", "name", "state"),
        sqlite_with_rowid=False,
    )
