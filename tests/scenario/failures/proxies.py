"""What goes wrong at the proxy on the way to a server."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from tests.rig.odd import OddServer, Talk
from tests.rig.toml import Value
from tests.scenario.failures.scene import Scene

Play = Callable[[Scene], dict[str, Value]]


def _behind(proxy: str, scene: Scene, variable: str = "PROXY_PASSWORD") -> dict[str, Value]:
    scene.environ |= {"PROXY_PASSWORD": "word", "UNSAYABLE_PASSWORD": "pässwört"}
    login: dict[str, Value] = {"proxy_username": "relay", "proxy_password": {"env": variable}}
    # A name that nobody knows: whoever looks it up here finds a failure of another kind.
    return {"type": "smtp", "host": "mail.clinic.invalid", "timeout": "1s", "proxy": proxy, **login}


def _saying(scheme: str, *answers: bytes) -> Play:
    """A proxy that gives these answers, one to each of our lines or messages."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await reader.read(1000)
            writer.write(answer)
        while await reader.read(1000):
            pass

    return _of(scheme, talk)


def _of(scheme: str, talk: Talk) -> Play:
    def play(scene: Scene) -> dict[str, Value]:
        server = scene.exits.enter_context(OddServer(*[talk] * 20))
        return _behind(f"{scheme}://127.0.0.1:{server.port}", scene)

    return play


def _down(scene: Scene) -> dict[str, Value]:
    bound = scene.exits.enter_context(socket.socket())
    bound.bind(("127.0.0.1", 0))
    return _behind(f"http://127.0.0.1:{bound.getsockname()[1]}", scene)


def _password_that_can_not_be_said(scene: Scene) -> dict[str, Value]:
    return _behind("socks5://127.0.0.1:9", scene, "UNSAYABLE_PASSWORD")


PLAYS: dict[str, Play] = {
    "proxy_login_refused": _saying("http", b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"),
    "proxy_wants_ntlm": _saying("http", b"HTTP/1.1 407 No\r\nProxy-Authenticate: NTLM\r\n\r\n"),
    "socks_login_refused": _saying("socks5", b"\x05\x02", b"\x01\x01"),
    "proxy_password_unsayable": _password_that_can_not_be_said,
    "proxy_forbids": _saying("http", b"HTTP/1.1 403 Filtered\r\n\r\n"),
    "socks_forbids": _saying("socks5", b"\x05\x00", b"\x05\x02\x00\x01\x00\x00\x00\x00\x00\x00"),
    "proxy_reaches_nothing": _saying("http", b"HTTP/1.1 503 Service Unavailable\r\n\r\n"),
    "socks_reaches_nothing": _saying("socks5", b"\x05\x00", b"\x05\x04\x00\x01\x00\x00\x00\x00\x00\x00"),
    "proxy_down": _down,
    "proxy_of_no_name": lambda scene: _behind("http://proxy.clinic.invalid:3128", scene),
    "proxy_silent": _saying("http"),
    "proxy_is_none": _saying("http", b"220 mail.isp.test ESMTP\r\n\r\n"),
}
