"""Every way in which a session may end: slots come back, and nothing that was promised is lost."""

import asyncio
import socket
import struct
from pathlib import Path

import pytest

from relay.spool.contract import Arrival, SpoolError
from tests.dialogue.entrance import Entrance, entrance
from tests.dialogue.loops import on_both_loops
from tests.dialogue.visitor import Visitor


def listener(**keys: object) -> dict[str, object]:
    return {"listener": {"door": {"address": "127.0.0.1:0", "security": "none", **keys}}}


async def until(condition: object, what: str) -> None:
    assert callable(condition)
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"waited in vain for {what}")


def connections(at: Entrance) -> int:
    return at.listeners.status()[0].connections


class SlowPut:
    """Holds the spool's put until told."""

    def __init__(self, at: Entrance, monkeypatch: pytest.MonkeyPatch, error: Exception | None = None) -> None:
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        put = at.spool.intake.put

        async def slow(arrival: Arrival) -> None:
            self.begun.set()
            await self.go_on.wait()
            if error is not None:
                raise error
            await put(arrival)

        monkeypatch.setattr(at.spool.intake, "put", slow)


@pytest.mark.parametrize("reset", [False, True])
@on_both_loops
async def test_hanging_up_after_the_dot_does_not_undo_the_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, reset: bool
) -> None:
    async with entrance(tmp_path, listener()) as at:
        slow = SlowPut(at, monkeypatch)
        visitor = await Visitor.connect(at.port())
        await visitor.begin()
        visitor.say("Subject: x", "", "body", ".")
        await asyncio.wait_for(slow.begun.wait(), 10)
        if reset:
            end = visitor.writer.get_extra_info("socket")
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        visitor.hang_up()
        await asyncio.sleep(0.05)
        slow.go_on.set()
        await until(lambda: connections(at) == 0, "the slot")
        assert len(await at.messages()) == 1
        assert at.counted("relay_messages_accepted_total", listener="door", client="careright") == 1
        assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


@on_both_loops
async def test_a_slow_spool_is_no_idle_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with entrance(tmp_path, listener(idle_timeout="200ms")) as at:
        slow = SlowPut(at, monkeypatch)
        visitor = await Visitor.connect(at.port())
        await visitor.begin()
        visitor.say("Subject: x", "", "body", ".")
        await asyncio.sleep(0.5)
        slow.go_on.set()
        assert (await visitor.reply()).startswith("250 2.0.0 Ok: queued as ")


@pytest.mark.parametrize(("error", "reply"), [
    (SpoolError("no room", full=True), "452 4.3.1"),
    (SpoolError("disk I/O error"), "451 4.3.0"),
    (RuntimeError("secret details"), "451 4.3.0"),
])  # fmt: skip
@on_both_loops
async def test_what_the_spool_cannot_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, reply: str
) -> None:
    async with entrance(tmp_path, listener()) as at:
        SlowPut(at, monkeypatch, error).go_on.set()
        visitor = await Visitor.connect(at.port())
        await visitor.begin()
        said = await visitor.ask("Subject: x\r\n\r\nbody\r\n.")
        assert said.startswith(reply)
        assert str(error) not in said
        assert (await visitor.ask("NOOP")).startswith("250")
        assert at.counted("relay_messages_refused_total", listener="door", reason="spool") == 1


@pytest.mark.parametrize(("error", "reply"), [
    (SpoolError("no room", full=True), "452 4.3.1"),
    (SpoolError("disk I/O error"), "451 4.3.0"),
])  # fmt: skip
@on_both_loops
async def test_a_spool_that_is_known_to_refuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: SpoolError, reply: str
) -> None:
    async with entrance(tmp_path, listener()) as at:
        monkeypatch.setattr(at.spool.intake, "refusal", lambda: error)
        visitor = await Visitor.connect(at.port())
        await visitor.hello()
        await visitor.log_in()
        assert (await visitor.ask("MAIL FROM:<a@b.test>")).startswith(reply)


@on_both_loops
async def test_our_own_fault_is_not_told_and_not_the_sessions_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_client: str) -> int:
        raise ZeroDivisionError("a secret path")

    async with entrance(tmp_path, listener()) as at:
        visitor = await Visitor.connect(at.port())
        await visitor.hello()
        await visitor.log_in()
        with monkeypatch.context() as patch:
            patch.setattr(at.spool.intake, "waiting", broken)
            said = await visitor.ask("MAIL FROM:<a@b.test>")
        assert said.startswith("451 4.3.0")
        assert "secret" not in said
        await visitor.envelope()


@on_both_loops
async def test_after_our_own_fault_the_rest_of_a_message_is_not_taken_for_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> str:
        raise ZeroDivisionError

    async with entrance(tmp_path, listener()) as at:
        visitor = await Visitor.connect(at.port())
        await visitor.begin()
        monkeypatch.setattr(at.spool.intake, "next_id", broken)
        visitor.say("Subject: x", "", "MAIL FROM:<a@b.test>", "RCPT TO:<x@y.test>", "DATA")
        assert (await visitor.reply()).startswith("451 4.3.0")
        assert await visitor.ended()


