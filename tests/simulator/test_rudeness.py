"""Random conversations: whatever is said, the simulator answers, and serves the next client."""

import asyncio
import random
import re

import pytest

from relay.simulator.simulator import Simulator
from tests.simulator.raw_client import RawClient, message

LINES = [
    b"EHLO relay\r\n",
    b"HELO relay\r\n",
    b"STARTTLS\r\n",
    b"AUTH LOGIN\r\n",
    b"AUTH XOAUTH2 =\r\n",
    b"AUTH XOAUTH2\r\n",
    b"*\r\n",
    b"MAIL FROM:<no-reply@clinic.test>\r\n",
    b"MAIL FROM:<no-reply@clinic.test> SIZE=99999999999 BODY=8BITMIME\r\n",
    b"RCPT TO:<a@far.test>\r\n",
    b"RCPT TO:<>\r\n",
    b"DATA\r\n",
    b"BDAT 5\r\nabcde",
    b"BDAT 0 LAST\r\n",
    b"BDAT 99999999999999999999999\r\n",
    b".\r\n",
    message() + b".\r\n",
    b"RSET\r\n",
    b"NOOP\r\n",
    b"VRFY a\r\n",
    b"HELP\r\n",
    b"QUIT\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b"\xff\xfe\0\r\n",
    b"{0} {host} %s\r\n",
    b"x" * 13_000,
]
REPLY = re.compile(r"[2-5]\d\d[ -]")


@pytest.mark.parametrize("seed", range(40))
async def test_a_random_conversation(simulator: Simulator, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    server = chance.choice([simulator.microsoft365, simulator.gmail, simulator.ses])
    async with RawClient(simulator, server) as client:
        if chance.random() < 0.7:
            await client.log_in(simulator)
        for _ in range(20):
            client.send(chance.choice(LINES))
            try:
                async with asyncio.timeout(0.02):
                    reply = await client.reply()
            except TimeoutError:
                continue
            if not reply:
                break
            assert REPLY.match(reply), reply
    assert [one for one in simulator.violations if "simulator failed" in one.what] == []
    async with RawClient(simulator, server) as client:
        assert client.greeting.startswith("220")
