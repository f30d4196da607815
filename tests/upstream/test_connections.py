"""Connections kept, counted, reopened and closed."""

import asyncio
import base64
from typing import Any

import pytest
import uvloop

from relay.upstream.contract import Cause, Phase
from relay.upstream.credentials import BearerToken, Password
from tests.rig.script import Answer
from tests.rig.scripted import ScriptedServer
from tests.upstream.offering import MESSAGE, Cleared, Credentials, envelope, smarthost
from tests.upstream.raw import raw_server


async def eventually(condition: object, seconds: float = 5.0) -> None:
    assert callable(condition)
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - the server runs in another thread
            await asyncio.sleep(0.01)


async def test_one_connection_serves_many_messages() -> None:
    with ScriptedServer(users={"clinic": "word"}) as server:
        async with smarthost(server, Password("clinic", "word")) as upstream:
            for _ in range(5):
                assert (await upstream.send(envelope(), MESSAGE, Cleared())).phase is Phase.DONE
            assert upstream.connections == 1
        await eventually(lambda: "QUIT" in server.commands)
    assert server.connections == 1
    assert len([command for command in server.commands if command.startswith("AUTH")]) == 1
    assert "RSET" not in server.commands


async def test_never_more_connections_than_allowed() -> None:
    with ScriptedServer() as server:
        server.script.always("BODY", Answer("250 2.0.0 Ok", delay=0.02))
        async with smarthost(server, max_connections=3) as upstream:
            sent = await asyncio.gather(*(upstream.send(envelope(), MESSAGE, Cleared()) for _ in range(20)))
    assert {said.phase for said in sent} == {Phase.DONE}
    assert server.most_connections == 3
    assert len(server.accepted) == 20


@pytest.mark.parametrize("limits", [{"session_limit": 0.05}, {"idle_limit": 0.05}], ids=["session", "idle"])
async def test_reopened_before_the_session_limit(limits: dict[str, Any]) -> None:
    with ScriptedServer() as server:
        async with smarthost(server, max_connections=2, **limits) as upstream:
            for _ in range(4):
                await asyncio.gather(*(upstream.send(envelope(), MESSAGE, Cleared()) for _ in range(4)))
                await asyncio.sleep(0.06)
            await eventually(lambda: upstream.connections == 0)
        assert server.most_connections <= 2
        assert server.connections >= 8
        assert server.commands.count("QUIT") == server.connections
    assert len(server.accepted) == 16


def test_two_that_come_back_after_their_time_are_closed() -> None:
    async def story(server: ScriptedServer) -> None:
        async with smarthost(server, max_connections=2, session_limit=0.05) as upstream:
            both = [await upstream._connections.acquire() for _ in range(2)]
            await asyncio.sleep(0.06)
            # In one turn of the loop: the first one's timer is due at once, and the second looks at it.
            for connection in both:
                upstream._connections.release(connection)
            await eventually(lambda: upstream.connections == 0)

    with ScriptedServer() as server, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(story(server))
    assert server.commands.count("QUIT") == 2


async def test_closing_waits_for_a_message_on_its_way() -> None:
    with ScriptedServer() as server:
        server.script.then("BODY", Answer("250 2.0.0 Ok", delay=0.2))
        async with smarthost(server) as upstream:
            sending = asyncio.create_task(upstream.send(envelope(), MESSAGE, Cleared()))
            await eventually(lambda: server.transactions)
            await upstream.aclose()
            assert upstream.connections == 0
            assert (await sending).phase is Phase.DONE


async def test_a_connection_that_the_server_closed_while_idle_costs_nothing() -> None:
    with ScriptedServer() as server:
        async with smarthost(server) as upstream:
            cleared = Cleared()
            await upstream.send(envelope(), MESSAGE, cleared)
            server.close()
            await eventually(lambda: upstream.connections == 0)
            server.open()
            said = await upstream.send(envelope(), MESSAGE, cleared)
    assert said.phase is Phase.DONE
    assert cleared.mails == 2


@pytest.mark.parametrize(
    "answer",
    [Answer("421 4.4.2 Idle too long", close=True), Answer(None, close=True), Answer(None, reset=True)],
    ids=["421", "close", "reset"],
)
@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA"])
async def test_a_kept_connection_that_ends_at_the_next_message_is_replaced_once(stage: str, answer: Answer) -> None:
    with ScriptedServer() as server:
        async with smarthost(server) as upstream:
            cleared = Cleared()
            await upstream.send(envelope(), MESSAGE, cleared)
            server.script.then(stage, answer)
            said = await upstream.send(envelope(), MESSAGE, cleared)
            assert said.phase is Phase.DONE
            server.script.then(stage, answer, answer)
            said = await upstream.send(envelope(), MESSAGE, cleared)
            assert said.phase < Phase.CONTENT
    # Each MAIL that was said is counted, the vain ones too.
    assert cleared.mails == 5
    assert len(server.accepted) == 2


