"""Nothing of a connection outlives it: what waited for a garbage collection, TLS buffers and all, would be most of
the memory of a relay whose clients connect anew for each message."""

import asyncio
import gc
import socket
import ssl
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from relay.inbound.heading import Heading
from relay.inbound.login import Login
from relay.inbound.protocol import Protocol
from relay.inbound.reception import Reception
from relay.inbound.session import Session
from relay.inbound.transaction import Transaction
from tests.dialogue.entrance import client_context, entrance
from tests.dialogue.loops import on_both_loops
from tests.dialogue.visitor import Visitor
from tests.rig.collection import no_collection

_OF_A_CONNECTION = (Protocol, Session, Login, Transaction, Reception, Heading)
_CONTENT = "Subject: x\r\n\r\nbody\r\n."
_PROXIED = {"address": "127.0.0.1:0", "proxy_protocol": True, "proxy_from": ["127.0.0.1"]}
DOORS = {
    "door": {"address": "127.0.0.1:0", "require_tls": False},
    "tls": {"address": "127.0.0.1:0", "security": "implicit"},
}


def left() -> list[str]:
    """What is alive of connections, on our side of them."""
    return sorted(
        type(one).__name__
        for one in gc.get_objects()
        if isinstance(one, _OF_A_CONNECTION) or (isinstance(one, ssl.SSLObject) and one.server_side)
    )


async def quits(visitor: Visitor) -> None:
    await visitor.begin()
    await visitor.expect(_CONTENT, "250")
    await visitor.expect("QUIT", "221")
    assert await visitor.ended()


async def quits_over_tls(visitor: Visitor) -> None:
    await visitor.hello()
    await visitor.expect("STARTTLS", "220")
    await visitor.writer.start_tls(client_context())
    await visitor.expect("EHLO pc", "250")
    assert (await visitor.log_in()).startswith("235")
    await visitor.envelope()
    await visitor.expect("DATA", "354")
    await visitor.expect(_CONTENT, "250")
    await visitor.expect("QUIT", "221")
    assert await visitor.ended()


async def hangs_up_in_content(visitor: Visitor) -> None:
    await visitor.begin()
    visitor.say("Subject: x", "", "body")
    visitor.hang_up()


async def hangs_up_over_tls(visitor: Visitor) -> None:
    await visitor.hello()
    await visitor.expect("STARTTLS", "220")
    await visitor.writer.start_tls(client_context())
    await visitor.expect("NOOP", "250")
    visitor.hang_up()


async def hangs_up_in_a_login(visitor: Visitor) -> None:
    await visitor.hello()
    await visitor.expect("AUTH LOGIN", "334")
    visitor.hang_up()


async def is_refused(visitor: Visitor) -> None:
    await visitor.begin()
    await visitor.expect("\r\n".join(["Received: by me"] * 40 + ["", "body", "."]), "554")
    await visitor.expect("RSET", "250")
    visitor.hang_up()


async def speaks_no_tls(visitor: Visitor) -> None:
    await visitor.hello()
    await visitor.expect("STARTTLS", "220")
    visitor.say("EHLO pc")
    await visitor.ended()


async def hangs_up_before_a_handshake(visitor: Visitor) -> None:
    await visitor.hello()
    await visitor.expect("STARTTLS", "220")
    visitor.hang_up()


async def asks_for_tls_and_is_gone(visitor: Visitor) -> None:
    visitor.say("EHLO pc", "STARTTLS")
    visitor.hang_up()


async def nothing_is_left(*, collecting: bool = False) -> None:
    for _ in range(500):
        if collecting:
            gc.collect()
        if not left():
            return
        await asyncio.sleep(0.02)
    assert not left()


@pytest.mark.parametrize("visit", [
    quits, quits_over_tls, hangs_up_in_content, hangs_up_over_tls, hangs_up_in_a_login, is_refused, speaks_no_tls,
    hangs_up_before_a_handshake, asks_for_tls_and_is_gone,
])  # fmt: skip
@on_both_loops
async def test_nothing_waits_for_a_collection(tmp_path: Path, visit: Callable[[Visitor], Awaitable[None]]) -> None:
    async with entrance(tmp_path, {"listener": DOORS}) as at:
        with no_collection():
            visitor = await Visitor.connect(at.port("door"))
            assert "Session" in left()
            await visit(visitor)
            await nothing_is_left()


@on_both_loops
async def test_nothing_of_implicit_tls_waits_for_a_collection(tmp_path: Path) -> None:
    async with entrance(tmp_path, {"listener": DOORS}) as at:
        with no_collection():
            await quits(await Visitor.connect(at.port("tls"), client_context()))
            await nothing_is_left()
            assert await (await Visitor.connect(at.port("tls"), first=b"EHLO pc\r\n")).ended()
            await nothing_is_left()


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("door", ["tls", "proxied"])
@on_both_loops
async def test_closing_while_a_connection_comes_in_leaves_nothing(tmp_path: Path, door: str, turns: int) -> None:
    with warnings.catch_warnings(record=True) as unclosed:
        warnings.simplefilter("always")
        async with entrance(tmp_path, {"listener": DOORS | {"proxied": _PROXIED}}) as at:
            with socket.create_connection(("127.0.0.1", at.port(door))) as client:
                client.sendall(b"PROXY TCP4 192.0.2.7 192.0.2.1 40000 25\r\n")
                for _ in range(turns):
                    await asyncio.sleep(0)
                at.listeners.stop_accepting()
            await nothing_is_left(collecting=True)
    assert [str(one.message) for one in unclosed] == []
