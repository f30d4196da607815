"""Behind a load balancer: who is meant, in front of each kind of TLS."""

import asyncio
import struct
from pathlib import Path

import pytest

from tests.dialogue.entrance import client_context, entrance
from tests.dialogue.loops import on_both_loops
from tests.dialogue.visitor import Visitor

V1 = b"PROXY TCP4 10.9.8.7 10.0.0.1 51234 25\r\n"
V2 = (
    b"\r\n\r\n\x00\r\nQUIT\n\x21\x11"
    + struct.pack(">H", 12 + 7)
    + bytes([10, 9, 8, 7, 10, 0, 0, 1, 1, 2, 0, 25])
    + b"\x04\0\x04abcd"
)
V2_MAPPED = (
    b"\r\n\r\n\x00\r\nQUIT\n\x21\x21" + struct.pack(">H", 36) + bytes(10) + b"\xff\xff\x0a\x09\x08\x07" + bytes(20)
)
CLIENTS = {"lab": {"networks": ["10.9.8.7"], "upstream": "isp"}}


def listener(**keys: object) -> dict[str, object]:
    return {"door": {"address": "127.0.0.1:0", "proxy_protocol": True, "proxy_from": ["127.0.0.0/8"], **keys}}


@pytest.mark.parametrize("header", [V1, V2, V2_MAPPED], ids=["v1", "v2", "v2-mapped"])
@pytest.mark.parametrize("security", ["none", "implicit", "starttls"])
@on_both_loops
async def test_the_client_is_who_the_proxy_says(tmp_path: Path, security: str, header: bytes) -> None:
    async with entrance(tmp_path, {"listener": listener(security=security), "client": CLIENTS}) as at:
        context = client_context() if security == "implicit" else None
        visitor = await Visitor.connect(at.port(), context, header)
        await visitor.hello()
        if security == "starttls":
            await visitor.expect("STARTTLS", "220")
            await visitor.writer.start_tls(client_context())
            await visitor.expect("EHLO pc", "250")
        await visitor.envelope()
        await visitor.expect("DATA", "354")
        await visitor.expect("Subject: x\r\n\r\nbody\r\n.", "250")
        ((entry, content),) = await at.messages()
        assert (entry.message.origin.peer, entry.message.origin.client) == ("10.9.8.7", "lab")
        assert b"([10.9.8.7])" in content


@on_both_loops
async def test_header_and_client_hello_in_one_segment(tmp_path: Path) -> None:
    async with entrance(tmp_path, {"listener": listener(security="implicit"), "client": CLIENTS}) as at:
        import ssl

        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = client_context().wrap_bio(incoming, outgoing)
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        visitor = await Visitor.connect(at.port(), None, V2 + outgoing.read())
        while True:
            incoming.write(await asyncio.wait_for(visitor.reader.read(65536), 10))
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                visitor.writer.write(outgoing.read())
        visitor.writer.write(outgoing.read())
        greeting = b""
        while not greeting:
            try:
                greeting = tls.read()
            except ssl.SSLWantReadError:
                incoming.write(await asyncio.wait_for(visitor.reader.read(65536), 10))
        assert greeting.startswith(b"220 ")


@pytest.mark.parametrize(
    "header", [b"PROXY UNKNOWN\r\n", b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\0\0"], ids=["unknown", "local"]
)
@on_both_loops
async def test_the_proxy_itself(tmp_path: Path, header: bytes) -> None:
    clients = {"proxy": {"networks": ["127.0.0.1"], "upstream": "isp"}}
    async with entrance(tmp_path, {"listener": listener(security="none"), "client": clients}) as at:
        visitor = await Visitor.connect(at.port(), None, header)
        await visitor.hello()
        await visitor.envelope()


@pytest.mark.parametrize(
    "header",
    [
        b"EHLO pc\r\nMAIL FROM:<a@b.test>\r\n",
        b"PROXY TCP4 1.2.3.4\r\n",
        b"PROXY " + b"x" * 200,
        V2[:12] + b"\x31\x11\0\0",
    ],
)
@on_both_loops
async def test_what_is_no_header_is_closed_without_a_word(tmp_path: Path, header: bytes) -> None:
    async with entrance(tmp_path, {"listener": listener(security="none"), "client": CLIENTS}) as at:
        visitor = await Visitor.connect(at.port(), None, header)
        assert await visitor.ended()


@on_both_loops
async def test_others_may_not_say_where_they_come_from(tmp_path: Path) -> None:
    keys = listener(security="none", proxy_from=["10.0.0.0/16"])
    async with entrance(tmp_path, {"listener": keys, "client": CLIENTS}) as at:
        visitor = await Visitor.connect(at.port(), None, V1)
        assert await visitor.ended()


@on_both_loops
async def test_silence_instead_of_a_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.inbound.door._HEADER_TIMEOUT", 0.2)
    async with entrance(tmp_path, {"listener": listener(security="none"), "client": CLIENTS}) as at:
        silent = await Visitor.connect(at.port(), None, b"PROXY")
        assert await silent.ended()
        visitor = await Visitor.connect(at.port(), None, V1)
        await visitor.hello()
