"""`relay certificate`: what applications must trust."""

from __future__ import annotations

import typer


def certificate(context: typer.Context) -> None:
    """What applications must trust, and how to make Windows, Rails and Java trust it."""
