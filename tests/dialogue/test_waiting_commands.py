"""Commands that wait for something are tasks: what may end them, what comes in meanwhile, and in which order."""

import asyncio
from pathlib import Path

import pytest

from relay.config.secret_reference import SecretReference
from relay.inbound.passwords import Passwords
from tests.dialogue.entrance import Entrance, entrance
from tests.dialogue.loops import on_both_loops
from tests.dialogue.test_endings import SlowPut, connections, listener, until
from tests.dialogue.visitor import Visitor


async def challenged(at: Entrance) -> Visitor:
    """A client that was asked for its user name, and hesitates."""
    visitor = await Visitor.connect(at.port())
    await visitor.hello()
    await visitor.expect("AUTH LOGIN", "334")
    return visitor


@on_both_loops
async def test_draining_does_not_wait_for_the_answer_to_a_challenge(tmp_path: Path) -> None:
    async with entrance(tmp_path, listener()) as at:
        visitor = await challenged(at)
        draining = asyncio.create_task(at.listeners.drain(10))
        assert (await visitor.reply()).startswith("421 4.3.2")
        assert await visitor.ended()
        await asyncio.wait_for(draining, 5)


@on_both_loops
async def test_a_challenge_is_not_waited_for_beyond_the_idle_time(tmp_path: Path) -> None:
    async with entrance(tmp_path, listener(idle_timeout="300ms")) as at:
        visitor = await challenged(at)
        # What is not a whole line gains no time.
        visitor.writer.write(b"Y2Fy")
        assert (await visitor.reply()).startswith("421 4.4.2")
        assert await visitor.ended()
        await until(lambda: connections(at) == 0, "the slot")


@pytest.mark.parametrize("half", [False, True])
@on_both_loops
async def test_leaving_instead_of_answering_a_challenge(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, half: bool
) -> None:
    async with entrance(tmp_path, listener()) as at:
        visitor = await challenged(at)
        if half:
            visitor.writer.write_eof()
        else:
            visitor.hang_up()
        await until(lambda: connections(at) == 0, "the slot")
        assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


@on_both_loops
async def test_a_secret_that_never_comes_does_not_hold_up_a_drain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asyncio.Event()

    async def never(_passwords: Passwords, _reference: SecretReference) -> str:
        asked.set()
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    monkeypatch.setattr(Passwords, "asked", never)
    far = {"username": "careright", "password": {"aws": "relay/careright"}, "upstream": "isp"}
    async with entrance(tmp_path, {**listener(), "client": {"careright": far}}) as at:
        visitor = await Visitor.connect(at.port())
        await visitor.hello()
        visitor.say("AUTH PLAIN AGNhcmVyaWdodABnZWhlaW0=")
        await asyncio.wait_for(asked.wait(), 10)
        await asyncio.wait_for(at.listeners.drain(0.1), 5)
        assert connections(at) == 0
        assert at.counted("relay_connections", listener="door") == 0


@on_both_loops
async def test_what_comes_in_behind_the_dot_is_answered_in_its_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with entrance(tmp_path, listener()) as at:
        slow = SlowPut(at, monkeypatch)
        visitor = await Visitor.connect(at.port())
        await visitor.begin()
        second = ["MAIL FROM:<a@b.test>", "RCPT TO:<c@d.test>", "DATA", "Subject: two", "", "body", ".", "NOOP"]
        visitor.say("Subject: one", "", "body", ".", *second)
        await asyncio.wait_for(slow.begun.wait(), 10)
        # In many pieces, while nothing is answered.
        for octet in b"VRFY x\r\nQUIT\r\n":
            visitor.writer.write(bytes([octet]))
            await asyncio.sleep(0)
        assert await at.messages() == []
        slow.go_on.set()
        said = [await visitor.reply() for _ in range(8)]
        assert [reply.split(" ")[0] for reply in said] == ["250", "250", "250", "354", "250", "250", "252", "221"]
        assert "queued as" in said[0]
        assert "queued as" in said[4]
        assert await visitor.ended()
        assert len(await at.messages()) == 2


@on_both_loops
async def test_more_commands_than_a_turn_at_once(tmp_path: Path) -> None:
    async with entrance(tmp_path, listener()) as at:
        visitor = await Visitor.connect(at.port())
        await visitor.hello()
        visitor.say(*["NOOP"] * 120, "QUIT")
        visitor.writer.write_eof()
        replies = [await visitor.reply() for _ in range(121)]
        assert [reply[:3] for reply in replies] == ["250"] * 120 + ["221"]
        assert await visitor.ended()
