"""`relay secret`: the sealed store."""

from __future__ import annotations

import typer

group = typer.Typer(no_args_is_help=True, help="The sealed store: secrets, encrypted in state_dir.")
