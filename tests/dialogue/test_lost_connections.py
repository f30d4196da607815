"""A connection that broke and was not yet reported as lost."""

import asyncio
from pathlib import Path

import pytest

from relay.inbound.protocol import Protocol
from relay.spool.contract import SpoolError
from tests.dialogue.entrance import Entrance, entrance
from tests.dialogue.loops import on_both_loops
from tests.dialogue.test_endings import SlowPut, listener, until
from tests.dialogue.visitor import Visitor


def only_connection(at: Entrance) -> Protocol:
    [connection] = at.listeners._connections()
    return connection


@on_both_loops
async def test_a_connection_that_broke_while_reading_paused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with entrance(tmp_path, listener()) as at:
        slow = SlowPut(at, monkeypatch, SpoolError("no room", full=True))
        visitor = await Visitor.connect(at.port())
        await visitor.begin()
        visitor.say("Subject: x", "", "body", ".", "NOOP " + "x" * 400_000)
        await asyncio.wait_for(slow.begun.wait(), 10)
        connection = only_connection(at)
        await until(lambda: len(connection._inflow) > 128 * 1024, "reading to pause")
        # In this order the command ends, and reading is to go on, before anybody is told of the loss.
        slow.go_on.set()
        connection.transport.abort()
        await until(lambda: not at.listeners._connections(), "the slot")
        assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []
