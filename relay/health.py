"""/metrics, /healthz and /readyz: a small ASGI application on uvicorn, in the loop of the mail."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from uvicorn import Config, Server

from relay.journal import Journal

_REFRESH_SECONDS = 2.0
"""A scrape answers with what is known by then."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Health:
    """The application. `refresh` brings gauges up to date before a scrape; `unready` says why we are not, or None."""

    def __init__(
        self,
        registry: CollectorRegistry,
        refresh: Callable[[], Awaitable[None]],
        unready: Callable[[], str | None],
        journal: Journal,
    ) -> None:
        self._registry = registry
        self._refresh = refresh
        self._unready = unready
        self._journal = journal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI 3)."""
        if scope["type"] != "http":
            return
        status, content_type, body = await self._answer(scope)
        headers = [
            (b"content-type", content_type.encode("ascii")),
            (b"content-length", str(len(body)).encode("ascii")),
            (b"cache-control", b"no-store"),
        ]
        if status == 405:
            headers.append((b"allow", b"GET, HEAD"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _answer(self, scope: Scope) -> tuple[int, str, bytes]:
        if scope["method"] not in {"GET", "HEAD"}:
            return 405, "text/plain; charset=utf-8", b"only GET and HEAD\n"
        if scope["path"] == "/metrics":
            return await self._metrics(scope)
        if scope["path"] == "/healthz":
            return 200, "application/json", b'{"alive": true}\n'
        if scope["path"] == "/readyz":
            reason = self._unready()
            found = {"ready": True} if reason is None else {"ready": False, "reason": reason}
            return 200 if reason is None else 503, "application/json", json.dumps(found).encode() + b"\n"
        return 404, "text/plain; charset=utf-8", b"there are /metrics, /healthz and /readyz\n"

    async def _metrics(self, scope: Scope) -> tuple[int, str, bytes]:
        try:
            await asyncio.wait_for(self._refresh(), _REFRESH_SECONDS)
        except Exception as error:  # a task root: a scrape must tell what is known, above all when something is broken
            self._journal.failed("metrics", error)
        accept = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"accept"), "")
        try:
            encode, content_type = choose_encoder(accept)
        except (ValueError, TypeError):  # a version in Accept that is none
            encode, content_type = choose_encoder("")
        return 200, content_type, encode(self._registry)


def bound_sockets(host: str | None, port: int) -> list[socket.socket]:
    """Bind `host`, every address of the machine where None. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            listening = socket.socket(family, kind, protocol)
            sockets.append(listening)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listening.bind(address)
    except OSError:
        for listening in sockets:
            listening.close()
        raise
    return sockets


class _QuietServer(Server):
    """uvicorn without its hold on our signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HealthServer:
    """Serves an application on sockets that are already bound, until it is closed."""

    def __init__(self, application: Health, sockets: list[socket.socket]) -> None:
        config = Config(
            application,
            loop="none",
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=2,
            limit_concurrency=100,
        )
        self._server = _QuietServer(config)
        self._sockets = sockets

    async def serve(self) -> None:
        """Run until `close`; to be run as a task."""
        await self._server.serve(sockets=self._sockets)

    def close(self) -> None:
        """Let `serve` end."""
        self._server.should_exit = True
