"""The simulator alone, for `relay simulate`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from relay.simulator.guide import guide
from relay.simulator.mailbox import ReceivedMessage
from relay.simulator.options import Options
from relay.simulator.simulator import Simulator

REHEARSAL = Options(
    microsoft365_port=10587,
    gmail_port=11587,
    gmail_implicit_port=11465,
    ses_port=12587,
    ses_implicit_port=12465,
    authority_port=10443,
    aws_port=12443,
    aws_metadata_port=12080,
    control_port=10080,
)
"""Ports that don't change from run to run, so that a relay.toml goes on being right."""


async def run(
    options: Options,
    say: Callable[[str], None],
    *,
    until: asyncio.Event | None = None,
    received: Callable[[ReceivedMessage], None] | None = None,
) -> None:
    """Open a simulator, `say` how to use it, and keep it open until `until` is set or the task is cancelled.

    `received` is called with every accepted message. Raises OSError where a port is taken.
    """
    async with Simulator(options) as simulator:
        if received is not None:
            simulator.received.listeners.append(received)
        say(guide(simulator))
        await (until or asyncio.Event()).wait()
