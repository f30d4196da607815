"""An upstream tried step by step: the dialogue is mail's own, ends with RSET, and keeps within the limits."""

from __future__ import annotations

import asyncio
import socket

import pytest

from relay.config.provider_settings import SmtpSettings
from relay.control.checkup import checkup_of
from relay.upstream.contract import Cause, Phase
from relay.upstream.credentials import Password
from relay.upstream.rehearsal import Trial
from tests.rig.certificate import CertificateAuthority, Leaf
from tests.rig.script import Answer
from tests.rig.scripted import ScriptedServer
from tests.upstream.offering import MESSAGE, Cleared, envelope, mailbox, smarthost

TRIALS = [Trial(mailbox("no-reply@clinic.test"), mailbox("it@clinic.test"))]
TWO = [*TRIALS, Trial(mailbox("lab@clinic.test"), mailbox("it@clinic.test"))]


@pytest.fixture(scope="module")
def leaf(tmp_path_factory: pytest.TempPathFactory) -> Leaf:
    return CertificateAuthority(tmp_path_factory.mktemp("authority")).leaf()


class Admitting:
    """Admits so many."""

    def __init__(self, most: int = 100) -> None:
        self.most = most
        self.asked = 0

    async def __call__(self) -> bool:
        self.asked += 1
        return self.asked <= self.most


@pytest.mark.parametrize("security", ["starttls", "implicit"])
async def test_all_is_well(security: str, leaf: Leaf) -> None:
    with ScriptedServer(security=security, leaf=leaf, users={"clinic": "word"}) as server:
        async with smarthost(server, Password("clinic", "word"), ca_file=leaf.authority) as upstream:
            seen = await upstream.examine(TWO, Admitting())
            assert upstream.connections == 0
    assert (seen.ended, seen.refused, seen.logged_in, seen.secured) == (None, None, True, True)
    assert (seen.addresses, seen.peer, seen.mechanism, seen.username) == (
        ("127.0.0.1",),
        "127.0.0.1",
        "CRAM-MD5",
        "clinic",
    )
    assert seen.protection is not None
    assert seen.protection.version == "TLSv1.3"
    assert "localhost" in seen.protection.names
    assert seen.protection.expires_at
    assert [[said.code for said in each.replies] for each in seen.rehearsals] == [[250, 250, 250]] * 2
    said = [command.partition(" ")[0] for command in server.commands]
    assert said[-7:] == ["MAIL", "RCPT", "RSET", "MAIL", "RCPT", "RSET", "QUIT"]
    assert "DATA" not in said
    assert server.connections == 1


async def test_a_certificate_that_is_not_looked_at(leaf: Leaf) -> None:
    with ScriptedServer(security="starttls", leaf=leaf) as server:
        async with smarthost(server, verify="none") as upstream:
            seen = await upstream.examine(TRIALS, Admitting())
    assert seen.protection is not None
    assert (seen.protection.names, seen.protection.expires_at) == ((), None)


@pytest.mark.parametrize(
    ("stage", "answer", "codes", "verbs"),
    [
        ("MAIL", "550 5.7.1 Not you", [[550], [250, 250, 250]], "MAIL MAIL RCPT RSET QUIT"),
        ("RCPT", "550 5.1.1 No such user", [[250, 550, 250], [250, 250, 250]], "MAIL RCPT RSET MAIL RCPT RSET QUIT"),
        ("RSET", "500 5.5.1 What?", [[250, 250, 500], [250, 250, 250]], "MAIL RCPT RSET MAIL RCPT RSET QUIT"),
        ("MAIL", Answer("421 4.3.2 Closing", close=True), [[421]], "MAIL"),
        ("RCPT", Answer("421 4.3.2 Closing", close=True), [[250, 421]], "MAIL RCPT"),
        ("RCPT", Answer(None, close=True), [[250, 451]], "MAIL RCPT"),
        ("MAIL", Answer("354 Go on"), [[451]], "MAIL QUIT"),
        ("MAIL", Answer(None), [[451]], "MAIL"),
    ],
)
async def test_what_is_said_to_an_envelope(
    stage: str, answer: Answer | str, codes: list[list[int]], verbs: str
) -> None:
    with ScriptedServer() as server:
        server.script.then(stage, answer)
        async with smarthost(server, timeout=0.5) as upstream:
            seen = await upstream.examine(TWO, Admitting())
    assert [[said.code for said in each.replies] for each in seen.rehearsals] == codes
    assert seen.ended is None
    said = [command.partition(" ")[0] for command in server.commands]
    assert " ".join(said[1:]) in {verbs, f"{verbs} QUIT"}


