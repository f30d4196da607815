"""What each provider says to clients that follow the protocol: logins, senders, limits; real clients included."""

import asyncio
import base64
import json
import smtplib
import ssl
from typing import Any

import aiosmtplib
import pytest

from relay.simulator.simulator import Simulator
from tests.simulator.raw_client import RawClient, message, xoauth2


def plain(user: str, password: str) -> str:
    return "AUTH PLAIN " + base64.b64encode(f"\0{user}\0{password}".encode()).decode()


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize("initial", [True, False])
async def test_xoauth2_with_and_without_an_initial_response(simulator: Simulator, initial: bool) -> None:
    token = simulator.tokens.for_app("https://outlook.office365.com")
    response = xoauth2(simulator.mailbox.upper(), token)
    assert len(response) > 4000
    async with RawClient(simulator, simulator.microsoft365) as client:
        await client.start_tls()
        if initial:
            reply = await client.ask(f"auth xoauth2 {response}")
        else:
            assert await client.ask("AUTH XOAUTH2") == "334 "
            reply = await client.ask(response)
        assert reply == "235 2.7.0 Authentication successful"
    assert simulator.logins == 1


@pytest.mark.parametrize("case", ["garbage", "expired", "another mailbox", "wrong audience", "no role"])
async def test_a_bad_token(simulator: Simulator, case: str) -> None:
    mailbox = "stranger@clinic.test" if case == "another mailbox" else simulator.mailbox
    if case == "no role":
        simulator.tokens.roles = ()
    audience = "https://graph.microsoft.com" if case == "wrong audience" else "https://outlook.office365.com"
    token = "garbage" if case == "garbage" else simulator.tokens.for_app(audience)
    if case == "expired":
        simulator.tokens.expire()
    async with RawClient(simulator, simulator.microsoft365) as client:
        await client.start_tls()
        challenge = await client.ask(f"AUTH XOAUTH2 {xoauth2(mailbox, token)}")
        assert challenge.startswith("334 ")
        assert json.loads(base64.b64decode(challenge[4:]))["status"] == "401"
        assert (await client.ask("")).startswith("535 5.7.3 Authentication unsuccessful [")
    assert simulator.failed_logins == 1
    assert simulator.violations == []


async def test_what_microsoft_says_to_passwords(simulator: Simulator) -> None:
    async with RawClient(simulator, simulator.microsoft365) as client:
        await client.start_tls()
        assert (await client.ask(plain("a", "b"))).startswith("504 5.7.4 Unrecognized authentication type")
        assert await client.ask("AUTH LOGIN") == "334 VXNlcm5hbWU6"
        assert await client.ask(encoded(simulator.mailbox)) == "334 UGFzc3dvcmQ6"
        reply = await client.ask(encoded("secret"))
        assert reply.startswith("535 5.7.139 Authentication unsuccessful, basic authentication is disabled.")
        assert (await client.ask("AUTH XOAUTH2 !!!")).startswith("501")
        assert (await client.ask(f"AUTH XOAUTH2 {encoded('user=a')}")).startswith("501")
        await client.ask("AUTH XOAUTH2")
        assert (await client.ask("*")).startswith("501")


async def test_what_gmail_says_to_passwords(simulator: Simulator) -> None:
    user, app = simulator.gmail_user, simulator.gmail_app_password
    async with RawClient(simulator, simulator.gmail) as client:
        await client.start_tls()
        wrong = await client.ask(plain(user, "wrong"))
        assert [line[:10] for line in wrong.split("\n")] == ["535-5.7.8 ", "535 5.7.8 "]
        real = await client.ask(plain(user, simulator.options.gmail_password))
        assert real.startswith("534-5.7.9 Application-specific password required")
        spaced = " ".join(app[at : at + 4] for at in range(0, 16, 4))
        assert (await client.ask(plain(user, spaced))).startswith("535"), "as printed, with blanks"
        assert (await client.ask("AUTH CRAM-MD5")).startswith("504 5.7.4")
        assert await client.ask("AUTH PLAIN") == "334 "
        assert await client.ask(plain(user, app).split(" ")[2]) == "235 2.7.0 Accepted"


