"""What a client may not do; each provider says so in its own words."""

import pytest

from relay.simulator.simulator import Simulator
from tests.simulator.raw_client import RawClient, message


@pytest.mark.parametrize("name", ["microsoft365", "gmail", "ses"])
async def test_nothing_before_tls_and_nothing_before_auth(simulator: Simulator, name: str) -> None:
    server = getattr(simulator, name)
    refusal = "530 5.7.57 " if name == "microsoft365" else "530"
    async with RawClient(simulator, server) as client:
        await client.ask("EHLO relay")
        assert (await client.ask("MAIL FROM:<a@b.test>")).startswith(refusal)
        assert (await client.ask(f"AUTH {server.provider.mechanisms[0]}")).startswith(refusal)
        await client.start_tls()
        assert (await client.ask("MAIL FROM:<a@b.test>")).startswith(refusal)
        assert (await client.ask("RCPT TO:<a@b.test>")).startswith("503")
        assert (await client.ask("DATA")).startswith("503")
        assert (await client.ask("STARTTLS")).startswith("503")
    assert [one.what for one in simulator.violations] == ["MAIL before AUTH"]


async def test_ehlo_counts_no_longer_after_starttls(simulator: Simulator) -> None:
    async with RawClient(simulator, simulator.gmail) as client:
        assert (await client.ask("AUTH PLAIN")).startswith("530")
        assert (await client.ask("STARTTLS")).startswith("503"), "before EHLO"


async def test_auth_twice_and_auth_in_a_transaction(simulator: Simulator) -> None:
    async with RawClient(simulator, simulator.microsoft365) as client:
        await client.log_in(simulator)
        assert (await client.ask("AUTH XOAUTH2")).startswith("503")
        assert (await client.ask("MAIL FROM:<no-reply@clinic.test>")).startswith("250")
        assert (await client.ask("MAIL FROM:<no-reply@clinic.test>")).startswith("503")
        assert (await client.ask("AUTH XOAUTH2")).startswith("503")
        assert (await client.ask("DATA")).startswith("503")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"a\r\nb\r\n", "250 2.0.0"),
        (b"a\nb\r\n", "550 5.6.11"),
        (b"a\rb\r\n", "550 5.6.11"),
        (b"a\n.\nb\r\n", "550 5.6.11"),
        (b"a\r\n.\nb\r\n", "550 5.6.11"),
        (b"\r\r\n", "550 5.6.11"),
        (b"\xc3\xa9\r\n", "554 5.6.3"),
        (b"..\r\n..a\r\n", "250 2.0.0"),
        (b"x" * 5000 + b"\r\n", "250 2.0.0"),
    ],
)
async def test_content_is_judged(simulator: Simulator, content: bytes, code: str) -> None:
    async with RawClient(simulator, simulator.microsoft365) as client:
        await client.log_in(simulator)
        assert (await client.transact(message(body=content))).startswith(code)
        assert (await client.ask("NOOP")).startswith("250"), "nothing of the content was taken for a command"


async def test_dots_are_taken_off_and_eight_bits_pass_when_declared(simulator: Simulator) -> None:
    async with RawClient(simulator, simulator.microsoft365) as client:
        await client.log_in(simulator)
        await client.ask("MAIL FROM:<no-reply@clinic.test> BODY=8BITMIME")
        await client.ask("RCPT TO:<a@far.test>")
        await client.ask("DATA")
        client.send(message(body=b"..\r\n..two\r\n\xc3\xa9\r\n") + b".\r\n")
        assert (await client.reply()).startswith("250")
    [received] = simulator.messages
    assert received.content == message(body=b".\r\n.two\r\n\xc3\xa9\r\n")
    assert simulator.violations == []


async def test_a_bare_line_feed_ends_no_command(simulator: Simulator) -> None:
    async with RawClient(simulator, simulator.ses) as client:
        client.send(b"EHLO relay\n")
        assert await client.reply() == "500 Syntax error"


async def test_lines_have_a_limit(simulator: Simulator) -> None:
    async with RawClient(simulator, simulator.gmail) as client:
        assert (await client.ask("NOOP " + "x" * 600)).startswith("500")
        assert (await client.ask("EHLO " + "x" * 100_000)).startswith("500")
        assert (await client.ask("EHLO relay")).startswith("250")


async def test_pipelining_where_it_is_offered(simulator: Simulator) -> None:
    async with RawClient(simulator, simulator.microsoft365) as client:
        await client.log_in(simulator)
        for _ in range(3):
            client.send("MAIL FROM:<no-reply@clinic.test>\r\nRCPT TO:<a@far.test>\r\nRCPT TO:<x>\r\nDATA\r\n")
            assert [(await client.reply())[:3] for _ in range(4)] == ["250", "250", "501", "354"]
            client.send(message() + b".\r\n")
            assert (await client.reply()).startswith("250")
        client.send("RSET\r\nQUIT\r\n")
        assert [(await client.reply())[:3] for _ in range(3)] == ["250", "221", ""]
    assert simulator.received.total == 3


async def test_the_next_transaction_may_follow_the_final_dot(simulator: Simulator) -> None:
    async with RawClient(simulator, simulator.microsoft365) as client:
        await client.log_in(simulator)
        start = "MAIL FROM:<no-reply@clinic.test>\r\nRCPT TO:<a@far.test>\r\nDATA\r\n"
        client.send(start)
        assert [(await client.reply())[:3] for _ in range(3)] == ["250", "250", "354"]
        client.send(message() + b".\r\n" + start.encode())
        assert [(await client.reply())[:3] for _ in range(4)] == ["250", "250", "250", "354"]
        client.send(message() + b".\r\n")
        assert (await client.reply()).startswith("250")


