"""Every test here runs on both event loops: their transports differ where it matters."""

import asyncio
from collections.abc import Callable, Mapping

import uvloop


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop of serve is uvloop, where that installs."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