async def test_what_ses_says_to_passwords(simulator: Simulator) -> None:
    async with RawClient(simulator, simulator.ses) as client:
        assert "250-AUTH PLAIN LOGIN" in await client.ask("EHLO relay"), "already before TLS"
        await client.start_tls()
        assert await client.ask(plain(simulator.ses_user, "wrong")) == "535 Authentication Credentials Invalid"
        assert await client.ask(plain(simulator.ses_user, simulator.ses_password)) == "235 Authentication successful."


@pytest.mark.parametrize(
    ("name", "refusal"),
    [("microsoft365", "550 5.7.60"), ("gmail", "553-5.1.7"), ("ses", "501 Invalid MAIL FROM address provided")],
)
async def test_the_null_reverse_path(simulator: Simulator, name: str, refusal: str) -> None:
    async with RawClient(simulator, getattr(simulator, name)) as client:
        await client.log_in(simulator)
        assert (await client.ask("MAIL FROM:<>")).startswith(refusal)
    async with Simulator(null_reverse_path="accept") as kind, RawClient(kind, getattr(kind, name)) as client:
        await client.log_in(kind)
        assert (await client.ask("MAIL FROM:<>")).startswith("250")


@pytest.mark.parametrize(
    ("name", "author", "reverse_path", "reply"),
    [
        ("microsoft365", "no-reply@clinic.test", "no-reply@clinic.test", "250"),
        ("microsoft365", "No-Reply@Clinic.test", "no-reply@clinic.test", "250"),
        ("microsoft365", "lab@clinic.test", "no-reply@clinic.test", "250"),
        ("microsoft365", "lab@clinic.test", "lab@clinic.test", "250"),
        ("microsoft365", "boss@clinic.test", "no-reply@clinic.test", "554 5.2.0 STOREDRV.Submission.Exception:SendAs"),
        ("microsoft365", "no-reply@clinic.test", "boss@clinic.test", "554 5.2.0 STOREDRV.Submission.Exception:SendAs"),
        ("gmail", "boss@clinic.test", "boss@clinic.test", "250"),
        ("ses", "boss@clinic.test", "any@clinic.test", "250"),
        ("ses", "boss@far.test", "any@clinic.test", "554 Message rejected: Email address is not verified."),
        ("ses", "boss@clinic.test", "any@far.test", "554 Message rejected: Email address is not verified."),
    ],
)
async def test_who_may_send_as_whom(
    simulator: Simulator, name: str, author: str, reverse_path: str, reply: str
) -> None:
    async with RawClient(simulator, getattr(simulator, name)) as client:
        await client.log_in(simulator)
        assert (await client.transact(message(author), sender=reverse_path)).startswith(reply)
        assert (await client.ask("NOOP")).startswith("250")
    assert simulator.received.total == (reply == "250")


async def test_the_fourth_connection_of_a_mailbox(simulator: Simulator) -> None:
    clients = [RawClient(simulator, simulator.microsoft365) for _ in range(4)]
    for client in clients:
        await client.__aenter__()
        await client.log_in(simulator)
    for client in clients[:3]:
        assert (await client.transact(message())).startswith("250")
    assert (await clients[3].transact(message())).startswith("432 4.3.2 Concurrent connections limit exceeded.")
    assert (await clients[0].ask("QUIT")).startswith("221")
    assert await clients[0].reply() == ""
    assert (await clients[3].transact(message())).startswith("250")
    for client in clients:
        await client.__aexit__()
    assert simulator.most_connections == 4
    assert len(simulator.violations) == 1


async def test_thirty_messages_a_minute(simulator: Simulator) -> None:
    async with RawClient(simulator, simulator.microsoft365) as client:
        await client.log_in(simulator)
        replies = [(await client.transact(message()))[:3] for _ in range(31)]
        assert replies == ["250"] * 30 + ["421"]
        assert await client.reply() == ""


async def test_the_thirty_first_message_waits_where_asked_so() -> None:
    async with Simulator(messages_per_minute=1) as simulator, RawClient(simulator, simulator.microsoft365) as client:
        await client.log_in(simulator)
        assert (await client.transact(message())).startswith("250")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await client.transact(message())
        assert [one.what for one in simulator.violations] == ["more messages than a login may send"]


