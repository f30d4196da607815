"""`relay setup` and what belongs to it."""

from __future__ import annotations

import typer

from relay.cli.setup.microsoft365 import microsoft365

group = typer.Typer(no_args_is_help=True, help="Ask a handful of questions, and write relay.toml.")
group.command("microsoft365")(microsoft365)