async def test_nothing_is_sent_twice_after_the_final_dot() -> None:
    with ScriptedServer() as server:
        async with smarthost(server) as upstream:
            await upstream.send(envelope(), MESSAGE, Cleared())
            server.script.then("BODY", Answer(None, close=True))
            said = await upstream.send(envelope(), MESSAGE, Cleared())
    assert said.ambiguous
    assert (said.phase, said.reply, said.cause) == (Phase.FINAL_DOT, None, Cause.DISCONNECTED)
    assert len(server.transactions) == 2


async def test_the_envelope_is_reset_where_the_server_may_remember_one() -> None:
    with ScriptedServer() as server:
        server.script.for_recipient("b@example.test", "550 5.1.1 No such user")
        async with smarthost(server) as upstream:
            await upstream.send(envelope("b@example.test"), MESSAGE, Cleared())
            await upstream.send(envelope("a@example.test"), MESSAGE, Cleared())
            await upstream.send(envelope("a@example.test"), MESSAGE, Cleared())
    assert server.commands.count("RSET") == 1
    assert server.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        "502 5.5.1 Not implemented",
        "554 5.5.0 No",
        "451 4.3.0 Later",
        Answer("250-half", close=True),
        Answer(None, close=True),
    ],
    ids=["502", "554", "451", "half", "close"],
)
async def test_a_refused_reset_is_not_the_next_messages_fault(answer: Answer | str) -> None:
    with ScriptedServer() as server:
        server.script.for_recipient("b@example.test", "550 5.1.1 No such user")
        async with smarthost(server) as upstream:
            await upstream.send(envelope("b@example.test"), MESSAGE, Cleared())
            server.script.then("RSET", answer)
            said = await upstream.send(envelope("a@example.test"), MESSAGE, Cleared())
    assert (said.phase, str(said.reply)) == (Phase.DONE, "250 2.0.0 Ok: queued as UP1")


async def test_a_reply_that_comes_octet_by_octet_has_to_come_in_time() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220-")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with raw_server(talk) as server, smarthost(server, timeout=0.3) as upstream:
        async with asyncio.timeout(3):
            said = await upstream.send(envelope(), MESSAGE, Cleared())
    assert (said.phase, said.cause) == (Phase.GREETING, Cause.TIMEOUT)


async def test_cancelled_anywhere_the_connection_is_closed() -> None:
    for stage in ("CONNECT", "EHLO", "MAIL", "DATA", "BODY"):
        # One by one: where pipelined, silence at MAIL would be followed by the answer to RCPT.
        with ScriptedServer(extensions=()) as server:
            server.script.then(stage, Answer(None))
            async with smarthost(server, max_connections=1) as upstream:
                sending = asyncio.create_task(upstream.send(envelope(), MESSAGE, Cleared()))
                await eventually(lambda server=server, stage=stage: not server.script.once[stage])
                await asyncio.sleep(0.02)
                sending.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await sending
                assert upstream.connections == 0
                await eventually(lambda server=server: server.open_connections == 0)
                said = await upstream.send(envelope(), MESSAGE, Cleared())
                assert said.phase is Phase.DONE


async def test_a_connection_that_ends_while_the_quota_is_waited_for_is_replaced() -> None:
    with ScriptedServer() as server:

        class Waiting(Cleared):
            async def before_mail(self) -> None:
                await super().before_mail()
                if self.mails == 1:
                    server.close()
                    server.open()
                    await eventually(lambda: upstream.connections == 0)

        cleared = Waiting()
        async with smarthost(server) as upstream:
            assert (await upstream.send(envelope(), MESSAGE, cleared)).phase is Phase.DONE
    assert cleared.mails == 2
    assert len([command for command in server.commands if command.startswith("MAIL")]) == 1


async def test_a_refused_login_is_ended_properly() -> None:
    with ScriptedServer(users={"clinic": "word"}) as server:
        async with smarthost(server, Password("clinic", "wrong")) as upstream:
            await upstream.probe()
        assert server.commands[-1] == "QUIT"


async def test_a_server_that_wants_no_second_ehlo() -> None:
    with ScriptedServer(users={"clinic": "word"}) as server:
        server.script.then("EHLO", "250-upstream.test\n250-DSN\n250 AUTH PLAIN", "503 5.5.1 Once is enough")
        async with smarthost(server, Password("clinic", "word")) as upstream:
            said = await upstream.send(envelope(), MESSAGE, Cleared())
    assert (said.phase, said.dsn) == (Phase.DONE, True)


