"""A message too large for one request: a draft of all but its large attachments, these one by one, then it is sent."""

from __future__ import annotations

import base64
import contextlib
import email.header
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from relay.envelope import Content
from relay.upstream.contract import Cause, Phase
from relay.upstream.failures import ConversationEnded, reply_for
from relay.upstream.graph_answers import unknown_fate
from relay.upstream.graph_content import Readdressed
from relay.upstream.graph_cut import Extraction, Remainder
from relay.upstream.graph_header import Addressee, Placement
from relay.upstream.graph_parts import Plan, Survey
from relay.upstream.graph_service import MIME, Ask, Channel, GraphService
from relay.upstream.graph_upload import Upload
from relay.upstream.http_protocol import HttpAnswer

MIME_LIMIT: Final = 3_000_000
"""Octets of MIME in one request: 4,000,000 in base64. Microsoft says "4 MB" and not which."""


class Refused(Exception):  # noqa: N818
    """Graph refused a request that a message needs."""

    def __init__(self, answer: HttpAnswer) -> None:
        super().__init__(answer.status)
        self.answer = answer


async def plan_for(content: Content, most: int = MIME_LIMIT) -> Plan | None:
    """Return which parts are to be uploaded by themselves; None where the message can't be carried.

    `most` octets may be left of it.
    """
    survey = Survey()
    async for chunk in content.chunks():
        survey.look_at(survey.of(chunk))
    survey.look_at(survey.end())
    return survey.plan(most)


class Draft:
    """One message's draft; `id` is empty until there is one, and again once it was sent."""

    def __init__(self, service: GraphService, channel: Channel, content: Readdressed, plan: Plan) -> None:
        self.id = ""
        self._service = service
        self._channel = channel
        self._content = content
        self._plan = plan

    async def create(self) -> HttpAnswer:
        """Make the draft, for exactly the recipients of the envelope; 201 where that is done.

        Raises ConversationEnded, Refused.
        """
        remainder = Remainder(self._plan)
        said = [remainder.left(remainder.of(chunk)) async for chunk in self._content.chunks()]
        said.append(remainder.left(remainder.end()))
        octets = base64.b64encode(b"".join(said))
        del said
        answer = await self._channel.ask(Ask("POST", "/messages", octets, MIME))
        if answer.status != 201:
            return answer
        made = _json(answer)
        self.id = str(made.get("id", ""))
        if not self.id:
            raise self._nonsense()
        if not names_exactly(made, self._content.placement):
            await self._expect(Ask.json("PATCH", self._path, recipients_json(self._content.placement)), 200)
        return answer

    async def attach(self) -> None:
        """Upload the attachments, in their order. Raises ConversationEnded, Refused."""
        uploads = {part.number: Upload(self._service, self._channel, self._path, part) for part in self._plan.parts}
        try:
            async with contextlib.aclosing(self._octets()) as octets:
                async for number, piece in octets:
                    await uploads[number].take(piece)
                    refused = uploads[number].refused
                    if refused is not None:
                        raise Refused(refused)
        finally:
            for upload in uploads.values():
                upload.close()

    async def send(self, cleared: Callable[[], bool]) -> HttpAnswer:
        """Send it. Raises ConversationEnded."""
        answer = await self._channel.ask_patiently(Ask("POST", f"{self._path}/send"), cleared)
        if answer.status == 202 or unknown_fate(answer):
            # What may be on its way is not to be deleted.
            self.id = ""
        return answer

    @property
    def removal(self) -> Ask:
        """The request that deletes it."""
        return Ask("DELETE", self._path)

    @property
    def _path(self) -> str:
        return f"/messages/{quote(self.id, safe='')}"

    async def _expect(self, ask: Ask, status: int) -> HttpAnswer:
        answer = await self._channel.ask_patiently(ask)
        if answer.status != status:
            raise Refused(answer)
        return answer

    async def _octets(self) -> AsyncGenerator[tuple[int, bytes], None]:
        extraction = Extraction(self._plan)
        async for chunk in self._content.chunks():
            for piece in extraction.taken(extraction.of(chunk)):
                yield piece
        for piece in extraction.rest():
            yield piece

    def _nonsense(self) -> ConversationEnded:
        said = reply_for(Cause.GARBLED, Phase.CONTENT, self._service.host)
        return ConversationEnded(Phase.CONTENT, said, Cause.GARBLED)


def names_exactly(made: Mapping[str, Any], placement: Placement) -> bool:
    """Tell whether Graph read from the draft's header the recipients that it was meant to, each in its place."""
    pairs = (("toRecipients", placement.to), ("ccRecipients", placement.cc), ("bccRecipients", placement.bcc))
    return all(_addresses(made.get(key)) == {each.mailbox.key for each in meant} for key, meant in pairs)


def recipients_json(placement: Placement) -> dict[str, Any]:
    """Return the recipients as Graph's message resource has them."""
    return {
        "toRecipients": _listed(placement.to),
        "ccRecipients": _listed(placement.cc),
        "bccRecipients": _listed(placement.bcc),
    }


def _addresses(listed: Any) -> set[str]:
    found = set()
    for each in listed if isinstance(listed, list) else ():
        address = each.get("emailAddress") if isinstance(each, dict) else None
        if isinstance(address, dict):
            found.add(str(address.get("address", "")).lower())
    return found


def _listed(addressees: Sequence[Addressee]) -> list[dict[str, Any]]:
    return [{"emailAddress": _address(addressee)} for addressee in addressees]


def _address(addressee: Addressee) -> dict[str, str]:
    said = {"address": str(addressee.mailbox)}
    name = addressee.name.strip('"').replace('\\"', '"')
    if name:
        said["name"] = str(email.header.make_header(email.header.decode_header(name)))
    return said


def _json(answer: HttpAnswer) -> Mapping[str, Any]:
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