@pytest.mark.parametrize(
    ("name", "limit", "refusal"),
    [
        ("microsoft365", {"recipients_per_day": 3}, "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceeded"),
        ("ses", {"ses_recipients_per_day": 3}, "454 Throttling failure: Daily message quota exceeded."),
        ("ses", {"ses_messages_per_second": 1}, "454 Throttling failure: Maximum sending rate exceeded."),
        ("gmail", {"gmail_messages_per_day": 1}, "550-5.4.5 Daily user sending limit exceeded."),
    ],
)
async def test_a_day_s_limit(name: str, limit: dict[str, Any], refusal: str) -> None:
    async with Simulator(**limit) as simulator, RawClient(simulator, getattr(simulator, name)) as client:
        await client.log_in(simulator)
        assert (await client.transact(message(), "a@far.test", "b@far.test")).startswith("250")
        assert (await client.transact(message(), "a@far.test", "b@far.test")).startswith(refusal)


async def test_a_session_does_not_last_for_ever() -> None:
    async with Simulator(session_limit=0.3) as simulator, RawClient(simulator, simulator.microsoft365) as client:
        await client.ask("EHLO relay")
        assert (await client.reply()).startswith("421 4.4.1 Connection timed out. Total session duration: ")
        assert await client.reply() == ""


async def test_an_idle_client_is_told() -> None:
    async with Simulator(idle_timeout=0.2) as simulator, RawClient(simulator, simulator.ses) as client:
        assert await client.reply() == "451 Timeout waiting for data from client."
        assert await client.reply() == ""


async def test_what_is_remembered_of_a_message(simulator: Simulator) -> None:
    async with RawClient(simulator, simulator.microsoft365) as client:
        await client.log_in(simulator)
        await client.ask("MAIL FROM:<no-reply@clinic.test> RET=HDRS ENVID=QQ+2B1 SIZE=100")
        await client.ask("RCPT TO:<a@far.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;A@far.test")
        await client.ask("RCPT TO:<b@far.test>")
        await client.ask("DATA")
        client.send(message() + b".\r\n")
        final = await client.reply()
    [received] = await simulator.wait_for(1)
    assert f"<{received.id}@" in final
    assert received.provider == "microsoft365"
    assert (received.login, received.helo) == (simulator.mailbox, "relay.clinic.test")
    assert received.mail_parameters == {"RET": "HDRS", "ENVID": "QQ+2B1", "SIZE": "100"}
    assert received.forward_paths == ("a@far.test", "b@far.test")
    assert received.recipients[0].parameters == {"NOTIFY": "SUCCESS,FAILURE", "ORCPT": "rfc822;A@far.test"}
    with pytest.raises(TimeoutError, match="1 of 2 messages"):
        await simulator.wait_for(2, timeout=0.01)


@pytest.mark.parametrize("name", ["gmail", "ses"])
@pytest.mark.parametrize("implicit", [True, False])
async def test_smtplib(simulator: Simulator, name: str, implicit: bool) -> None:
    server = getattr(simulator, name)
    credentials = {
        "gmail": (simulator.gmail_user, simulator.gmail_app_password),
        "ses": (simulator.ses_user, simulator.ses_password),
    }[name]
    context = ssl.create_default_context(cafile=str(simulator.ca_file))

    def send() -> None:
        if implicit:
            client: smtplib.SMTP = smtplib.SMTP_SSL("localhost", server.implicit_port, context=context)
        else:
            client = smtplib.SMTP("localhost", server.port)
            client.starttls(context=context)
        with client:
            client.login(*credentials)
            client.sendmail("no-reply@clinic.test", ["a@far.test"], message(body=b".dot\r\n"))

    await asyncio.to_thread(send)
    [received] = await simulator.wait_for(1)
    assert received.content == message(body=b".dot\r\n")
    assert simulator.violations == []


async def test_aiosmtplib_by_xoauth2(simulator: Simulator) -> None:
    async def token() -> str:
        return simulator.tokens.for_app("https://outlook.office365.com")

    context = ssl.create_default_context(cafile=str(simulator.ca_file))
    client = aiosmtplib.SMTP(
        hostname="localhost",
        port=simulator.microsoft365.port,
        start_tls=True,
        tls_context=context,
        username=simulator.mailbox,
        oauth_token_generator=token,
    )
    async with client:
        for _ in range(3):
            await client.sendmail(simulator.mailbox, ["a@far.test", "b@far.test"], message())
    assert simulator.received.recipients_total == 6
    assert simulator.violations == []
