"""Messages offered to a server that takes them, or refuses at one of the stages."""

import pytest

from relay.envelope import Body, DsnReturn, Envelope, Notify, Recipient, WholeContent
from relay.upstream.contract import Cause, Phase
from relay.upstream.credentials import Password
from tests.rig.script import Answer
from tests.rig.scripted import EXTENSIONS, ScriptedServer
from tests.upstream.offering import MESSAGE, Cleared, envelope, mailbox, smarthost

PLAIN_ESMTP = tuple(extension for extension in EXTENSIONS if extension != "PIPELINING")


@pytest.mark.parametrize("extensions", [EXTENSIONS, PLAIN_ESMTP], ids=["pipelined", "one by one"])
async def test_a_message_arrives_byte_for_byte(extensions: tuple[str, ...]) -> None:
    with ScriptedServer(extensions=extensions) as server:
        cleared = Cleared()
        async with smarthost(server) as upstream:
            said = await upstream.send(envelope("a@example.test", "b@example.test"), MESSAGE, cleared)
    assert (said.phase, str(said.reply)) == (Phase.DONE, "250 2.0.0 Ok: queued as UP1")
    assert [reply.code for reply in said.recipients if reply] == [250, 250]
    assert (said.cause, said.ambiguous, said.dsn) == (None, False, True)
    assert (cleared.mails, cleared.dots) == (1, 1)
    [taken] = server.transactions
    assert taken.content == MESSAGE.octets
    assert taken.sender == f"<no-reply@clinic.test> SIZE={MESSAGE.size}"
    assert taken.recipients == ("<a@example.test>", "<b@example.test>")


async def test_parameters_are_passed_on_where_offered() -> None:
    recipient = Recipient(mailbox("a@example.test"), Notify.SUCCESS | Notify.DELAY, "rfc822;A+2Bb@example.test")
    offered = Envelope(None, (recipient,), Body.EIGHT_BIT_MIME, True, "QQ+3D1", DsnReturn.HDRS)
    content = WholeContent("Subject: ä\r\n\r\n".encode())
    with ScriptedServer() as server:
        async with smarthost(server) as upstream:
            await upstream.send(offered, content, Cleared())
    with ScriptedServer(extensions=("PIPELINING", "8BITMIME")) as bare:
        async with smarthost(bare) as upstream:
            said = await upstream.send(offered, content, Cleared())
    assert server.transactions[0].sender == "<> SIZE=15 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=QQ+3D1"
    assert server.transactions[0].recipients == (
        "<a@example.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;A+2Bb@example.test",
    )
    assert (bare.transactions[0].sender, bare.transactions[0].recipients) == ("<> BODY=8BITMIME", ("<a@example.test>",))
    assert said.dsn is False


@pytest.mark.parametrize("extensions", [EXTENSIONS, PLAIN_ESMTP], ids=["pipelined", "one by one"])
async def test_some_recipients_refused(extensions: tuple[str, ...]) -> None:
    with ScriptedServer(extensions=extensions) as server:
        server.script.for_recipient("b@example.test", "550 5.1.1 No such user")
        async with smarthost(server) as upstream:
            said = await upstream.send(
                envelope("a@example.test", "b@example.test", "c@example.test"), MESSAGE, Cleared()
            )
    assert said.phase is Phase.DONE
    assert [reply.code for reply in said.recipients if reply] == [250, 550, 250]
    assert server.accepted[0].recipients == ("<a@example.test>", "<c@example.test>")


@pytest.mark.parametrize("extensions", [EXTENSIONS, PLAIN_ESMTP], ids=["pipelined", "one by one"])
@pytest.mark.parametrize("data", [None, "354 go on"], ids=["DATA refused", "DATA allowed"])
async def test_all_recipients_refused(extensions: tuple[str, ...], data: str | None) -> None:
    with ScriptedServer(extensions=extensions) as server:
        server.script.for_recipient("b@example.test", "550 5.1.1 No such user")
        if data:
            server.script.then("DATA", data)
            server.script.then("BODY", "554 5.5.1 No valid recipients")
        cleared = Cleared()
        async with smarthost(server) as upstream:
            said = await upstream.send(envelope("b@example.test"), MESSAGE, cleared)
            server.script.well_again()
            again = await upstream.send(envelope("a@example.test"), MESSAGE, cleared)
    assert (said.phase, str(said.reply), said.cause) == (Phase.RCPT, "550 5.1.1 No such user", None)
    assert again.phase is Phase.DONE
    assert server.connections == 1
    assert [taken.recipients for taken in server.accepted] == [("<a@example.test>",)]
    assert cleared.dots == 1


