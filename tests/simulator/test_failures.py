"""Failures that are switched on, at every stage."""

import time

import pytest

from relay.simulator.faults import known_faults
from relay.simulator.simulator import Simulator
from tests.simulator.raw_client import RawClient, message, xoauth2


async def stage_of_failure(simulator: Simulator, name: str) -> tuple[str, str]:
    """Go through a whole submission; return the stage that was not answered well, and its reply."""
    async with RawClient(simulator, getattr(simulator, name)) as client:
        if not client.greeting.startswith("220"):
            return "greeting", client.greeting
        ehlo = await client.ask("EHLO relay")
        if not ehlo.startswith("250"):
            return "ehlo", ehlo
        if not (starttls := await client.ask("STARTTLS")).startswith("220"):
            return "starttls", starttls
    async with RawClient(simulator, getattr(simulator, name)) as client:
        try:
            await client.log_in(simulator)
        except AssertionError as refused:
            return "auth", str(refused).split("\n")[0]
        for stage, line in (("mail", "MAIL FROM:<no-reply@clinic.test>"), ("rcpt", "RCPT TO:<a@far.test>")):
            if not (reply := await client.ask(line)).startswith("250"):
                return stage, reply
        if not (reply := await client.ask("DATA")).startswith("354"):
            return "data", reply
        client.send(message() + b".\r\n")
        reply = await client.reply()
        return ("none" if reply.startswith("250") else "final"), reply


SMTP_REPLIES = sorted(name for name, fault in known_faults().items() if fault.reply and fault.stage != "auth_line")


@pytest.mark.parametrize("name", SMTP_REPLIES)
async def test_every_reply_is_said_at_its_stage(name: str) -> None:
    fault = known_faults()[name]
    provider = fault.provider or "ses"
    async with Simulator() as simulator:
        simulator.faults.set(name)
        stage, reply = await stage_of_failure(simulator, provider)
        assert stage == fault.stage
        assert reply.startswith(fault.reply.split("\n")[0].split("{")[0])
        assert "{" not in reply
        simulator.faults.clear()
        assert (await stage_of_failure(simulator, provider))[0] == "none"


@pytest.mark.parametrize("stage", ["greeting", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "final"])
@pytest.mark.parametrize(("name", "begins"), [("close", ""), ("garbled", "\x16\x03\x01"), ("closing_421", "421 4.3.2")])
async def test_any_stage_can_go_wrong_in_any_way(simulator: Simulator, name: str, begins: str, stage: str) -> None:
    simulator.faults.set(name, stage=stage)
    at, reply = await stage_of_failure(simulator, "gmail")
    assert at == stage
    assert reply.startswith(begins)
    assert simulator.messages == []


async def test_421_closes_the_connection(simulator: Simulator) -> None:
    simulator.faults.set("closing_421", stage="rcpt")
    async with RawClient(simulator, simulator.ses) as client:
        await client.log_in(simulator)
        assert (await client.transact(message())).startswith("421")
        assert await client.reply() == ""


@pytest.mark.parametrize(
    ("name", "stored"),
    [("no_final_reply", True), ("no_final_reply_not_stored", False), ("final_silence", True)],
)
async def test_no_reply_after_the_final_dot(name: str, stored: bool) -> None:
    async with Simulator(idle_timeout=0.5) as simulator:
        simulator.faults.set(name, times=1)
        async with RawClient(simulator, simulator.microsoft365) as client:
            await client.log_in(simulator)
            assert await client.transact(message()) == ""
        assert [one.answered for one in simulator.messages] == ([False] if stored else [])
        async with RawClient(simulator, simulator.microsoft365) as client:
            await client.log_in(simulator)
            assert (await client.transact(message())).startswith("250")


async def test_a_slow_reply_comes(simulator: Simulator) -> None:
    simulator.faults.set("slow", stage="final", seconds=0.3)
    async with RawClient(simulator, simulator.ses) as client:
        await client.log_in(simulator)
        begun = time.monotonic()
        assert (await client.transact(message())).startswith("250")
        assert time.monotonic() - begun >= 0.3