async def test_a_clearance_that_fails_fails_the_sending() -> None:
    class Broken(Cleared):
        async def before_mail(self) -> None:
            raise LookupError("the spool is broken")

    with ScriptedServer() as server:
        async with smarthost(server, max_connections=1) as upstream:
            with pytest.raises(LookupError):
                await upstream.send(envelope(), MESSAGE, Broken())
            assert (await upstream.send(envelope(), MESSAGE, Cleared())).phase is Phase.DONE


async def test_probe_logs_in_and_nothing_more() -> None:
    with ScriptedServer(users={"clinic": "word"}) as server:
        async with smarthost(server, Password("clinic", "word"), max_connections=1) as upstream:
            said = await upstream.probe()
            assert (said.phase, said.reply and said.reply.code, said.dsn) == (Phase.DONE, 235, True)
            assert (await upstream.send(envelope(), MESSAGE, Cleared())).phase is Phase.DONE
            assert (await upstream.probe()).phase is Phase.DONE
            server.script.then("AUTH", "535 5.7.8 Gone")
            assert (await upstream.probe()).phase is Phase.AUTH
    assert server.most_connections == 1
    assert len([command for command in server.commands if command.startswith("MAIL")]) == 1


async def test_nobody_listens() -> None:
    with ScriptedServer() as server:
        server.close()
        async with smarthost(server) as upstream:
            said = await upstream.send(envelope("a@example.test", "b@example.test"), MESSAGE, Cleared())
        assert (said.phase, said.cause) == (Phase.CONNECT, Cause.CONNECTION_REFUSED)
        assert said.recipients == (None, None)
        async with smarthost(server, host="no-such-host.invalid") as upstream:
            said = await upstream.probe()
        assert (said.phase, said.cause) == (Phase.CONNECT, Cause.NAME_NOT_FOUND)


async def test_a_refused_token_is_replaced_once() -> None:
    old, new = BearerToken("clinic", "old"), BearerToken("clinic", "new")
    with ScriptedServer(users={"clinic": "new"}) as server:
        source = Credentials((old, new), renewable=True)
        async with smarthost(server, source=source) as upstream:
            assert (await upstream.send(envelope(), MESSAGE, Cleared())).phase is Phase.DONE
        assert source.asked == [None, old]
        source = Credentials((old, old, new), renewable=True)
        async with smarthost(server, source=source) as upstream:
            said = await upstream.send(envelope(), MESSAGE, Cleared())
        assert (said.phase, said.reply and said.reply.code) == (Phase.AUTH, 535)
        assert said.challenge == '{"status":"401","schemes":"bearer"}'
        assert source.asked == [None, old]


async def test_a_wrong_password_is_tried_once() -> None:
    with ScriptedServer(users={"clinic": "word"}) as server:
        async with smarthost(server, Password("clinic", "wrong")) as upstream:
            said = await upstream.send(envelope(), MESSAGE, Cleared())
    assert (said.phase, said.reply and said.reply.code) == (Phase.AUTH, 535)
    assert [command for command in server.commands if command.startswith("AUTH")] == ["AUTH CRAM-MD5"]


@pytest.mark.parametrize(("octets", "together"), [(200, True), (350, False), (6000, False)])
async def test_long_tokens_wait_for_the_challenge(octets: int, together: bool) -> None:
    said: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 raw.test\r\n")
        await reader.readline()
        writer.write(b"250-raw.test\r\n250 AUTH XOAUTH2\r\n")
        said.append(await reader.readline())
        if said[0] == b"AUTH XOAUTH2\r\n":
            writer.write(b"334 \r\n")
            said.append(await reader.readline())
        writer.write(b"535 5.7.8 No\r\n")

    async with raw_server(talk) as server, smarthost(server, BearerToken("clinic", "t" * octets)) as upstream:
        await upstream.probe()
    assert (len(said) == 1) is together
    assert len(said[0]) <= 512
    response = base64.b64decode(said[-1].split()[-1])
    assert response == b"user=clinic\x01auth=Bearer " + b"t" * octets + b"\x01\x01"


async def test_no_common_mechanism() -> None:
    with ScriptedServer(users={"clinic": "word"}, mechanisms=("XOAUTH2",)) as server:
        async with smarthost(server, Password("clinic", "word")) as upstream:
            said = await upstream.send(envelope(), MESSAGE, Cleared())
    assert (said.phase, said.cause) == (Phase.AUTH, Cause.AUTH_MISSING)
    assert said.reply
    assert "XOAUTH2" in said.reply.text
