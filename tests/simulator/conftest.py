"""A simulator for one test."""

from collections.abc import AsyncIterator

import pytest

from relay.simulator.simulator import Simulator


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """Open for the test's own loop; quick refusals instead of delays."""
    async with Simulator(may_send_as=("lab@clinic.test",), rate_excess="refuse", control_port=0) as opened:
        yield opened
