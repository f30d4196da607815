"""Through a proxy to a host: HTTP CONNECT (RFC 9110 §9.3.6) or SOCKS 5 (RFC 1928, RFC 1929).

The host's name is looked up by the proxy, never here.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from relay.upstream.contract import Cause, Phase
from relay.upstream.detached import detached
from relay.upstream.dialling import dialled
from relay.upstream.failures import ConversationEnded, cause_of, words_of
from relay.upstream.proxy import Login, Proxy
from relay.upstream.proxy_answers import refusal_by_http, refusal_by_socks

if TYPE_CHECKING:
    from python_socks import ProxyError
    from python_socks.async_.asyncio import Proxy as Dialogue

HEAD_LIMIT = 16384
"""Octets of an answer to CONNECT."""

_CLOSED = "it closed the connection"
_SAID_NOTHING = frozenset({"Connection closed unexpectedly", "Invalid proxy response"})
"""What the library says of a proxy that closes the connection, by SOCKS and by HTTP."""


async def reached_through(
    proxy: Proxy,
    host: str,
    port: int,
    timeout: float,
    phase: Phase = Phase.CONNECT,
    at_proxy: Callable[[socket.socket], None] | None = None,
) -> socket.socket:
    """Return a socket that leads to the host; `at_proxy` is told as soon as it leads to the proxy.

    `timeout` seconds for the connection, and for the conversation with the proxy. Raises ConversationEnded, in `phase`,
    or in SECRET where there is no password.
    """
    login = await detached("secret", proxy.login) if proxy.password is not None else None
    try:
        made = await dialled(proxy.url.host, proxy.url.port, timeout)
    except (OSError, UnicodeError) as error:
        raise not_dialled(proxy, error, phase) from error
    way = _Head(made) if proxy.url.scheme == "http" else made
    try:
        if at_proxy is not None:
            at_proxy(way)
        name = host if host.isascii() else host.encode("idna").decode("ascii")
        await _dialogue(proxy, login, way).connect(name, port, timeout)
    except BaseException as error:
        way.close()
        end = _end_of(error, proxy, phase, f"to {host} port {port}", bytes(way.head) if isinstance(way, _Head) else b"")
        if end is None:
            raise
        raise end from error
    return way.taken() if isinstance(way, _Head) else way


def not_dialled(proxy: Proxy, error: BaseException, phase: Phase) -> ConversationEnded:
    """Return the end that an exception of the network brings before the proxy was reached."""
    found = cause_of(error)
    if found is Cause.NAME_NOT_FOUND:
        return proxy.ended(Cause.PROXY_NOT_FOUND, phase)
    words = {Cause.CONNECTION_REFUSED: "connection refused", Cause.TIMEOUT: "no answer in time"}
    return proxy.ended(Cause.PROXY_UNREACHABLE, phase, words.get(found) or words_of(error))


def _dialogue(proxy: Proxy, login: Login | None, way: socket.socket) -> Dialogue:
    from python_socks import ProxyType
    from python_socks.async_.asyncio import Proxy as Dialogue

    username = login.username if login else None
    password = login.password if login else None
    if proxy.url.scheme == "http" and login is not None:
        # The library encodes in ISO 8859-1; of this it makes UTF-8 (RFC 7617 §2.1).
        username, password = (text.encode("utf-8").decode("latin-1") for text in (login.username, login.password))
    scheme = ProxyType.HTTP if proxy.url.scheme == "http" else ProxyType.SOCKS5
    given = cast("Dialogue", _Given(way))
    return Dialogue(scheme, proxy.url.host, proxy.url.port, username, password, rdns=True, forward=given)


class _Given:
    """Stands for the next proxy of a chain: the library takes the socket from it instead of dialling by itself."""

    def __init__(self, way: socket.socket) -> None:
        self._way = way

    async def connect(self, **_ignored: object) -> socket.socket:
        return self._way


class _Head(socket.socket):
    """Gives the whole head of an HTTP answer at once, and takes no octet after it. `head` is what came of it so far.

    The library takes what comes first for the whole answer, and drops what came with it: of a head in two pieces the
    second would stand before the server's greeting, and a greeting that follows at once would be lost.
    """

    def __init__(self, made: socket.socket) -> None:
        super().__init__(made.family, made.type, made.proto, made.detach())
        self.setblocking(False)
        self.head = bytearray()

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """Return the head, or what came of it before the end; raises BlockingIOError until then."""
        while len(self.head) < HEAD_LIMIT and not self.head.endswith(b"\r\n\r\n"):
            if not (self.head.startswith(b"HTTP/") or b"HTTP/".startswith(self.head)):
                # A server that speaks first, or another kind of proxy: no head will ever end.
                break
            octet = super().recv(1)
            if not octet:
                break
            self.head += octet
        return bytes(self.head) if len(self.head) < HEAD_LIMIT else b""

    def taken(self) -> socket.socket:
        """Return the socket itself, for what comes after the head."""
        made = socket.socket(self.family, self.type, self.proto, self.detach())
        made.setblocking(False)
        return made


def _end_of(error: BaseException, proxy: Proxy, phase: Phase, to: str, head: bytes) -> ConversationEnded | None:
    """Return the end that an exception of the conversation with the proxy brings; None for one of another kind.

    `head` is what an HTTP proxy answered.
    """
    from python_socks import ProxyError

    if isinstance(error, ProxyError):
        return _refusal(error, proxy, phase, to, head)
    if isinstance(error, TimeoutError):
        return proxy.ended(Cause.PROXY_TIMEOUT, phase, to)
    if isinstance(error, OSError):
        return proxy.ended(Cause.PROXY_GARBLED, phase, _CLOSED)
    if isinstance(error, ValueError | IndexError):
        # An answer that the library could not even read; or a host's name that IDNA can't encode.
        return proxy.ended(Cause.PROXY_GARBLED, phase)
    return None


def _refusal(error: ProxyError, proxy: Proxy, phase: Phase, to: str, head: bytes) -> ConversationEnded:
    """Return the end that a proxy's own answer brings."""
    code = error.error_code
    if code is None:
        if any(words in str(error) for words in ("authentication failure", "No acceptable authentication")):
            return proxy.ended(Cause.PROXY_LOGIN_REFUSED, phase, "SOCKS login")
        return proxy.ended(Cause.PROXY_GARBLED, phase, _CLOSED if str(error) in _SAID_NOTHING else "")
    cause, told = refusal_by_http(code, head) if proxy.url.scheme == "http" else refusal_by_socks(code)
    return proxy.ended(cause, phase, f"{to}: {told}")
