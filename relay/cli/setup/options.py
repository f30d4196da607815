"""Options that the commands for administrators share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

UpstreamName = Annotated[str | None, typer.Argument(metavar="UPSTREAM", help="of relay.toml")]
Check = Annotated[bool, typer.Option("--check", help="then see whether it works, as relay doctor does")]
SendAs = Annotated[
    list[str] | None, typer.Option("--send-as", metavar="ADDRESS", help="a From; may be repeated (SES: @domain too)")
]
Output = Annotated[Path | None, typer.Option("--output", metavar="FILE", help="write the script, to be handed over")]


def id_option(name: str, help_: str) -> typer.models.OptionInfo:
    """Return an option that takes an ID."""
    option: typer.models.OptionInfo = typer.Option(name, metavar="ID", help=help_)
    return option
