"""Amazon SES's API, version 2: SendEmail with raw content, GetAccount, GetEmailIdentity."""

from __future__ import annotations

import base64
import binascii
import email.parser
import email.policy
import email.utils
import json
import re
import secrets
import urllib.parse
from collections.abc import Sequence
from typing import Any

from relay.simulator.authority_fault import struck
from relay.simulator.aws_account import ACCOUNT, AccessKey, AwsAccount, AwsRefusal
from relay.simulator.faults import Fault, known_faults
from relay.simulator.http_server import NoResponse, Request, Response
from relay.simulator.mailbox import ReceivedMessage, ReceivedRecipient
from relay.simulator.premises import Premises, milliseconds
from relay.simulator.provider import provider_named

PATH = "/v2/email/"
NAME = "ses_api"

_ADDRESS = re.compile(r"[\x21-\x7e]+@[\x21-\x7e]+")
_LONGEST_LINE = 1000


class SesApi:
    """`verified` are addresses and domains; `sandbox`: recipients must be verified too; `requests` counts by action."""

    def __init__(self, premises: Premises, account: AwsAccount) -> None:
        self._premises = premises
        self._account = account
        self._options = premises.options
        self.verified = {identity.lower().removeprefix("@") for identity in premises.options.ses_identities}
        self.sandbox = False
        self.sending_enabled = True
        self.rate = 14.0
        self.requests = {"SendEmail": 0, "GetAccount": 0, "GetEmailIdentity": 0}

    async def answer(self, request: Request) -> Response:
        """Answer one request."""
        try:
            return await self._answer(request)
        except AwsRefusal as refused:
            return Response.json({"message": refused.message}, refused.status, {"x-amzn-ErrorType": refused.code})

    async def _answer(self, request: Request) -> Response:
        key = self._account.signer(request, "ses")
        target = (request.method, request.path.removeprefix(PATH))
        if target == ("GET", "account"):
            await self._strike("get_account", stored=None)
            self.requests["GetAccount"] += 1
            return self._shown_account(key)
        if request.method == "GET" and target[1].startswith("identities/"):
            self.requests["GetEmailIdentity"] += 1
            return self._identity(key, urllib.parse.unquote(target[1].removeprefix("identities/")).lower())
        if target != ("POST", "outbound-emails"):
            raise AwsRefusal("NotFoundException", "No such operation", 404)
        self.requests["SendEmail"] += 1
        return await self._sent(key, request)

    async def _sent(self, key: AccessKey, request: Request) -> Response:
        sender, recipients, content = _read(request)
        message = self._message(key, request, sender, recipients, content)
        await self._strike("send_email", stored=message)
        self._refuse(key, sender, recipients, content)
        usage = self._premises.usage
        usage.add_recipients(NAME, ACCOUNT, len(recipients))
        self._keep(message)
        return Response.json({"MessageId": message.id})

    def _refuse(self, key: AccessKey, sender: str, recipients: Sequence[str], content: bytes) -> None:
        authors = _authors(content)
        senders = dict.fromkeys([*([sender.lower()] if sender else []), *authors])
        for address in senders:
            identity = f"arn:aws:ses:{self._options.ses_region}:{ACCOUNT}:identity/{address.rpartition('@')[2]}"
            self._account.permit(key, "ses:SendRawEmail", identity)
        if not self.sending_enabled:
            raise self._refusal("ses_api_paused")
        if len(content) > provider_named("ses").size:
            raise AwsRefusal("MessageRejected", f"Message length is more than {provider_named('ses').size} bytes long")
        if not authors:
            raise AwsRefusal("BadRequestException", "Missing required header 'From'.")
        if len(recipients) > provider_named("ses").recipients_per_message:
            raise AwsRefusal("BadRequestException", "Recipient count exceeds 50.")
        if any(not _ADDRESS.fullmatch(address) for address in recipients):
            raise AwsRefusal("BadRequestException", "Local address contains control or whitespace")
        if any(len(line) > _LONGEST_LINE for line in content.split(b"\n")):
            raise AwsRefusal("BadRequestException", "Invalid MIME: a line is longer than 1000 characters")
        unknown = [address for address in senders if not self._knows(address)]
        if self.sandbox:
            unknown += [address for address in recipients if not self._knows(address.lower())]
        if unknown:
            raise self._refusal("ses_api_not_verified", sender=", ".join(unknown))
        today = self._premises.usage.recipients_today(NAME, ACCOUNT)
        if today + len(recipients) > self._options.ses_recipients_per_day:
            raise self._refusal("ses_api_daily_quota")

    def _knows(self, address: str) -> bool:
        return address in self.verified or address.rpartition("@")[2] in self.verified

    def _shown_account(self, key: AccessKey) -> Response:
        self._account.permit(key, "ses:GetAccount", "*")
        sent = self._premises.usage.recipients_today(NAME, ACCOUNT)
        quota = {"Max24HourSend": float(self._options.ses_recipients_per_day), "MaxSendRate": self.rate}
        return Response.json(
            {
                "EnforcementStatus": "HEALTHY",
                "ProductionAccessEnabled": not self.sandbox,
                "SendingEnabled": self.sending_enabled,
                "SendQuota": quota | {"SentLast24Hours": float(sent)},
            }
        )

    def _identity(self, key: AccessKey, identity: str) -> Response:
        arn = f"arn:aws:ses:{self._options.ses_region}:{ACCOUNT}:identity/{identity}"
        self._account.permit(key, "ses:GetEmailIdentity", arn)
        if identity not in self.verified:
            raise AwsRefusal("NotFoundException", f"Email identity {identity} does not exist.", 404)
        kind = "EMAIL_ADDRESS" if "@" in identity else "DOMAIN"
        return Response.json({"IdentityType": kind, "VerifiedForSendingStatus": True})

    async def _strike(self, stage: str, stored: ReceivedMessage | None) -> None:
        try:
            fault = await struck(self._premises.faults, NAME, stage, self._options.idle_timeout)
        except NoResponse:
            if stored is not None:
                self._keep(stored)
            raise
        if isinstance(fault, Fault):
            named = {"sender": stored.reverse_path, "recipient": stored.forward_paths[0]} if stored else {}
            raise self._as_refused(fault, **named)
        if fault is not None:
            raise AwsRefusal("InternalFailure", "Service unavailable", fault.status)

    def _refusal(self, name: str, **named: str) -> AwsRefusal:
        return self._as_refused(known_faults()[name], **named)

    def _as_refused(self, fault: Fault, **named: str) -> AwsRefusal:
        text = fault.description.format(zone=self._options.ses_region.upper(), account=ACCOUNT, **named)
        return AwsRefusal(fault.error, text, fault.status)

    def _message(
        self, key: AccessKey, request: Request, sender: str, recipients: Sequence[str], content: bytes
    ) -> ReceivedMessage:
        sink = self._premises.messages.sink(self._premises.directory)
        sink.write(content)
        return ReceivedMessage(
            id=f"0108{secrets.token_hex(14)}-000000",
            provider="ses",
            login=key.arn,
            helo=request.headers.get("user-agent", ""),
            peer="",
            tls="TLS",
            reverse_path=sender,
            mail_parameters={},
            recipients=tuple(ReceivedRecipient(address, {}) for address in recipients),
            stored=sink.finish(),
            longest_line=max(map(len, content.split(b"\r\n"))),
            received_at=milliseconds(),
        )

    def _keep(self, message: ReceivedMessage) -> None:
        self._premises.messages.add(message)


def _read(request: Request) -> tuple[str, tuple[str, ...], bytes]:
    """Return envelope and content; the content as it is delivered, which is without Bcc. Raises AwsRefusal."""
    try:
        body: dict[str, Any] = json.loads(request.body)
        given: dict[str, list[str]] = body.get("Destination", {})
        content = base64.b64decode(body["Content"]["Raw"]["Data"], validate=True)
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error):
        raise AwsRefusal("BadRequestException", "1 validation error detected") from None
    recipients = [address for kind in ("To", "Cc", "Bcc") for address in given.get(f"{kind}Addresses", [])]
    if not recipients:
        raise AwsRefusal("BadRequestException", "Missing final '@domain'")
    return str(body.get("FromEmailAddress", "")), tuple(recipients), content


def _authors(content: bytes) -> tuple[str, ...]:
    header, _, _ = content.partition(b"\r\n\r\n")
    parsed = email.parser.BytesHeaderParser(policy=email.policy.compat32).parsebytes(header)
    fields = [str(value) for value in parsed.get_all("From", [])]
    return tuple(address.lower() for _, address in email.utils.getaddresses(fields) if address)
