"""What a proxy may answer, and how that ends; scripted, for what no proxy does on demand."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest

from relay.config.problems import ConfigError
from relay.config.proxy_url import ProxyUrl
from relay.upstream.contract import Cause, Conversation, Phase
from relay.upstream.proxy import Proxy
from relay.upstream.tunnel import HEAD_LIMIT
from tests.rig.ports import free_port
from tests.upstream.offering import MESSAGE, Cleared, envelope, smarthost
from tests.upstream.raw import Raw, Talk, raw_server, until_data

PASSWORD = "geheim-9"
HOST = "smtp.nowhere.test"
"""Known to no resolver: a lookup here would end in another way."""


def proxy_at(scheme: str, port: int, password: Callable[[], str] | None = lambda: PASSWORD) -> Proxy:
    url = ProxyUrl("http" if scheme == "http" else "socks5", "127.0.0.1", port)
    return Proxy(url, "relay" if password else "", password)


async def sent_by(proxy: Proxy, timeout: float = 5.0) -> Conversation:
    async with smarthost(Raw(25), host=HOST, timeout=timeout, proxy=proxy) as upstream:
        return await upstream.send(envelope(), MESSAGE, Cleared())


def http_proxy(*pieces: bytes, asked: list[bytes] | None = None) -> Talk:
    """Answers CONNECT with these pieces, then closes."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if asked is not None:
            asked.append(head)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.02)

    return talk