async def test_a_server_that_goes_on_without_a_sender_gets_no_empty_message() -> None:
    with ScriptedServer() as server:
        server.script.then("MAIL", "451 4.3.0 Later")
        async with smarthost(server) as upstream:
            said = await upstream.send(envelope(), MESSAGE, Cleared())
            after = await upstream.send(envelope(), MESSAGE, Cleared())
    assert (said.phase, str(said.reply)) == (Phase.MAIL, "451 4.3.0 Later")
    assert after.phase is Phase.DONE
    assert [taken.content for taken in server.transactions] == [MESSAGE.octets]


@pytest.mark.parametrize(
    ("stage", "phase"),
    [
        ("CONNECT", Phase.GREETING),
        ("EHLO", Phase.EHLO),
        ("MAIL", Phase.MAIL),
        ("RCPT", Phase.RCPT),
        ("DATA", Phase.DATA),
        ("BODY", Phase.DONE),
    ],
)
@pytest.mark.parametrize("text", ["451 4.3.2 Later", "554 5.3.2 Never", "421 4.3.2 Closing"])
async def test_a_refusal_is_reported_with_its_phase(stage: str, phase: Phase, text: str) -> None:
    with ScriptedServer() as server:
        server.script.then(stage, Answer(text, close=text.startswith("421")))
        async with smarthost(server) as upstream:
            said = await upstream.send(envelope(), MESSAGE, Cleared())
            assert (said.phase, str(said.reply), said.cause) == (phase, text, None)
            after = await upstream.send(envelope(), MESSAGE, Cleared())
            assert after.phase is Phase.DONE


@pytest.mark.parametrize(
    ("stage", "phase"),
    [
        ("CONNECT", Phase.GREETING),
        ("EHLO", Phase.EHLO),
        ("MAIL", Phase.MAIL),
        ("RCPT", Phase.RCPT),
        ("DATA", Phase.DATA),
        ("BODY", Phase.FINAL_DOT),
    ],
)
@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (Answer(None, close=True), Cause.DISCONNECTED),
        (Answer(None, reset=True), Cause.DISCONNECTED),
        (Answer("what?"), Cause.GARBLED),
        (Answer("999 9.9.9 odd"), Cause.GARBLED),
        (Answer(None), Cause.TIMEOUT),
    ],
    ids=["close", "reset", "garbled", "no such code", "silence"],
)
async def test_no_word_is_reported_with_its_phase(stage: str, phase: Phase, answer: Answer, cause: Cause) -> None:
    with ScriptedServer(extensions=PLAIN_ESMTP) as server:
        server.script.then(stage, answer)
        async with smarthost(server, timeout=0.1 if cause is Cause.TIMEOUT else 10.0) as upstream:
            said = await upstream.send(envelope(), MESSAGE, Cleared())
            assert (said.phase, said.cause) == (phase, cause)
            assert said.ambiguous is (stage == "BODY")
            assert said.reply is None or said.reply.transient
            assert upstream.connections == 0
            after = await upstream.send(envelope(), MESSAGE, Cleared())
            assert after.phase is Phase.DONE


async def test_a_lost_lease_ends_before_the_final_dot() -> None:
    with ScriptedServer() as server:
        async with smarthost(server) as upstream:
            said = await upstream.send(envelope(), MESSAGE, Cleared(lease=False))
            assert (said.phase, said.cause, said.ambiguous) == (Phase.CONTENT, Cause.LEASE_LOST, False)
            assert upstream.connections == 0
    assert server.transactions == []


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
async def test_password_mechanisms(mechanism: str) -> None:
    with ScriptedServer(users={"clinic": "pässword"}, mechanisms=(mechanism,)) as server:
        async with smarthost(server, Password("clinic", "pässword")) as upstream:
            said = await upstream.send(envelope(), MESSAGE, Cleared())
        assert said.phase is Phase.DONE
        assert server.transactions[0].login == "clinic"
        async with smarthost(server, Password("clinic", "wrong")) as upstream:
            said = await upstream.send(envelope(), MESSAGE, Cleared())
        assert (said.phase, said.reply and said.reply.code) == (Phase.AUTH, 535)
