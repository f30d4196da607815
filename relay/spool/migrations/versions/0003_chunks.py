"""Chunks with row IDs in SQLite, which otherwise looks for a key in rows of whole chunks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table anew."""
    if op.get_bind().dialect.name != "sqlite":
        return
    op.rename_table("chunks", "chunks_before")
    op.create_table(
        "chunks",
        sa.Column("content", sa.String(32), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("octets", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("content", "number"),
    )
    op.execute("INSERT INTO chunks (content, number, octets) SELECT content, number, octets FROM chunks_before")
    op.drop_table("chunks_before")