def socks_proxy(*replies: bytes) -> Talk:
    """Answers each of what a SOCKS client says with the next reply, then closes."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for reply in replies:
            await reader.read(1000)
            writer.write(reply)
            await writer.drain()

    return talk


def _assert_ended(said: Conversation, cause: Cause, text: str, port: int, scheme: str) -> None:
    assert (said.phase, said.cause) == (Phase.CONNECT, cause), said
    assert said.reply is not None
    assert said.reply.transient
    assert f"{scheme}://127.0.0.1:{port}" in str(said.reply)
    assert str(said.reply).endswith(text)
    assert PASSWORD not in repr(said)


@pytest.mark.parametrize(
    ("answer", "cause", "text"),
    [
        (
            b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=x\r\n\r\n<html>",
            Cause.PROXY_LOGIN_REFUSED,
            f"to {HOST} port 25: 407 Proxy Authentication Required",
        ),
        (
            b"HTTP/1.1 407 No\r\nProxy-Authenticate: NEGOTIATE\r\nproxy-authenticate: NTLM\r\n\r\n",
            Cause.PROXY_LOGIN_REFUSED,
            "407 Proxy Authentication Required, which wants Negotiate or NTLM",
        ),
        (b"HTTP/1.1 403 Filtered by geheim-9\r\n\r\n", Cause.PROXY_FORBIDS, f"to {HOST} port 25: 403 Forbidden"),
        (b"HTTP/1.1 405 No\r\n\r\n", Cause.PROXY_FORBIDS, "405 Method Not Allowed"),
        (b"HTTP/1.0 500 Unable to connect\r\n\r\n", Cause.PROXY_REACHES_NOTHING, "500 Internal Server Error"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", Cause.PROXY_REACHES_NOTHING, "502 Bad Gateway"),
        (b"HTTP/1.1 504 x\r\n\r\n", Cause.PROXY_REACHES_NOTHING, "504 Gateway Timeout"),
        (b"HTTP/1.1 599 x\r\n\r\n", Cause.PROXY_REACHES_NOTHING, "port 25: 599"),
        (b"HTTP/1.1 302 Found\r\nLocation: https://login.portal.test\r\n\r\n", Cause.PROXY_GARBLED, "302 Found"),
        (b"HTTP/1.1 407", Cause.PROXY_LOGIN_REFUSED, "407 Proxy Authentication Required"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", Cause.PROXY_GARBLED, "is no such proxy"),
        (b"\xff\xfe\x00\r\n\r\n", Cause.PROXY_GARBLED, "is no such proxy"),
        (b"", Cause.PROXY_GARBLED, "is no such proxy: it closed the connection"),
        (b"HTTP/1.1 200 Ok\r\n" + b"X: y\r\n" * HEAD_LIMIT, Cause.PROXY_GARBLED, "it closed the connection"),
    ],
)
async def test_an_http_proxy_that_does_not_let_us_through(answer: bytes, cause: Cause, text: str) -> None:
    async with raw_server(http_proxy(answer)) as raw:
        _assert_ended(await sent_by(proxy_at("http", raw.port)), cause, text, raw.port, "http")
        assert raw.connections == 1


LOGIN_TAKEN = (b"\x05\x02", b"\x01\x00")


@pytest.mark.parametrize(
    ("replies", "cause", "text"),
    [
        ((b"\x05\xff",), Cause.PROXY_LOGIN_REFUSED, "refuses our login: SOCKS login"),
        ((b"\x05\x02", b"\x01\x01"), Cause.PROXY_LOGIN_REFUSED, "refuses our login: SOCKS login"),
        ((*LOGIN_TAKEN, b"\x05\x01\x00"), Cause.PROXY_REACHES_NOTHING, f"to {HOST} port 25: SOCKS 1, general failure"),
        ((*LOGIN_TAKEN, b"\x05\x02\x00"), Cause.PROXY_FORBIDS, "SOCKS 2, not allowed"),
        ((*LOGIN_TAKEN, b"\x05\x03\x00"), Cause.PROXY_REACHES_NOTHING, "SOCKS 3, network unreachable"),
        ((*LOGIN_TAKEN, b"\x05\x04\x00"), Cause.PROXY_REACHES_NOTHING, "SOCKS 4, host unreachable"),
        ((*LOGIN_TAKEN, b"\x05\x05\x00"), Cause.PROXY_REACHES_NOTHING, "SOCKS 5, connection refused"),
        ((*LOGIN_TAKEN, b"\x05\x06\x00"), Cause.PROXY_REACHES_NOTHING, "SOCKS 6, time to live expired"),
        ((*LOGIN_TAKEN, b"\x05\x07\x00"), Cause.PROXY_FORBIDS, "SOCKS 7, command not supported"),
        ((*LOGIN_TAKEN, b"\x05\x08\x00"), Cause.PROXY_FORBIDS, "SOCKS 8, address type not supported"),
        ((*LOGIN_TAKEN, b"\x05\x63\x00"), Cause.PROXY_GARBLED, "is no such proxy"),
        ((*LOGIN_TAKEN, b"\x05\x00\x00\x09"), Cause.PROXY_GARBLED, "is no such proxy"),
        ((*LOGIN_TAKEN, b"\x05\x00"), Cause.PROXY_GARBLED, "it closed the connection"),
        ((b"\x05\x01",), Cause.PROXY_GARBLED, "is no such proxy"),
        ((b"HTTP/1.1 400 Bad Request\r\n\r\n",), Cause.PROXY_GARBLED, "is no such proxy"),
        ((), Cause.PROXY_GARBLED, "it closed the connection"),
    ],
)
async def test_a_socks_proxy_that_does_not_let_us_through(replies: tuple[bytes, ...], cause: Cause, text: str) -> None:
    async with raw_server(socks_proxy(*replies)) as raw:
        _assert_ended(await sent_by(proxy_at("socks5", raw.port)), cause, text, raw.port, "socks5")
        assert raw.connections == 1


@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_a_proxy_that_says_nothing(scheme: str) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        await asyncio.sleep(60)

    async with raw_server(silent) as raw:
        said = await sent_by(proxy_at(scheme, raw.port), timeout=0.2)
        _assert_ended(said, Cause.PROXY_TIMEOUT, f"in time: to {HOST} port 25", raw.port, scheme)


async def test_a_mail_server_in_place_of_a_proxy_is_not_waited_for() -> None:
    async def greeting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.isp.test ESMTP\r\n")
        await asyncio.sleep(60)

    async with raw_server(greeting) as raw:
        said = await sent_by(proxy_at("http", raw.port), timeout=30)
        _assert_ended(said, Cause.PROXY_GARBLED, "is no such proxy", raw.port, "http")


async def test_a_proxy_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    said = await sent_by(proxy_at("http", port))
    _assert_ended(said, Cause.PROXY_UNREACHABLE, "cannot be reached: connection refused", port, "http")

    async def unknown(self: object, host: str, port: int, **_: object) -> object:
        assert host == "proxy.nowhere.test"
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(type(asyncio.get_running_loop()), "getaddrinfo", unknown, raising=False)
    said = await sent_by(Proxy(ProxyUrl("http", "proxy.nowhere.test", 3128)))
    assert (said.phase, said.cause) == (Phase.CONNECT, Cause.PROXY_NOT_FOUND)
    assert str(said.reply) == "451 4.4.3 The name of the proxy http://proxy.nowhere.test:3128 was not found"


def _through(*pieces: bytes) -> Talk:
    """A proxy that is the mail server, too: these pieces, then all of SMTP but its greeting, up to DATA."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.02)
        await until_data(reader, writer, final="554 5.6.0 no", greeting="")

    return talk


