"""A small HTTP/1.1 server on h11, in TLS or not, for the authority and for the simulator's controls."""

from __future__ import annotations

import asyncio
import json
import ssl
import urllib.parse
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import h11

from relay.simulator.connection import Connection, Hangup
from relay.simulator.listener import Listener

_BODY = 1024 * 1024
_IDLE = 75.0


@dataclass(frozen=True, slots=True)
class Request:
    """One request; `path` decoded, header names in lower case; `oversize` where the body is not given for its size."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    oversize: bool = False

    def form(self) -> dict[str, str]:
        """Return the fields of a URL-encoded body; the last of a name counts."""
        return dict(urllib.parse.parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class Response:
    """One response."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
        """Return a value as JSON."""
        return cls(status, json.dumps(value).encode(), headers=headers or {})


class NoResponse(Exception):  # noqa: N818
    """The connection is to be cut off instead of answering; `garbled`: after some octets that are no HTTP."""

    def __init__(self, *, garbled: bool = False) -> None:
        super().__init__(garbled)
        self.garbled = garbled


Answer = Callable[[Request], Awaitable[Response]]


class HttpServer:
    """`port` is known once open. `answer` may raise `NoResponse`, nothing else.

    `largest`: octets of a body; a request with a larger one comes without it.
    """

    def __init__(self, answer: Answer, largest: int = _BODY) -> None:
        self._answer = answer
        self._largest = largest
        self._listener = Listener(self._converse)
        self.port = 0

    async def open(self, host: str, port: int, context: ssl.SSLContext | None = None) -> None:
        """Listen; raises OSError where the port is taken."""
        self.port = self._listener.open(host, port, context)

    async def close(self) -> None:
        """Stop listening and cut off what goes on: connecting is refused from now on."""
        await self._listener.close()

    def reopen(self) -> None:
        """Listen on the same port again; raises OSError where it is taken."""
        self._listener.reopen()

    async def _converse(self, connection: Connection) -> None:
        protocol = h11.Connection(h11.SERVER)
        try:
            while True:
                request = await _request(protocol, connection, self._largest)
                await self._respond(protocol, connection, request)
                if protocol.our_state is not h11.DONE or protocol.their_state is not h11.DONE:
                    break
                protocol.start_next_cycle()
            connection.close()
        except NoResponse as silence:
            if silence.garbled:
                connection.write(b"\x00\x01 this is not HTTP\r\n\r\n")
                connection.close()
            else:
                connection.abort()
        except (Hangup, TimeoutError, h11.ProtocolError):
            connection.abort()

    async def _respond(self, protocol: h11.Connection, connection: Connection, request: Request) -> None:
        response = await self._answer(request)
        headers = {
            "Content-Type": response.content_type,
            "Content-Length": str(len(response.body)),
            "Cache-Control": "no-store, no-cache",
            **response.headers,
        }
        head = h11.Response(status_code=response.status, headers=list(headers.items()))
        said = protocol.send(head) or b""
        if request.method != "HEAD":
            said += protocol.send(h11.Data(data=response.body)) or b""
        connection.write(said + (protocol.send(h11.EndOfMessage()) or b""))
        await connection.drain()


async def _request(protocol: h11.Connection, connection: Connection, largest: int) -> Request:
    head: h11.Request | None = None
    body = bytearray()
    oversize = False
    while True:
        event: Any = protocol.next_event()
        if event is h11.NEED_DATA:
            async with asyncio.timeout(_IDLE):
                protocol.receive_data(await connection.read_some())
        elif isinstance(event, h11.Request):
            head = event
            if protocol.they_are_waiting_for_100_continue:
                connection.write(protocol.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
        elif isinstance(event, h11.Data):
            body += event.data
            oversize = oversize or len(body) > largest
            if oversize:
                body.clear()
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            return _as_request(head, bytes(body), oversize)
        else:
            raise Hangup


def _as_request(head: h11.Request, body: bytes, oversize: bool) -> Request:
    target = urllib.parse.urlsplit(head.target.decode("latin-1"))
    return Request(
        method=head.method.decode("latin-1"),
        path=urllib.parse.unquote(target.path),
        query=dict(urllib.parse.parse_qsl(target.query)),
        headers={name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers},
        body=body,
        oversize=oversize,
    )