async def test_an_address_that_the_server_cannot_take() -> None:
    with ScriptedServer(extensions=("SIZE 1000",)) as server:
        async with smarthost(server) as upstream:
            seen = await upstream.examine([Trial(mailbox("müller@clinic.test"), TRIALS[0].recipient)], Admitting())
    assert [each.cause for each in seen.rehearsals] == [Cause.SMTPUTF8_MISSING]
    assert not [command for command in server.commands if command.startswith("MAIL")]


async def test_the_limits_are_asked_before_each_mail() -> None:
    with ScriptedServer() as server:
        async with smarthost(server) as upstream:
            seen = await upstream.examine(TWO, Admitting(1))
    assert (len(seen.rehearsals), seen.limited) == (1, True)
    assert len([command for command in server.commands if command.startswith("MAIL")]) == 1


async def test_no_connection_too_many() -> None:
    with ScriptedServer() as server:
        async with smarthost(server, max_connections=1) as upstream:
            assert (await upstream.send(envelope(), MESSAGE, Cleared())).phase is Phase.DONE
            assert upstream.connections == 1
            assert (await upstream.examine(TRIALS, Admitting())).ended is None
            assert (await upstream.send(envelope(), MESSAGE, Cleared())).phase is Phase.DONE
    assert (server.connections, server.most_connections) == (3, 1)


async def test_a_refused_login_ends_it() -> None:
    with ScriptedServer(users={"clinic": "word"}) as server:
        async with smarthost(server, Password("clinic", "wrong")) as upstream:
            seen = await upstream.examine(TRIALS, Admitting())
    assert seen.ended is not None
    assert (seen.ended.phase, seen.ended.reply.code, seen.logged_in) == (Phase.AUTH, 535, False)
    assert (seen.rehearsals, seen.peer) == ([], "127.0.0.1")
    assert seen.extensions is not None


async def test_a_name_and_a_port_that_are_not_there() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))

        class Nobody:
            port = closed.getsockname()[1]
            security = "none"

        async with smarthost(Nobody()) as upstream:
            seen = await upstream.examine(TRIALS, Admitting())
        assert seen.ended is not None
        assert (seen.addresses, seen.peer, seen.ended.cause) == (("127.0.0.1",), "", Cause.CONNECTION_REFUSED)
        async with smarthost(Nobody(), host="mail.clinic.invalid") as upstream:
            seen = await upstream.examine(TRIALS, Admitting())
        assert seen.ended is not None
        assert (seen.addresses, seen.ended.phase, seen.ended.cause) == ((), Phase.CONNECT, Cause.NAME_NOT_FOUND)


async def test_plain_text_where_tls_is_expected() -> None:
    with ScriptedServer() as server:
        async with smarthost(server, security="implicit") as upstream:
            seen = await upstream.examine(TRIALS, Admitting())
    assert seen.ended is not None
    assert (seen.peer, seen.secured, seen.ended.cause) == ("127.0.0.1", False, Cause.TLS_FAILED)


async def test_limits_that_leave_no_room_are_told() -> None:
    async def never() -> None:
        await asyncio.sleep(60)

    table = SmtpSettings.model_validate({"host": "127.0.0.1", "security": "none"})
    senders = [trial.recipient for trial in TRIALS]
    with ScriptedServer() as server:
        async with smarthost(server) as upstream:
            found = await checkup_of("isp", table, upstream, senders, None, never, None, patience=0.05)
    assert [step["name"] for step in found["steps"] if step["result"] == "not_reached"] == ["mail", "rcpt", "rset"]
    assert (found["ok"], found["notes"]) == (
        False,
        ["MAIL was not tried as every sender: the limits of isp leave no room for it now."],
    )
