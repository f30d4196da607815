"""One mailbox's Graph endpoint: its connections, its token, and how long it wants to be left alone."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from relay.reply import Reply
from relay.upstream.connection import Route
from relay.upstream.connections import Connections
from relay.upstream.credentials import BearerToken, Credential, CredentialSource
from relay.upstream.graph_allowance import REQUESTS, UPLOADED, Window
from relay.upstream.graph_answers import pause_of, reply_of
from relay.upstream.http_connection import HttpConnection, HttpRequest
from relay.upstream.http_protocol import HttpAnswer
from relay.upstream.trust import KeptContext, Trust

IDLE_LIMIT: Final = 30.0
"""Seconds that a connection is kept without work: less than any front door of Microsoft's does, since a request that
meets its end leaves open whether the message was taken."""

MIME: Final = "text/plain"
"""What Graph calls MIME in base64."""

_PATIENT_PAUSE: Final = 300.0
_PATIENT_TIMES: Final = 10
"""How long, and how often, a message that is partly there waits where Graph is throttled."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request to Graph. `path` follows the mailbox; `whole`: `path` is the whole target."""

    method: str
    path: str
    body: bytes = field(default=b"", repr=False)
    content_type: str = ""
    whole: bool = False

    @classmethod
    def json(cls, method: str, path: str, value: Mapping[str, Any]) -> Ask:
        """Return a request with a JSON body."""
        return cls(method, path, json.dumps(value, ensure_ascii=False).encode(), "application/json")


class GraphService:
    """Requests of one upstream. Whoever has a `Channel` makes one at a time."""

    def __init__(
        self,
        route: Route,
        trust: Trust,
        source: CredentialSource,
        mailbox: str,
        *,
        max_connections: int = 4,
        session_limit: float = 900.0,
        idle_limit: float = IDLE_LIMIT,
    ) -> None:
        self.route = route
        self.source = source
        self.context = KeptContext(trust, route.host)
        self.connections = Connections[HttpConnection](max_connections, session_limit, self._open, idle_limit)
        self.user = f"/v1.0/users/{quote(mailbox, safe='@')}"
        self._quiet_until = 0.0
        self._quiet_reply: Reply | None = None
        self._requests = Window(REQUESTS)
        self._uploaded = Window(UPLOADED)

    @property
    def host(self) -> str:
        """Whose word a reply is."""
        return self.route.host

    def quiet(self) -> tuple[float, Reply] | None:
        """Return for how many seconds Graph still wants to be left alone, and what it said; None where it does not."""
        left = self._quiet_until - asyncio.get_running_loop().time()
        return (left, self._quiet_reply) if left > 0 and self._quiet_reply is not None else None

    def heed(self, answer: HttpAnswer) -> None:
        """Keep in mind that Graph wants to be left alone, where it says so."""
        pause = pause_of(answer)
        until = asyncio.get_running_loop().time() + pause
        if pause and until > self._quiet_until:
            self._quiet_until, self._quiet_reply = until, reply_of(answer, self.host)[1]

    @contextlib.asynccontextmanager
    async def channel(self) -> AsyncIterator[Channel]:
        """Give a channel once there is a connection, which is closed where anything ends it early.

        Raises ConversationEnded.
        """
        channel = Channel(self, await self.connections.acquire())
        try:
            yield channel
        except BaseException:
            channel.connection.abort()
            raise
        finally:
            channel.close()

    async def admitted(self, octets: int) -> None:
        """Return when Graph's own limits admit another request of so many octets, having counted it."""
        loop = asyncio.get_running_loop()
        while True:
            wait = max(self._requests.wait(1, loop.time()), self._uploaded.wait(octets, loop.time()))
            if wait <= 0:
                break
            await asyncio.sleep(wait)
        self._requests.count(1, loop.time())
        self._uploaded.count(octets, loop.time())

    async def _open(self) -> HttpConnection:
        connection = HttpConnection(self.route, self.connections.lost)
        await connection.open(await self.context.current())
        return connection


class Channel:
    """One connection's requests, one after the other; `connection` is replaced where the server closed it."""

    def __init__(self, service: GraphService, connection: HttpConnection) -> None:
        self.connection = connection
        self._service = service
        self._held = True

    async def renewed(self) -> None:
        """Have a usable connection. Raises ConversationEnded."""
        if not self.connection.usable:
            self.close()
            self.connection = await self._service.connections.acquire(fresh=True)
            self._held = True

    def close(self) -> None:
        """Give the connection back."""
        if self._held:
            self._held = False
            self._service.connections.release(self.connection)

    async def ask(
        self, ask: Ask, cleared: Callable[[], bool] | None = None, patience: float | None = None
    ) -> HttpAnswer:
        """Return the answer; a token that is refused is replaced once. Raises ConversationEnded."""
        credential = await self._service.source.credential()
        answer = await self._asked(ask, credential, cleared, patience)
        if answer.status == 401:
            credential = await self._service.source.credential(credential)
            answer = await self._asked(ask, credential, cleared, patience)
        self._service.heed(answer)
        return answer

    async def ask_patiently(self, ask: Ask, cleared: Callable[[], bool] | None = None) -> HttpAnswer:
        """Ask, again after each pause that Graph wants; for what costs more to begin anew than to wait."""
        for _ in range(_PATIENT_TIMES):
            await self.calm()
            answer = await self.ask(ask, cleared)
            if not 0 < pause_of(answer) <= _PATIENT_PAUSE:
                break
        return answer

    async def calm(self) -> None:
        """Wait while Graph wants to be left alone, unless that is for long."""
        while True:
            quiet = self._service.quiet()
            if quiet is None or quiet[0] > _PATIENT_PAUSE:
                break
            await asyncio.sleep(quiet[0])

    async def _asked(
        self, ask: Ask, credential: Credential, cleared: Callable[[], bool] | None, patience: float | None
    ) -> HttpAnswer:
        await self._service.admitted(len(ask.body))
        await self.renewed()
        headers = {"Accept": "application/json", "User-Agent": "relay"}
        if isinstance(credential, BearerToken):
            headers["Authorization"] = f"Bearer {credential.token}"
        if ask.content_type:
            headers["Content-Type"] = ask.content_type
        target = ask.path if ask.whole else f"{self._service.user}{ask.path}"
        return await self.connection.exchange(HttpRequest(ask.method, target, headers, ask.body), cleared, patience)
