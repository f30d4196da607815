"""One attachment on its way into a draft: in one request where it is small, else by an upload session, in pieces.

learn.microsoft.com/graph/outlook-large-attachments and /graph/api/attachment-createuploadsession.
"""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlsplit

from relay.upstream.contract import Cause, Phase
from relay.upstream.failures import ConversationEnded, reply_for
from relay.upstream.graph_answers import error_code, pause_of
from relay.upstream.graph_parts import Part
from relay.upstream.graph_service import Ask, Channel, GraphService
from relay.upstream.http_connection import HttpConnection, HttpRequest
from relay.upstream.http_protocol import HttpAnswer

AT_ONCE: Final = 2_990_000
"""Octets of an attachment that fit into one request: below 4,000,000 in base64, with some JSON around."""

PIECE: Final = 10 * 320 * 1024
"""Octets of one piece of an upload session: a multiple of 320 KiB, and less than 4 MB."""

_TOO_SMALL: Final = "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize"
_TRIES: Final = 3


class Upload:
    """Takes an attachment's octets. `refused` is Graph's answer where it took it no further."""

    def __init__(self, service: GraphService, channel: Channel, draft: str, part: Part) -> None:
        self.part = part
        self.refused: HttpAnswer | None = None
        self._service = service
        self._channel = channel
        self._draft = draft
        self._held = bytearray()
        self._sent = 0
        self._at_once = part.size <= AT_ONCE
        self._session: Session | None = None

    async def take(self, octets: bytes) -> None:
        """Take the next octets; the last ones end it. Raises ConversationEnded."""
        self._held += octets
        if self._at_once:
            if len(self._held) == self.part.size:
                await self._send_at_once()
            return
        while self.refused is None and (
            len(self._held) >= PIECE or (self._held and self._sent + len(self._held) == self.part.size)
        ):
            if self._session is None and not await self._begun():
                return
            await self._send_piece()

    def close(self) -> None:
        """Close what is open."""
        if self._session is not None:
            self._session.close()

    async def _begun(self) -> bool:
        answer = await self._channel.ask_patiently(
            Ask.json("POST", f"{self._draft}/attachments/createUploadSession", {"AttachmentItem": self._item()})
        )
        if answer.status == 201:
            self._session = Session(self._service, self._channel, _upload_url(answer, self._service.host))
            return True
        if error_code(answer) == _TOO_SMALL:
            # Where Microsoft draws the line is not said to the octet.
            self._at_once = True
            await self.take(b"")
        else:
            self.refused = answer
        return False

    async def _send_piece(self) -> None:
        assert self._session is not None  # noqa: S101 - begun
        piece = bytes(self._held[:PIECE])
        last = self._sent + len(piece) == self.part.size
        answer = await self._session.put(piece, self._sent, self.part.size)
        if answer.status not in ({200, 201} if last else {200, 202}):
            self.refused = answer
            return
        del self._held[: len(piece)]
        self._sent += len(piece)
        if last:
            self.close()

    async def _send_at_once(self) -> None:
        content = base64.b64encode(self._held).decode("ascii")
        self._held.clear()
        attachment = {"@odata.type": "#microsoft.graph.fileAttachment", **self._properties(), "contentBytes": content}
        answer = await self._channel.ask_patiently(Ask.json("POST", f"{self._draft}/attachments", attachment))
        if answer.status != 201:
            self.refused = answer

    def _item(self) -> dict[str, Any]:
        return {"attachmentType": "file", "size": self.part.size, **self._properties()}

    def _properties(self) -> dict[str, Any]:
        part = self.part
        said: dict[str, Any] = {"name": part.name, "contentType": part.content_type, "isInline": part.inline}
        return said | ({"contentId": part.content_id} if part.content_id else {})


class Session:
    """An upload session. Its URL is a key by itself: no token is sent to it, which may be another host's."""

    def __init__(self, service: GraphService, channel: Channel, url: str) -> None:
        self._service = service
        self._channel = channel
        where = urlsplit(url)
        self._host, self._port = where.hostname or "", where.port or 443
        self._target = where.path + (f"?{where.query}" if where.query else "")
        self._own: HttpConnection | None = None

    async def put(self, piece: bytes, start: int, size: int) -> HttpAnswer:
        """Upload a piece; again where the connection breaks, or after a pause that is asked for."""
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Range": f"bytes {start}-{start + len(piece) - 1}/{size}",
            "Accept": "application/json",
            "User-Agent": "relay",
        }
        request = HttpRequest("PUT", self._target, headers, piece)
        tries = 0
        while True:
            await self._service.admitted(len(piece))
            await self._channel.calm()
            tries += 1
            try:
                answer = await (await self._connection()).exchange(request)
            except ConversationEnded as end:
                if tries >= _TRIES or end.cause not in {Cause.DISCONNECTED, Cause.TIMEOUT}:
                    raise
                continue
            self._service.heed(answer)
            if tries >= _TRIES or not pause_of(answer):
                return answer

    def close(self) -> None:
        """Close its connection."""
        if self._own is not None:
            self._own.abort()

    async def _connection(self) -> HttpConnection:
        route = self._service.route
        if (self._host, self._port) == (route.host, route.port):
            await self._channel.renewed()
            return self._channel.connection
        if self._own is None or not self._own.usable:
            self.close()
            self._own = HttpConnection(replace(route, host=self._host, port=self._port), _nobody)
            await self._own.open(await self._service.context.current())
        return self._own


def _upload_url(answer: HttpAnswer, host: str) -> str:
    try:
        url = json.loads(answer.body)["uploadUrl"]
        where = urlsplit(url)
        fit = where.scheme == "https" and bool(where.hostname) and url.isascii() and url.isprintable()
        _ = where.port
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        fit = False
    if not fit:
        said = reply_for(Cause.GARBLED, Phase.CONTENT, host)
        raise ConversationEnded(Phase.CONTENT, said, Cause.GARBLED)
    return str(url)


def _nobody(_connection: HttpConnection) -> None:
    """It is no connection of a pool."""
