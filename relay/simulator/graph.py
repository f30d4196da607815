"""Microsoft Graph as far as it takes mail: sendMail with MIME, drafts, attachments, upload sessions.

learn.microsoft.com/graph/api/user-sendmail, /graph/outlook-large-attachments, /graph/throttling-limits.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import secrets
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from relay.simulator.authority_fault import struck
from relay.simulator.faults import Fault
from relay.simulator.graph_drafts import MOST_OCTETS, Draft, Drafts, Refusal, odd_piece, patched
from relay.simulator.graph_mime import Addresses, authors, delivered, header_and_body, parsed, recipients
from relay.simulator.graph_mime import with_attachments as composed
from relay.simulator.http_server import NoResponse, Request, Response
from relay.simulator.mailbox import ReceivedMessage, ReceivedRecipient
from relay.simulator.premises import Premises, milliseconds
from relay.simulator.tokens import Tokens

PATHS = ("/v1.0/", "/api/gv1.0/")
MOST_AT_ONCE = 4
MOST_IN_REQUEST = 4 * 1024 * 1024
_RECIPIENTS = 500
UNRESOLVED = "@not-valid.test"
"""A domain of recipients that are refused, together with all others of the message."""

_MAIL_SEND, _READ_WRITE = "Mail.Send", "Mail.ReadWrite"


@dataclass(frozen=True, slots=True)
class GraphRequest:
    """One request as it came: `endpoint` as the faults' stages name it, `at` on the monotonic clock, octets of body."""

    endpoint: str
    at: float
    status: int
    octets: int