@on_both_loops
async def test_slots(tmp_path: Path) -> None:
    async with entrance(tmp_path, listener(max_connections=3, idle_timeout="1s")) as at:
        visitors = [await Visitor.connect(at.port()) for _ in range(3)]
        for visitor in visitors:
            await visitor.hello()
        refused = await Visitor.connect(at.port())
        assert (await refused.reply()).startswith("421 4.3.2")
        assert await refused.ended()
        quitting, dropping, shutting = visitors
        await quitting.expect("QUIT", "221")
        assert await quitting.ended()
        dropping.hang_up()
        shutting.writer.write_eof()
        assert await shutting.ended()
        await until(lambda: connections(at) == 0, "the slots")
        silent = await Visitor.connect(at.port())
        assert (await silent.reply()).startswith("220")
        assert (await silent.reply()).startswith("421 4.4.2")
        assert await silent.ended()
        await until(lambda: connections(at) == 0, "the slots")
        assert at.counted("relay_connections", listener="door") == 0


@on_both_loops
async def test_a_script_that_half_closes_still_reads(tmp_path: Path) -> None:
    async with entrance(tmp_path, listener()) as at:
        visitor = await Visitor.connect(at.port())
        visitor.say("EHLO pc", "NOOP", "QUIT")
        visitor.writer.write_eof()
        assert (await visitor.reply()).startswith("220")
        assert (await visitor.reply()).startswith("250-")
        assert (await visitor.reply()).startswith("250 2.0.0")
        assert (await visitor.reply()).startswith("221")


@on_both_loops
async def test_draining_lets_what_is_coming_in_finish(tmp_path: Path) -> None:
    async with entrance(tmp_path, listener()) as at:
        idle = await Visitor.connect(at.port())
        await idle.hello()
        sending = await Visitor.connect(at.port())
        await sending.begin()
        sending.say("Subject: x", "")
        port = at.port()
        draining = asyncio.create_task(at.listeners.drain(10))
        assert (await idle.reply()).startswith("421 4.3.2")
        with pytest.raises(OSError):  # noqa: PT011 - whatever the system calls it
            await asyncio.open_connection("127.0.0.1", port)
        sending.say("body", ".", "MAIL FROM:<a@b.test>")
        assert (await sending.reply()).startswith("250 2.0.0")
        assert (await sending.reply()).startswith("421 4.3.2")
        await asyncio.wait_for(draining, 5)
        assert len(await at.messages()) == 1


@on_both_loops
async def test_draining_ends_those_who_take_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with entrance(tmp_path, listener()) as at:
        slow = SlowPut(at, monkeypatch)
        waiting = await Visitor.connect(at.port())
        await waiting.begin()
        waiting.say("Subject: x", "", "body", ".")
        await asyncio.wait_for(slow.begun.wait(), 10)
        stuck = await Visitor.connect(at.port())
        await stuck.begin()
        draining = asyncio.create_task(at.listeners.drain(0.2))
        assert (await stuck.reply()).startswith("421 4.3.2")
        assert await stuck.ended()
        assert not draining.done()
        slow.go_on.set()
        await asyncio.wait_for(draining, 5)
        assert len(await at.messages()) == 1


@on_both_loops
async def test_a_client_that_never_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its replies pile up only so far; then it is left, and its slot comes back."""
    monkeypatch.setattr("relay.inbound.protocol._LINGER", 0.3)
    async with entrance(tmp_path, listener(idle_timeout="500ms")) as at:
        client = socket.create_connection(("127.0.0.1", at.port()))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        loop = asyncio.get_running_loop()

        async def flood() -> None:
            while True:
                await loop.sock_sendall(client, b"EHLO pc\r\n" * 1000)

        flooding = loop.create_task(flood())
        await until(lambda: connections(at) == 1, "the connection")
        await until(lambda: connections(at) == 0, "the slot")
        flooding.cancel()
        await asyncio.wait([flooding])
        client.close()


@on_both_loops
async def test_nobody_starves_beside_a_flood(tmp_path: Path) -> None:
    async with entrance(tmp_path, listener()) as at:
        loop = asyncio.get_running_loop()
        flooding = await Visitor.connect(at.port())
        await flooding.hello()
        stop = False

        async def flood() -> None:
            while not stop:
                flooding.writer.write(b"NOOP\r\n" * 5000)
                await flooding.writer.drain()

        async def read() -> None:
            while not stop:
                await flooding.reader.read(1 << 16)

        tasks = [loop.create_task(flood()), loop.create_task(read())]
        slowest = 0.0
        for _ in range(20):
            began = loop.time()
            visitor = await Visitor.connect(at.port())
            await visitor.hello()
            await visitor.expect("QUIT", "221")
            slowest = max(slowest, loop.time() - began)
        stop = True
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert slowest < 2.0
