"""Alembic's scripts; loaded only where a database is of another revision than the code."""