class Graph:
    """`requests` in their order; `drafts` what is there now; `most_at_once` by mailbox. `origin` is where it is."""

    def __init__(self, tokens: Tokens, premises: Premises) -> None:
        self._tokens = tokens
        self._premises = premises
        self._options = premises.options
        self._at_once: Counter[str] = Counter()
        self.most_at_once: Counter[str] = Counter()
        self.requests: list[GraphRequest] = []
        self.drafts = Drafts()
        self.origin = ""
        mailbox = self._options.mailbox.lower()
        self._senders = {mailbox: {mailbox, *(one.lower() for one in self._options.may_send_as)}}
        for other in self._options.further_mailboxes:
            self._senders.setdefault(other.lower(), {other.lower()})

    async def answer(self, request: Request) -> Response:
        """Answer one request."""
        at, endpoint, response = time.monotonic(), endpoint_of(request), Response(500)
        mailbox = _mailbox_of(request.path)
        self._at_once[mailbox] += 1
        self.most_at_once[mailbox] = max(self.most_at_once[mailbox], self._at_once[mailbox])
        try:
            response = await self._answered(request, endpoint, mailbox)
        except Refusal as refusal:
            response = error(refusal.status, refusal.code, refusal.message)
        finally:
            self._at_once[mailbox] -= 1
            self.requests.append(GraphRequest(endpoint, at, response.status, len(request.body)))
        return response

    async def _answered(self, request: Request, endpoint: str, mailbox: str) -> Response:
        fault = await self._struck(endpoint)
        if isinstance(fault, Response):
            return fault
        if self._at_once[mailbox] > MOST_AT_ONCE:
            self._premises.violate("graph", "more requests at once than a mailbox may have")
            busy = error(429, "ApplicationThrottled", "Application is over its MailboxConcurrency limit.")
            return Response(429, busy.body, headers={"Retry-After": "5"})
        if request.oversize:
            raise Refusal(413, "RequestEntityTooLarge", "The maximum request length supported is 4MB.")
        if endpoint == "upload":
            return self._upload(request)
        await self._authorize(request, endpoint, mailbox)
        if endpoint == "sendmail":
            return await self._send_mail(request, mailbox, fault)
        return await self._draft(request, endpoint, mailbox, fault)

    async def _struck(self, endpoint: str) -> Response | Fault | None:
        """Return the answer due now instead of ours, or a fault by which a message is taken and not answered."""
        active = next(
            (one for one in self._premises.faults.active if one.fault.concerns("graph", endpoint, (), "", 0)), None
        )
        if active is not None and active.fault.stored:
            return self._premises.faults.take("graph", endpoint)
        fault = await struck(self._premises.faults, "graph", endpoint, self._options.idle_timeout)
        if not isinstance(fault, Fault):
            return fault
        said = error(fault.status, fault.error, fault.description)
        return Response(fault.status, said.body, headers=fault.headers)

    async def _authorize(self, request: Request, endpoint: str, mailbox: str) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not token:
            raise Refusal(401, "InvalidAuthenticationToken", "Access token is empty.")
        claims = await asyncio.to_thread(self._tokens.for_graph, token)
        if claims is None:
            raise Refusal(401, "InvalidAuthenticationToken", "Access token validation failure. Invalid audience.")
        needed = {_MAIL_SEND} if endpoint in {"sendmail", "send"} else {_READ_WRITE}
        scopes = set(str(claims.get("scp", "")).split())
        held = set(claims.get("roles", [])) | scopes
        own = not scopes or str(claims.get("upn", "")).lower() == mailbox
        if not needed <= held or not own:
            raise Refusal(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
        if mailbox not in self._senders:
            raise Refusal(404, "ErrorInvalidUser", f"The requested user '{mailbox}' is invalid.")

    # ---- sending --------------------------------------------------------------------------------------

    async def _send_mail(self, request: Request, mailbox: str, fault: Fault | None) -> Response:
        if request.headers.get("content-type", "").partition(";")[0].strip() != "text/plain":
            said = _json(request).get("message")
            if not isinstance(said, dict) or not said.get("toRecipients"):
                raise _nobody()
            raise Refusal(501, "NotImplemented", "The simulator takes messages in MIME only.")
        mime = _mime(request)
        await self._sent(mailbox, mime, recipients(self._accepted(mailbox, mime)), None, fault)
        return _accepted()

    def _accepted(self, mailbox: str, mime: bytes) -> Any:
        """Return the header's fields of MIME that Graph takes. Raises Refusal."""
        header, body = header_and_body(mime)
        fields = parsed(header)
        said = authors(fields)
        if said is None or (not body.strip() and not header.strip()):
            raise Refusal(400, "ErrorMimeContentInvalid", "The MIME content is invalid.")
        if any(address.lower() not in self._senders[mailbox] for _, address in said):
            words = "The user account which was used to submit this request does not have the right to send mail on"
            raise Refusal(403, "ErrorSendAsDenied", f"{words} behalf of the specified sending account.")
        if b"quoted-printable" in mime[: 64 * 1024].lower():
            self._premises.violate("graph", "a body in quoted-printable, which Graph may damage")
        return fields

    async def _sent(
        self,
        mailbox: str,
        mime: bytes,
        named: Mapping[str, Addresses],
        patched: Mapping[str, Addresses] | None,
        fault: Fault | None,
    ) -> None:
        """Deliver a message. Raises Refusal; NoResponse where a fault wants it taken and not answered."""
        forward_paths = list(dict.fromkeys(address for members in named.values() for _, address in members))
        if not forward_paths:
            raise _nobody()
        if any(address.lower().endswith(UNRESOLVED) for address in forward_paths):
            raise Refusal(400, "ErrorInvalidRecipients", "At least one recipient is not valid.")
        if len(forward_paths) > _RECIPIENTS:
            raise Refusal(400, "ErrorExceededMaxRecipientLimitPerMessage", "Too many recipients.")
        if len(mime) > MOST_OCTETS * 4 // 3:
            raise Refusal(400, "ErrorMessageSizeExceeded", "The message exceeds the maximum supported size.")
        await self._within_allowance(mailbox, len(forward_paths))
        self._keep(mailbox, delivered(mime, patched), forward_paths, answered=fault is None)
        if fault is not None:
            raise NoResponse

    async def _within_allowance(self, mailbox: str, count: int) -> None:
        usage, options = self._premises.usage, self._options
        usage.begin_message("microsoft365", mailbox)
        wait = usage.wait_for_message("microsoft365", mailbox, options.messages_per_minute, 60.0)
        if wait:
            self._premises.violate("graph", "more messages than a mailbox may send")
            await asyncio.sleep(wait)
        today = usage.recipients_today("microsoft365", mailbox)
        if options.recipients_per_day and today + count > options.recipients_per_day:
            self._premises.violate("graph", "more recipients a day than a mailbox may have")
            raise Refusal(403, "ErrorExceededMessageLimit", "The sender has exceeded the limit of recipients a day.")

    def _keep(self, mailbox: str, mime: bytes, forward_paths: list[str], *, answered: bool) -> None:
        premises = self._premises
        sink = premises.messages.sink(premises.directory)
        sink.write(mime)
        message = ReceivedMessage(
            id=secrets.token_hex(8).upper(),
            provider="microsoft365",
            login=mailbox,
            helo="",
            peer="",
            tls=None,
            reverse_path=mailbox,
            mail_parameters={},
            recipients=tuple(ReceivedRecipient(address, {}) for address in forward_paths),
            stored=sink.finish(),
            longest_line=max(map(len, mime.split(b"\r\n"))),
            received_at=milliseconds(),
            answered=answered,
        )
        premises.usage.add_recipients("microsoft365", mailbox, len(forward_paths))
        premises.messages.add(message)

    # ---- drafts ---------------------------------------------------------------------------------------

    async def _draft(self, request: Request, endpoint: str, mailbox: str, fault: Fault | None) -> Response:
        if endpoint == "draft":
            mime = _mime(request)
            return Response.json(self.drafts.make(mailbox, mime, self._accepted(mailbox, mime)).shape(), 201)
        draft = self.drafts.named(_segment(request.path, 4), mailbox)
        if endpoint == "recipients":
            patched(_json(request), draft)
            return Response.json(draft.shape())
        if endpoint == "attachment":
            made = self.drafts.attach(draft, _json(request))
            return Response.json({"id": secrets.token_urlsafe(40), "name": made.name, "size": len(made.octets)}, 201)
        if endpoint == "session":
            return self._session(draft, _json(request))
        if endpoint == "delete":
            self.drafts.forget(draft)
            return Response(204)
        mime = composed(draft.mime, draft.attachments)
        await self._sent(mailbox, mime, draft.named, draft.named if draft.patched else None, fault)
        self.drafts.forget(draft)
        return _accepted()

    def _session(self, draft: Draft, said: Mapping[str, Any]) -> Response:
        session = self.drafts.begin(draft, said)
        where = f"/api/gv1.0/users('{quote(draft.mailbox)}')/messages('{quote(draft.id)}')/AttachmentSessions('A')"
        url = f"{self.origin}{where}?authtoken={session.token}"
        expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
        return Response.json({"uploadUrl": url, "expirationDateTime": expires, "nextExpectedRanges": ["0-"]}, 201)

    def _upload(self, request: Request) -> Response:
        if "authorization" in request.headers:
            self._premises.violate("graph", "a token sent to an upload session")
            raise Refusal(401, "InvalidAuthenticationToken", "Do not send an Authorization header.")
        session = self.drafts.session(request.query.get("authtoken", ""))
        done = session.put(request.headers.get("content-range", ""), request.body)
        if odd_piece(request.body, last=done):
            self._premises.violate("graph", "a piece that is no multiple of 320 KiB, or too large")
        if done:
            return Response(201, headers={"Location": f"{self.origin}/api/gv1.0/attachments('A')"})
        return Response.json({"nextExpectedRanges": [str(len(session.octets))]})


def endpoint_of(request: Request) -> str:
    """Return what is asked for, as the faults name it."""
    if request.path.startswith(PATHS[1]):
        return "upload"
    last = request.path.rstrip("/").rpartition("/")[2]
    named = {"sendMail": "sendmail", "messages": "draft", "attachments": "attachment", "createUploadSession": "session"}
    by_method = {"PATCH": "recipients", "DELETE": "delete"}
    return by_method.get(request.method) or named.get(last) or ("send" if last == "send" else "draft")


def error(status: int, code: str, message: str) -> Response:
    """Return an error as Graph words it."""
    inner = {"date": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()), "request-id": secrets.token_hex(16)}
    return Response.json({"error": {"code": code, "message": message, "innerError": inner}}, status)


def _accepted() -> Response:
    return Response(202, headers={"request-id": secrets.token_hex(16)})


def _nobody() -> Refusal:
    words = "At least one recipient is not valid., A message can't be sent because it contains no recipients."
    return Refusal(400, "ErrorInvalidRecipients", words)


def _mime(request: Request) -> bytes:
    try:
        return base64.b64decode(request.body, validate=True)
    except (binascii.Error, ValueError):
        words = "Invalid base64 string for MIME content."
        raise Refusal(400, "ErrorMimeContentInvalidBase64String", words) from None


def _json(request: Request) -> Mapping[str, Any]:
    try:
        said = json.loads(request.body)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise Refusal(400, "UnableToDeserializePostBody", "were unable to deserialize")
    return said


def _segment(path: str, at: int) -> str:
    parts = path.strip("/").split("/")
    return parts[at] if len(parts) > at else ""


def _mailbox_of(path: str) -> str:
    if path.startswith(PATHS[1]):
        return path.partition("users('")[2].partition("'")[0].lower()
    return _segment(path, 2).lower()
