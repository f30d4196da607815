"""A connection that broke and was not yet reported as lost: uvloop raises where it is still used."""

import asyncio
from pathlib import Path

import pytest

from relay.inbound.protocol import Protocol
from relay.inbound.wire import Disconnected
from relay.reply import Reply
from tests.dialogue.entrance import Entrance, entrance
from tests.dialogue.loops import on_both_loops
from tests.dialogue.test_endings import SlowPut, listener, until
from tests.dialogue.visitor import Visitor


def only_connection(at: Entrance) -> Protocol:
    [connection] = at.listeners._connections()
    return connection


@on_both_loops
async def test_a_connection_that_broke_while_reading_paused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with entrance(tmp_path, listener()) as at:
        slow = SlowPut(at, monkeypatch)
        visitor = await Visitor.connect(at.port())
        await visitor.begin()
        visitor.say("Subject: x", "", "body", ".", *["NOOP " + "x" * 400] * 1000)
        await asyncio.wait_for(slow.begun.wait(), 10)
        connection = only_connection(at)
        await until(lambda: len(connection._inflow) > 128 * 1024, "reading to pause")
        assert connection.transport is not None
        connection.transport.abort()
        connection.say(Reply(250, None, "to nobody"))
        slow.go_on.set()
        with pytest.raises(Disconnected):
            await connection.more()
        await until(lambda: not at.listeners._connections(), "the slot")
        assert len(await at.messages()) == 1