@pytest.mark.parametrize(
    "pieces",
    [
        (b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n220 raw.test\r\n",),
        (b"HTTP/1.1 200 Connection esta", b"blished\r\nVia: 1.1 x\r", b"\n\r", b"\n220 raw", b".test\r\n"),
        (b"HTTP/1.0 200\r\n\r\n", b"220 raw.test\r\n"),
    ],
)
async def test_the_greeting_follows_the_proxys_answer_in_whatever_pieces(pieces: tuple[bytes, ...]) -> None:
    async with raw_server(_through(*pieces)) as raw:
        said = await sent_by(proxy_at("http", raw.port))
    assert (said.phase, str(said.reply)) == (Phase.DATA, "554 5.6.0 no")


@pytest.mark.parametrize(
    ("password", "encoded"),
    [
        (None, None),
        ("geheim-9", b"cmVsYXk6Z2VoZWltLTk="),
        ("pässwört€", b"cmVsYXk6cMOkc3N3w7ZydOKCrA=="),
        ("line\nend", b"cmVsYXk6bGluZQplbmQ="),
    ],
)
async def test_what_an_http_proxy_is_told(password: str | None, encoded: bytes | None) -> None:
    asked: list[bytes] = []
    async with raw_server(http_proxy(b"HTTP/1.1 403 No\r\n\r\n", asked=asked)) as raw:
        await sent_by(proxy_at("http", raw.port, (lambda: password) if password is not None else None))
    [head] = asked
    assert head.startswith(b"CONNECT smtp.nowhere.test:25 HTTP/1.1\r\nHost: smtp.nowhere.test:25\r\n")
    lines = [line for line in head.split(b"\r\n") if line.startswith(b"Proxy-Authorization")]
    assert lines == ([b"Proxy-Authorization: Basic " + encoded] if encoded else [])


def _missing() -> str:
    raise ConfigError("the environment variable PROXY_PASSWORD is not set; set it")


@pytest.mark.parametrize(
    ("scheme", "password", "text"),
    [
        ("http", _missing, "PROXY_PASSWORD is not set"),
        ("socks5", lambda: "pässwört", "all of them ASCII"),
        ("socks5", lambda: "x" * 256, "at most 255 letters"),
    ],
)
async def test_a_password_that_can_not_be_had_or_said(scheme: str, password: Callable[[], str], text: str) -> None:
    async with raw_server(http_proxy()) as raw:
        said = await sent_by(proxy_at(scheme, raw.port, password))
        assert raw.connections == 0
    assert (said.phase, said.cause) == (Phase.SECRET, Cause.PROXY_SECRET_UNAVAILABLE)
    assert text in str(said.reply)
    assert "wört" not in str(said.reply)
