"""`relay simulate`: the simulator of Microsoft 365, Entra, Gmail and SES alone."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Annotated

import typer

from relay.cli.output import CommandError, say


def simulate(
    host: Annotated[str, typer.Option("--host", metavar="ADDRESS", help="where to listen")] = "127.0.0.1",
) -> None:
    """Run the simulator of Microsoft 365, Entra, Gmail and SES alone, for rehearsing failures."""
    try:
        asyncio.run(_simulate(host))
    except OSError as error:
        raise CommandError(
            f"relay simulate: {error.strerror or error}; end what uses the port, or that simulator"
        ) from error


async def _simulate(host: str) -> None:
    import dataclasses

    from relay.simulator.mailbox import ReceivedMessage
    from relay.simulator.run import REHEARSAL, run

    over = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, over.set)

    def received(message: ReceivedMessage) -> None:
        recipients = ", ".join(message.forward_paths)
        _say(f"{message.provider} took a message from {message.reverse_path or '<>'} to {recipients}")

    await run(dataclasses.replace(REHEARSAL, host=host), _say, until=over, received=received)


def _say(text: str) -> None:
    say(text)
    sys.stdout.flush()
