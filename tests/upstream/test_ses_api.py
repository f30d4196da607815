"""Amazon SES by its API: how far a request came, the pace, and what is told of it; with real boto3."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from relay.envelope import WholeContent
from relay.simulator.simulator import Simulator
from relay.upstream.aws_client import AccessKey, AwsClient, Body, Endpoint
from relay.upstream.contract import Cause, Phase
from relay.upstream.ses import SesApi
from tests.upstream.offering import Cleared, envelope

MESSAGE = WholeContent(b"From: <no-reply@clinic.test>\r\nTo: <shown@far.test>\r\nSubject: x\r\n\r\nHello\r\n")


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator() as running:
        yield running


@pytest.fixture
async def ses(simulator: Simulator) -> AsyncIterator[Callable[..., SesApi]]:
    every: list[SesApi] = []

    def made(url: str = "", largest: int = 1 << 20, *, trusted: bool = True, verify: str = "peer") -> SesApi:
        options = simulator.options
        ca_file = simulator.ca_file if trusted else None
        place = Endpoint("sesv2", options.ses_region, url or simulator.aws_url, ca_file, verify, 5.0)
        aws = AwsClient(place, lambda: AccessKey(options.aws_access_key, options.aws_secret_key))
        every.append(SesApi("ses", "127.0.0.1", aws, largest=largest, long_lines=False))
        return every[-1]

    yield made
    for upstream in every:
        await upstream.aclose()


async def test_a_message_and_the_account(simulator: Simulator, ses: Callable[..., SesApi]) -> None:
    upstream = ses()
    probed = await upstream.probe()
    assert (probed.phase, probed.reply and probed.reply.text) == (
        Phase.DONE,
        "0 of 50000 recipients in 24 hours, 14 a second",
    )
    said = await upstream.send(envelope("a@far.test", "b@far.test"), MESSAGE, Cleared())
    assert said.phase is Phase.DONE
    assert [reply.code for reply in said.recipients if reply] == [250, 250]
    assert simulator.messages[0].forward_paths == ("a@far.test", "b@far.test")
    assert upstream.connections == 0
    assert "SIMULATED" not in repr(upstream)


async def test_the_accounts_rate_is_kept(simulator: Simulator, ses: Callable[..., SesApi]) -> None:
    simulator.aws.ses.rate = 10.0
    upstream = ses()
    await upstream.probe()
    await asyncio.gather(*(upstream.send(envelope(), MESSAGE, Cleared()) for _ in range(6)))
    at = sorted(message.received_at for message in simulator.messages)
    assert len(at) == 6
    assert at[-1] - at[0] >= 400, "six messages at ten a second take half a second"


async def test_a_connection_that_was_closed_meanwhile_costs_nothing(
    simulator: Simulator, ses: Callable[..., SesApi]
) -> None:
    upstream = ses()
    for _ in range(3):
        assert (await upstream.send(envelope(), MESSAGE, Cleared())).phase is Phase.DONE
        await simulator.aws.server.close()
        simulator.aws.server.reopen()
    assert simulator.aws.ses.requests["SendEmail"] == 3


async def test_a_lost_lease_is_asked_before_anything_is_sent(simulator: Simulator, ses: Callable[..., SesApi]) -> None:
    said = await ses().send(envelope(), MESSAGE, Cleared(lease=False))
    assert (said.phase, said.cause) == (Phase.CONTENT, Cause.LEASE_LOST)
    assert simulator.aws.ses.requests["SendEmail"] == 0


@pytest.mark.parametrize(
    ("recipients", "content", "cause"),
    [
        (("a@far.test",), WholeContent(b"x" * 101), Cause.TOO_LARGE),
        (("jörg@far.test",), WholeContent(b"x"), Cause.SMTPUTF8_MISSING),
    ],
)
async def test_what_it_cannot_take_is_not_offered(
    simulator: Simulator, ses: Callable[..., SesApi], recipients: tuple[str, ...], content: WholeContent, cause: Cause
) -> None:
    cleared = Cleared()
    said = await ses(largest=100).send(envelope(*recipients), content, cleared)
    assert (said.phase, said.cause, cleared.mails) == (Phase.MAIL, cause, 0)


async def test_a_null_reverse_path(simulator: Simulator, ses: Callable[..., SesApi]) -> None:
    assert (await ses().send(envelope(sender=""), MESSAGE, Cleared())).phase is Phase.DONE
    assert simulator.messages[0].reverse_path == ""


async def test_a_server_that_hangs_up_in_the_midst_took_nothing(
    ses: Callable[..., SesApi], simulator: Simulator, tmp_path: Path
) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(simulator.ca_file.parent / "leaf.pem")
    server = await asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    large = WholeContent(b"From: <no-reply@clinic.test>\r\n\r\n" + b"x" * 70 + b"\r\n" + b"y" * 30_000_000)
    said = await ses(f"https://127.0.0.1:{port}", 40 << 20).send(envelope(), large, Cleared())
    assert (said.phase, said.cause) == (Phase.CONTENT, Cause.DISCONNECTED)
    assert not said.ambiguous
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("https://127.0.0.1:9", Cause.CONNECTION_REFUSED),
        ("https://nowhere.invalid", Cause.NAME_NOT_FOUND),
        ("", Cause.TLS_UNTRUSTED),
    ],
)
async def test_a_service_out_of_reach(ses: Callable[..., SesApi], url: str, cause: Cause) -> None:
    upstream = ses(url, trusted=False)
    for said in (await upstream.probe(), await upstream.send(envelope(), MESSAGE, Cleared())):
        assert (said.phase, said.cause) == (Phase.CONNECT, cause)
    seen = await upstream.look_at_account(["no-reply@clinic.test"])
    assert seen.ended is not None
    assert seen.ended.cause is cause


async def test_a_certificate_that_is_not_looked_at(ses: Callable[..., SesApi]) -> None:
    assert (await ses(trusted=False, verify="none").probe()).phase is Phase.DONE


@pytest.mark.parametrize("identity", ["clinic.test", "no-reply@north.clinic.test"])
async def test_which_senders_are_verified(simulator: Simulator, ses: Callable[..., SesApi], identity: str) -> None:
    simulator.aws.ses.verified = {identity}
    seen = await ses().look_at_account(["no-reply@north.clinic.test", "a@else.test"])
    assert seen.senders == {"no-reply@north.clinic.test": True, "a@else.test": False}
    assert seen.identity == f"access key {simulator.options.aws_access_key} (explicit)"


def test_how_far_a_body_was_read() -> None:
    body = Body(b"12345")
    seen = [body.progress]
    for octets in (3, 2):
        body.read(octets)
        seen.append(body.progress)
    assert seen == [Phase.CONNECT, Phase.CONTENT, Phase.FINAL_DOT]
    assert Body(b"").progress is Phase.CONNECT
