"""The drafts of Microsoft Graph: made of MIME, attachments added, by upload session where they are large."""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from relay.simulator.graph_mime import FIELDS, Addresses, Attachment, recipients

MOST_OCTETS: Final = 150 * 1024 * 1024
"""Octets of an attachment, and of a whole message."""

LEAST_IN_SESSION: Final = 3_000_000
_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_MULTIPLE: Final = 320 * 1024


class Refusal(Exception):  # noqa: N818
    """What Graph answers instead."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message


@dataclass(slots=True)
class UploadSession:
    """One attachment on its way."""

    draft: Draft
    item: Mapping[str, Any]
    size: int
    token: str
    octets: bytearray = field(default_factory=bytearray, repr=False)

    def put(self, said: str, body: bytes) -> bool:
        """Take a range; True where it was the last. Raises Refusal for one that is not the next."""
        found = _RANGE.fullmatch(said)
        if found is None:
            raise Refusal(400, "ErrorInvalidRequest", "The Content-Range header is missing or malformed.")
        first, last, total = (int(number) for number in found.groups())
        if total != self.size or last - first + 1 != len(body) or first != len(self.octets) or last >= total:
            raise Refusal(416, "InvalidRange", "The uploaded fragment is not the next one.")
        self.octets += body
        if len(self.octets) < self.size:
            return False
        self.draft.attachments.append(_attachment(self.item, bytes(self.octets)))
        self.octets.clear()
        return True


@dataclass(slots=True)
class Draft:
    """`named` by field; `patched` tells that PATCH set it, so that the header no longer counts."""

    id: str
    mailbox: str
    mime: bytes = field(repr=False)
    named: dict[str, Addresses]
    patched: bool = False
    attachments: list[Attachment] = field(default_factory=list)

    def shape(self) -> dict[str, Any]:
        """Return it as Graph's message resource, as far as somebody needs it."""
        listed = {
            key: [{"emailAddress": {"name": name or address, "address": address}} for name, address in members]
            for key, members in self.named.items()
        }
        return {"id": self.id, "isDraft": True, "hasAttachments": bool(self.attachments), **listed}


class Drafts:
    """All of them, by ID, and the upload sessions, by token."""

    def __init__(self) -> None:
        self.all: dict[str, Draft] = {}
        self.sessions: dict[str, UploadSession] = {}

    def make(self, mailbox: str, mime: bytes, fields: Any) -> Draft:
        """Make one."""
        draft = Draft(f"AAMk{secrets.token_urlsafe(60)}=", mailbox, mime, recipients(fields))
        self.all[draft.id] = draft
        return draft

    def named(self, number: str, mailbox: str) -> Draft:
        """Return one. Raises Refusal."""
        draft = self.all.get(number)
        if draft is None or draft.mailbox != mailbox:
            raise Refusal(404, "ErrorItemNotFound", "The specified object was not found in the store.")
        return draft

    def attach(self, draft: Draft, said: Mapping[str, Any]) -> Attachment:
        """Add an attachment that comes whole. Raises Refusal."""
        try:
            octets = base64.b64decode(str(said["contentBytes"]), validate=True)
        except (KeyError, binascii.Error, ValueError):
            raise Refusal(400, "ErrorInvalidRequest", "contentBytes is missing or no base64.") from None
        if said.get("@odata.type") != "#microsoft.graph.fileAttachment":
            raise Refusal(400, "ErrorInvalidRequest", "The attachment's type is missing or not supported.")
        draft.attachments.append(_attachment(said, octets))
        return draft.attachments[-1]

    def begin(self, draft: Draft, said: Mapping[str, Any]) -> UploadSession:
        """Begin an upload session. Raises Refusal."""
        item = said.get("AttachmentItem")
        if not isinstance(item, dict) or item.get("attachmentType") != "file" or not isinstance(item.get("size"), int):
            raise Refusal(400, "ErrorInvalidRequest", "AttachmentItem is missing or malformed.")
        size = item["size"]
        if size < LEAST_IN_SESSION:
            words = "The attachment size should not be less than the minimum size."
            raise Refusal(400, "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize", words)
        if size > MOST_OCTETS:
            raise Refusal(400, "ErrorAttachmentSizeLimitExceeded", "The attachment exceeds the maximum size.")
        _attachment(item, b"")
        session = UploadSession(draft, item, size, secrets.token_urlsafe(40))
        self.sessions[session.token] = session
        return session

    def session(self, token: str) -> UploadSession:
        """Return a session. Raises Refusal."""
        session = self.sessions.get(token)
        if session is None or session.draft.id not in self.all:
            raise Refusal(404, "ErrorItemNotFound", "The upload session was not found.")
        return session

    def forget(self, draft: Draft) -> None:
        """Remove a draft with its sessions."""
        self.all.pop(draft.id, None)
        self.sessions = {token: one for token, one in self.sessions.items() if one.draft is not draft}


def odd_piece(body: bytes, *, last: bool) -> bool:
    """Tell whether a piece is none that Microsoft asks for: a multiple of 320 KiB, below 4 MB."""
    return len(body) >= 4_000_000 or (not last and len(body) % _MULTIPLE != 0)


def patched(said: Mapping[str, Any], draft: Draft) -> None:
    """Set a draft's recipients. Raises Refusal."""
    for key in FIELDS:
        if key not in said:
            continue
        try:
            members = [(str(one["emailAddress"].get("name", "")), one["emailAddress"]["address"]) for one in said[key]]
        except (TypeError, KeyError, AttributeError):
            raise Refusal(400, "ErrorInvalidRequest", f"{key} is malformed.") from None
        draft.named[key] = tuple(members)
        draft.patched = True


def _attachment(said: Mapping[str, Any], octets: bytes) -> Attachment:
    name = said.get("name")
    if not isinstance(name, str) or not name:
        raise Refusal(400, "ErrorInvalidRequest", "The attachment's name is missing.")
    return Attachment(
        name,
        str(said.get("contentType") or ""),
        bool(said.get("isInline")),
        str(said.get("contentId") or ""),
        octets,
    )
