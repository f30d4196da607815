"""Checksums of contents, and of to whom they go. What was put before has none."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add them."""
    for table in ("recipients", "chunks"):
        op.add_column(table, sa.Column("checksum", sa.BigInteger()))
