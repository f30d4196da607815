"""How long upstreams were held, instead of a new time to give up in every row that waits when a gate opens."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make one more table."""
    op.create_table(
        "pauses",
        sa.Column("upstream", sa.Text(), nullable=False),
        sa.Column("until_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("since_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("upstream", "until_at"),
        sqlite_with_rowid=False,
    )
