"""Runs the migrations on the connection that `relay.spool.upgrade` opened, in its transaction."""

from __future__ import annotations

from alembic import context

from relay.spool.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite alters a table by making it anew.
    render_as_batch=True,
)
context.run_migrations()