async def test_one_recipient_is_refused_and_the_others_are_served(simulator: Simulator) -> None:
    simulator.faults.set("recipient_unknown", recipient="b@*")
    async with RawClient(simulator, simulator.microsoft365) as client:
        await client.log_in(simulator)
        await client.ask("MAIL FROM:<no-reply@clinic.test>")
        replies = [(await client.ask(f"RCPT TO:<{one}@far.test>"))[:3] for one in "abc"]
        assert replies == ["250", "550", "250"]
        await client.ask("DATA")
        client.send(message() + b".\r\n")
        assert (await client.reply()).startswith("250")
    assert simulator.messages[0].forward_paths == ("a@far.test", "c@far.test")


async def test_a_failure_strikes_the_next_and_then_no_more(simulator: Simulator) -> None:
    simulator.faults.set("rejected", times=1)
    async with RawClient(simulator, simulator.ses) as client:
        await client.log_in(simulator)
        assert (await client.transact(message())).startswith("554 5.7.1")
        assert (await client.transact(message())).startswith("250")


@pytest.mark.parametrize(("name", "keyword"), [("pipelining_not_offered", "PIPELINING"), ("dsn_not_offered", "DSN")])
async def test_an_extension_is_withheld(simulator: Simulator, name: str, keyword: str) -> None:
    simulator.faults.set(name, times=1)
    async with RawClient(simulator, simulator.microsoft365) as client:
        assert keyword not in await client.ask("EHLO relay")
    async with RawClient(simulator, simulator.microsoft365) as client:
        assert keyword in await client.ask("EHLO relay")


async def test_several_extensions_are_withheld(simulator: Simulator) -> None:
    simulator.faults.set("eight_bit_not_offered")
    simulator.faults.set("smtputf8_not_offered")
    async with RawClient(simulator, simulator.gmail) as client:
        ehlo = await client.ask("EHLO relay")
        assert "8BITMIME" not in ehlo
        assert "SMTPUTF8" not in ehlo


async def test_a_long_initial_response_is_refused_but_not_a_long_answer(simulator: Simulator) -> None:
    simulator.faults.set("initial_response_too_long")
    response = xoauth2(simulator.mailbox, simulator.tokens.for_app("https://outlook.office365.com"))
    async with RawClient(simulator, simulator.microsoft365) as client:
        await client.start_tls()
        assert await client.ask(f"AUTH XOAUTH2 {response}") == "500 5.5.2 Line too long"
        assert await client.ask("AUTH XOAUTH2") == "334 "
        assert (await client.ask(response)).startswith("235")


async def test_tokens_that_expire_between_two_logins(simulator: Simulator) -> None:
    response = xoauth2(simulator.mailbox, simulator.tokens.for_app("https://outlook.office365.com"))
    for reply in ("235", "334"):
        async with RawClient(simulator, simulator.microsoft365) as client:
            await client.start_tls()
            assert (await client.ask(f"AUTH XOAUTH2 {response}")).startswith(reply)
        simulator.tokens.expire()


async def test_connections_are_cut_off(simulator: Simulator) -> None:
    async with RawClient(simulator, simulator.ses) as client:
        await client.log_in(simulator)
        assert simulator.ses.hang_up() == 1
        assert await client.reply() == ""
    async with RawClient(simulator, simulator.ses) as client:
        assert client.greeting.startswith("220")


@pytest.mark.parametrize("name", ["microsoft365", "gmail", "ses"])
async def test_a_provider_cannot_be_reached_for_a_while(simulator: Simulator, name: str) -> None:
    server = getattr(simulator, name)
    async with RawClient(simulator, server) as client:
        await server.close()
        assert await client.reply() == ""
    with pytest.raises(OSError, match=r"refused|failed"):
        await RawClient(simulator, server).__aenter__()
    server.reopen()
    server.reopen()
    async with RawClient(simulator, server) as client:
        assert client.greeting.startswith("220")
