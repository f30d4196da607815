"""/metrics, /healthz and /readyz: a small ASGI application on uvicorn, in the loop of the mail."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import socket
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any, Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from uvicorn import Config, Server

from relay.journal import Journal
from relay.metrics import Metrics
from relay.spool.records import QueueCounts, RecipientState, Space

_WAITING = (RecipientState.QUEUED, RecipientState.IN_FLIGHT, RecipientState.HELD)

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


class Expiring(Protocol):
    """Something that expires."""

    @property
    def what(self) -> str:
        """What it is, by the key of the configuration."""
        ...

    @property
    def expires_at(self) -> int | None:
        """When, in milliseconds; None where nobody knows."""
        ...


class Expiries(Protocol):
    """Who knows what expires."""

    def tokens(self) -> Mapping[str, int | None]:
        """Return when each upstream's access token expires, in milliseconds; None before it has one."""
        ...

    async def expiring(self) -> Sequence[Expiring]:
        """Return everything that expires."""
        ...


class Counts(Protocol):
    """Who counts what waits; `Inspection` does."""

    async def counts(self) -> QueueCounts:
        """Return what waits."""
        ...


class SpoolState(Protocol):
    """Who knows whether mail can be taken; the spool does."""

    def health(self) -> str | None:
        """Return why the spool can't take mail now; None when it can."""
        ...

    def space(self) -> Space | None:
        """Return what is free on the spool's disk; None where that isn't known."""
        ...


class Gauges:
    """The gauges that no event moves: brought up to date at each scrape, from counts that the spool keeps."""

    def __init__(
        self,
        metrics: Metrics,
        inspection: Counts,
        upstreams: Callable[[], Iterable[str]],
        connections: Callable[[str], int],
        expiries: Expiries,
        spool: SpoolState,
    ) -> None:
        self._metrics = metrics
        self._inspection = inspection
        self._upstreams = upstreams
        self._connections = connections
        self._expiries = expiries
        self._spool = spool
        self._seen: set[str] = set()
        self._ending: set[str] = set()

    async def refresh(self) -> None:
        """Set them. Raises what the spool raises."""
        now = time.time_ns() // 1_000_000
        # First: a spool in trouble may not be able to say the rest.
        self._set_spool()
        for name in self._upstreams():
            self._metrics.upstream_connections.labels(name).set(self._connections(name))
        for name, expires_at in self._expiries.tokens().items():
            left = (expires_at - now) / 1000 if expires_at is not None else math.nan
            self._metrics.token_expires.labels(name).set(left)
        self._set_expiries(await self._expiries.expiring(), now)
        self._set_queue(await self._inspection.counts(), now)

    def _set_expiries(self, expiring: Sequence[Expiring], now: int) -> None:
        ends = {one.what: one.expires_at for one in expiring if one.expires_at is not None}
        for what, expires_at in ends.items():
            self._metrics.secret_expires.labels(what).set((expires_at - now) / 1000)
        # What is gone, or was renewed without a day, would go on counting down.
        for what in self._ending - ends.keys():
            self._metrics.secret_expires.remove(what)
        self._ending = set(ends)

    def _set_spool(self) -> None:
        space = self._spool.space()
        self._metrics.spool_writable.set(self._spool.health() is None)
        self._metrics.spool_free.set(space.free if space is not None else math.nan)
        self._metrics.spool_reserve.set(space.reserve if space is not None else math.nan)

    def _set_queue(self, counts: QueueCounts, now: int) -> None:
        # Mail of an upstream that was removed stays, and so does its series until the mail is gone.
        self._seen |= {*self._upstreams(), *(name for name, _ in counts.recipients)}
        for name in self._seen:
            for state in _WAITING:
                self._metrics.queue_recipients.labels(name, state).set(counts.recipients.get((name, state), 0))
            oldest_at = counts.oldest_at.get(name)
            self._metrics.queue_oldest.labels(name).set(max(0, now - oldest_at) / 1000 if oldest_at is not None else 0)


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