@pytest.mark.parametrize("name", ["microsoft365", "ses"])
async def test_content_sent_before_its_354_is_refused(simulator: Simulator, name: str) -> None:
    async with RawClient(simulator, getattr(simulator, name)) as client:
        await client.log_in(simulator)
        await client.ask("MAIL FROM:<no-reply@clinic.test>")
        await client.ask("RCPT TO:<a@far.test>")
        client.send(b"DATA\r\n" + message() + b".\r\nQUIT\r\n")
        assert (await client.reply()).startswith("503")
        assert await client.reply() == ""
    assert simulator.messages == []
    assert len(simulator.violations) == 1


async def test_pipelining_where_it_is_not_offered(simulator: Simulator) -> None:
    async with RawClient(simulator, simulator.ses) as client:
        await client.log_in(simulator)
        client.send("MAIL FROM:<a@clinic.test>\r\nRCPT TO:<a@far.test>\r\n")
        assert await client.reply() == "503 Command pipelining is not supported"
        assert await client.reply() == ""


async def test_what_is_injected_before_tls_is_never_obeyed(simulator: Simulator) -> None:
    async with RawClient(simulator, simulator.gmail) as client:
        await client.ask("EHLO relay")
        client.send("STARTTLS\r\nMAIL FROM:<evil@far.test>\r\n")
        assert (await client.reply()).startswith("503")
        assert await client.reply() == ""


async def test_sizes(simulator: Simulator) -> None:
    async with RawClient(simulator, simulator.gmail) as client:
        await client.log_in(simulator)
        refusal = await client.ask("MAIL FROM:<clinic@gmail.test> SIZE=35882578")
        assert refusal.startswith("552-5.2.3 ")
        assert refusal.split("\n")[-1].startswith("552 5.2.3 ")
        big = message(body=b"x" * 998 + b"\r\n") * 36_000
        assert (await client.transact(big, sender="clinic@gmail.test")).startswith("552-5.2.3")
        assert (await client.transact(message(), sender="clinic@gmail.test")).startswith("250")
    assert simulator.received.total == 1


async def test_a_large_message_is_kept_in_a_file_and_comes_back(simulator: Simulator) -> None:
    big = message(body=(b"y" * 998 + b"\r\n") * 12_000)
    async with RawClient(simulator, simulator.ses, implicit=True) as client:
        await client.log_in(simulator)
        assert (await client.transact(big)).startswith("250 Ok ")
    [received] = simulator.messages
    assert received.stored.path is not None
    assert received.content == big
    assert received.tls is not None


@pytest.mark.parametrize(
    ("name", "limit", "refusal"),
    [("microsoft365", 500, "452 4.5.3"), ("gmail", 100, "452-4.5.3"), ("ses", 50, "554 Transaction failed")],
)
async def test_one_recipient_too_many(simulator: Simulator, name: str, limit: int, refusal: str) -> None:
    recipients = [f"a{number}@far.test" for number in range(limit + 1)]
    async with RawClient(simulator, getattr(simulator, name)) as client:
        await client.log_in(simulator)
        assert (await client.transact(message(), *recipients)).startswith(refusal)
        assert (await client.ask("DATA")).startswith("354"), "the others stand"


async def test_addresses_beyond_ascii_need_smtputf8(simulator: Simulator) -> None:
    async with RawClient(simulator, simulator.microsoft365) as client:
        await client.log_in(simulator)
        assert (await client.ask("MAIL FROM:<é@clinic.test>")).startswith("553 5.6.7")
        assert (await client.ask("MAIL FROM:<no-reply@clinic.test>")).startswith("250")
        assert (await client.ask("RCPT TO:<é@far.test>")).startswith("553 5.6.7")
        await client.ask("RSET")
        assert (await client.ask("MAIL FROM:<no-reply@clinic.test> SMTPUTF8")).startswith("250")
        assert (await client.ask("RCPT TO:<é@far.test>")).startswith("250")


async def test_bdat(simulator: Simulator) -> None:
    async with RawClient(simulator, simulator.microsoft365) as client:
        await client.log_in(simulator)
        client.send(b"BDAT 3\r\nabc")
        assert (await client.reply()).startswith("503"), "octets read all the same"
        await client.ask("MAIL FROM:<no-reply@clinic.test> BODY=BINARYMIME")
        await client.ask("RCPT TO:<a@far.test>")
        assert (await client.ask("DATA")).startswith("503"), "not for BINARYMIME"
        octets = message(body=b"bare\nand \xff\r\n.\r\n")
        client.send(b"BDAT 10\r\n" + octets[:10] + b"BDAT %d LAST\r\n" % (len(octets) - 10) + octets[10:])
        assert (await client.reply()).startswith("250")
        assert "250 2.0.0 OK" in await client.reply()
    assert simulator.messages[0].content == octets


async def test_what_is_not_strict_is_only_noted() -> None:
    async with Simulator(strict=False) as simulator, RawClient(simulator, simulator.microsoft365) as client:
        await client.log_in(simulator)
        assert (await client.transact(message(body=b"\xc3\xa9\r\n"))).startswith("250")
        assert [one.provider for one in simulator.violations] == ["microsoft365"]
