"""Amazon SES by its API, version 2: one SendEmail with raw content a message, as whatever role the machine has.

https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html. The recipients of the envelope are the
Destination: where it is given SES delivers to them and to nobody else, and leaves To and Cc of the raw header alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Sequence
from typing import Any, Final

from relay.envelope import WHOLE, Content, Envelope
from relay.reply import Reply, reply
from relay.upstream.aws_client import AwsClient
from relay.upstream.commands import misfit_of
from relay.upstream.contract import Cause, Clearance, Conversation, Phase
from relay.upstream.detached import detached
from relay.upstream.extensions import Extensions
from relay.upstream.failures import ConversationEnded, reply_for
from relay.upstream.reencoding import reencoded
from relay.upstream.ses_account import Pace, SesAccount, SesExamination
from relay.upstream.ses_replies import ApiRefusal, reply_to

CLOSING: Final = 2.0
"""Seconds that closing may take."""

ACCOUNT_LIFE: Final = 3600.0
"""Seconds after which the account's limits are asked for again, while messages go."""

_OK: Final = reply(250, "2.1.5", "Recipient ok")


class SesApi:
    """One account in one region. `host` is what replies are said by; `largest` octets of a message."""

    def __init__(self, name: str, host: str, aws: AwsClient, *, largest: int, long_lines: bool) -> None:
        self._name = name
        self._host = host
        self._aws = aws
        self._offers = Extensions(frozenset({"8BITMIME", "SIZE"}), size_limit=largest)
        self._long_lines = long_lines
        self._sending = 0
        # Each copy of a message in base64 and in JSON is whole in memory: of large ones only one at a time.
        self._large = asyncio.Lock()
        self._pace = Pace()
        self._account: SesAccount | None = None
        self._asked_at = float("-inf")
        self._asking: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<SesApi {self._name} {self._host} {self._sending} sending>"

    @property
    def name(self) -> str:
        """Its table's name in the configuration."""
        return self._name

    @property
    def connections(self) -> int:
        """Requests under way."""
        return self._sending

    async def send(self, envelope: Envelope, content: Content, clearance: Clearance) -> Conversation:
        """Offer one message. A request that was sent whole and never answered is the ambiguous end."""
        nothing = (None,) * len(envelope.recipients)
        misfit = misfit_of(envelope, content, self._offers)
        if misfit is not None:
            return Conversation(Phase.MAIL, nothing, reply_for(misfit, Phase.MAIL, self._host), misfit)
        self._sending += 1
        try:
            if not self._aws.made:
                await detached(f"credentials {self._name}", self._aws.prepare)
            await clearance.before_mail()
            self._learn_account()
            if content.size <= WHOLE:
                said = await self._offered(envelope, content, clearance)
            else:
                async with self._large:
                    said = await self._offered(envelope, content, clearance)
        except ConversationEnded as end:
            ambiguous = end.phase is Phase.FINAL_DOT
            return Conversation(end.phase, nothing, None if ambiguous else end.reply, end.cause)
        finally:
            self._sending -= 1
        return Conversation(Phase.DONE, (_OK,) * len(nothing), said)

    async def probe(self) -> Conversation:
        """Ask for the account, with a signature; without the right to that, the signature alone is what counts."""
        try:
            self._account = await self._account_now()
        except ConversationEnded as end:
            return end.conversation(0)
        self._asked_at = asyncio.get_running_loop().time()
        refusal = self._account.refusal(self._host) if self._account is not None else None
        if refusal is not None:
            return Conversation(Phase.AUTH, (), refusal)
        told = str(self._account or "its limits are not known: ses:GetAccount is not allowed")
        return Conversation(Phase.DONE, (), reply(250, "2.0.0", told, self._host))

    async def look_at_account(self, senders: Sequence[str]) -> SesExamination:
        """Look at the credentials, the account, and whether it may send as `senders`; nothing is sent."""
        found = SesExamination()
        try:
            await detached(f"credentials {self._name}", self._aws.prepare)
            found.identity = self._aws.identity
            found.account = await self._account_now()
            for sender in senders:
                found.senders[sender] = await self._verified(sender)
        except ConversationEnded as end:
            found.ended = end
        return found

    async def retire(self) -> None:
        """Do nothing: what is kept open takes no place of a request."""

    async def aclose(self) -> None:
        """Close what is kept open; a request under way ends by itself."""
        if self._asking is not None:
            self._asking.cancel()
        with contextlib.suppress(TimeoutError):
            # Whoever is just looking for credentials may take longer than the process has left.
            async with asyncio.timeout(CLOSING):
                await detached(f"close {self._name}", self._aws.close)

    async def _offered(self, envelope: Envelope, content: Content, clearance: Clearance) -> Reply:
        octets = await self._whole(content)
        await self._wait_turn(len(envelope.recipients))
        if not clearance.before_final_dot():
            said = reply_for(Cause.LEASE_LOST, Phase.CONTENT, self._host)
            raise ConversationEnded(Phase.CONTENT, said, Cause.LEASE_LOST)
        message: dict[str, Any] = {
            "Destination": {"ToAddresses": [str(row.forward_path) for row in envelope.recipients]},
            "Content": {"Raw": {"Data": octets}},
        }
        if envelope.reverse_path is not None:
            # Of a null reverse-path SES knows nothing: the author is told of bounces then.
            message["FromEmailAddress"] = str(envelope.reverse_path)
        call = functools.partial(self._aws.ask, lambda client: client.send_email(**message))
        answer = await detached(f"message {self._name}", call)
        if isinstance(answer, ApiRefusal):
            raise ConversationEnded(*reply_to(answer, self._host))
        return reply(250, "2.0.0", f"Ok {answer.get('MessageId', '')}", self._host)

    async def _whole(self, content: Content) -> bytes:
        octets = bytearray()
        try:
            if self._long_lines:
                content = await reencoded(content, eight_bit=False, long_lines=True)
            async for chunk in content.chunks():
                octets += chunk
        except Exception as error:
            # The content is somebody else's, who may fail in any way.
            said = reply_for(Cause.CONTENT_UNREADABLE, Phase.MAIL, self._host)
            raise ConversationEnded(Phase.MAIL, said, Cause.CONTENT_UNREADABLE) from error
        return bytes(octets)

    async def _wait_turn(self, recipients: int) -> None:
        if self._account is not None:
            now = asyncio.get_running_loop().time()
            await asyncio.sleep(self._pace.wait(recipients, self._account.per_second, now))

    def _learn_account(self) -> None:
        """Ask for the account's limits beside the mail, which doesn't wait for that."""
        now = asyncio.get_running_loop().time()
        if now - self._asked_at >= ACCOUNT_LIFE and (self._asking is None or self._asking.done()):
            self._asked_at = now
            self._asking = asyncio.create_task(self._learned())

    async def _learned(self) -> None:
        try:
            self._account = await self._account_now()
        except ConversationEnded:
            return  # mail finds out by itself what is wrong

    async def _verified(self, sender: str) -> bool | None:
        """Tell whether the address, its domain, or a domain above that is verified; None where SES does not tell."""
        domain = sender.rpartition("@")[2]
        parents = [domain.split(".", at)[-1] for at in range(domain.count("."))]
        for identity in (*parents, sender):
            asking = functools.partial(_identity, identity)
            answer = await detached(f"identity {self._name}", functools.partial(self._aws.ask, asking))
            if not isinstance(answer, ApiRefusal):
                if answer.get("VerifiedForSendingStatus"):
                    return True
            elif answer.kind != "NotFound":
                return None
        return False

    async def _account_now(self) -> SesAccount | None:
        """Return None where the account may not be looked at. Raises ConversationEnded."""
        answer = await detached(f"account {self._name}", lambda: self._aws.ask(lambda client: client.get_account()))
        if isinstance(answer, ApiRefusal):
            if answer.kind == "AccessDenied":
                return None
            raise ConversationEnded(*reply_to(answer, self._host))
        return SesAccount.of(answer)


def _identity(identity: str, client: Any) -> Any:
    return client.get_email_identity(EmailIdentity=identity)
