"""Every test here runs on both event loops: their transports differ where it matters."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
import uvloop

from relay.simulator.simulator import Simulator
from tests.upstream.graph_mailbox import Mailbox, upstream_to


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop of serve is uvloop, where that installs."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def mailbox(tmp_path: Path) -> AsyncIterator[Mailbox]:
    """A mailbox at the simulated Graph, with the upstream that sends by it."""
    async with Simulator(messages_per_minute=0) as simulator:
        upstream = upstream_to(simulator, tmp_path)
        yield Mailbox(simulator, upstream)
        await upstream.aclose()
        assert simulator.violations == []
