"""`relay serve`, where more than the bare word was typed: its help, and its usage."""

from __future__ import annotations

import typer

from relay.cli.invocation import invocation_of


def serve(context: typer.Context) -> int:
    """Run the appliance in the foreground until SIGTERM or SIGINT; SIGHUP reads the configuration again."""
    from relay.daemon import serve as run

    return run(invocation_of(context).config)
