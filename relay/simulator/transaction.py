"""MAIL, RCPT, DATA and BDAT of one conversation, strictly (RFC 5321 §3.3, RFC 3030)."""

from __future__ import annotations

import asyncio
import email.message
import email.parser
import email.policy
import email.utils
import secrets

from relay.simulator.command import Path, Refusal, chunk_size, mail_path, rcpt_path
from relay.simulator.dialogue import Closing, Dialogue
from relay.simulator.dot_reader import ContentFaults, DotReader
from relay.simulator.mailbox import ContentSink, ReceivedMessage, ReceivedRecipient
from relay.simulator.premises import milliseconds
from relay.simulator.provider import Rules

_HEADER = 64 * 1024


class Transaction:
    """The mail transaction of one conversation; `begun` between an accepted MAIL and what ends it."""

    def __init__(self, dialogue: Dialogue, rules: Rules) -> None:
        self._dialogue = dialogue
        self._rules = rules
        self._reverse_path: Path | None = None
        self._recipients: list[ReceivedRecipient] = []
        self._sink: ContentSink | None = None
        self._faults = ContentFaults()
        self.helo = ""

    @property
    def begun(self) -> bool:
        """True after an accepted MAIL."""
        return self._reverse_path is not None

    def reset(self) -> None:
        """Forget the transaction."""
        if self._sink is not None:
            self._sink.discard()
        self._reverse_path, self._sink = None, None
        self._recipients = []
        self._faults = ContentFaults()

    async def mail(self, argument: str) -> None:
        """MAIL."""
        dialogue = self._dialogue
        path = mail_path(argument, dialogue.offered)
        if isinstance(path, Refusal):
            await self._refuse(path)
            return
        if await self._refuse_smtputf8(path, smtputf8="SMTPUTF8" in path.parameters):
            return
        if await dialogue.struck("mail", sender=path.address):
            return
        dialogue.premises.usage.begin_message(dialogue.provider.name, dialogue.login)
        if refusal := await self._mail_refusal(path):
            await dialogue.say(refusal, sender=path.address)
            return
        self._reverse_path = path
        await dialogue.say("mail_accepted", sender=path.address)

    async def rcpt(self, argument: str) -> None:
        """RCPT."""
        dialogue = self._dialogue
        if self._reverse_path is None or self._sink is not None:
            await dialogue.say("sequence")
            return
        path = rcpt_path(argument, dialogue.offered)
        if isinstance(path, Refusal):
            await self._refuse(path)
            return
        if await self._refuse_smtputf8(path, smtputf8="SMTPUTF8" in self._reverse_path.parameters):
            return
        if await dialogue.struck("rcpt", (path.address,), recipient=path.address):
            return
        if len(self._recipients) >= dialogue.provider.recipients_per_message:
            dialogue.premises.violate(dialogue.provider.name, "more recipients than a message may have")
            await dialogue.say("too_many_recipients")
            return
        self._recipients.append(ReceivedRecipient(path.address, path.parameters))
        await dialogue.say("rcpt_accepted", recipient=path.address)

    async def data(self, argument: str) -> None:
        """DATA, to the final reply."""
        dialogue = self._dialogue
        if argument:
            await dialogue.say("syntax_argument")
            return
        if self._reverse_path is None or self._sink is not None or self._body == "BINARYMIME":
            await dialogue.say("sequence")
            return
        if not self._recipients:
            await dialogue.say("no_recipients")
            return
        if await dialogue.struck("data", self._addresses):
            self.reset()
            return
        self._sink = dialogue.premises.messages.sink(dialogue.premises.directory)
        await dialogue.say("data")
        await self._read_content()
        self._faults.end()
        await self._finish(dotted=True)

    async def bdat(self, argument: str) -> None:
        """BDAT, one chunk."""
        dialogue = self._dialogue
        size = chunk_size(argument)
        if isinstance(size, Refusal):
            await self._refuse(size)
            # Where the chunk ends is unknown: whatever follows would be taken for commands.
            raise Closing
        octets, last = size
        refusal = None
        if self._reverse_path is None:
            refusal = "sequence"
        elif not self._recipients:
            refusal = "no_recipients"
        if refusal is None and self._sink is None:
            self._sink = dialogue.premises.messages.sink(dialogue.premises.directory)
        await self._read_octets(octets, keep=refusal is None)
        if refusal is not None:
            await dialogue.say(refusal)
        elif last:
            await self._finish(dotted=False)
        else:
            await dialogue.say("chunk_accepted")

    @property
    def _body(self) -> str:
        parameters = self._reverse_path.parameters if self._reverse_path else {}
        return (parameters.get("BODY") or "7BIT").upper()

    @property
    def _addresses(self) -> tuple[str, ...]:
        return tuple(recipient.forward_path for recipient in self._recipients)

    async def _mail_refusal(self, path: Path) -> str | None:
        dialogue = self._dialogue
        if self._reverse_path is not None:
            return "sequence"
        if int(path.parameters.get("SIZE") or 0) > dialogue.provider.size:
            return "too_large"
        refusal = self._rules.refuse_reverse_path(dialogue.login, path.address)
        if refusal is None and self._rules.allowance.stage == "mail":
            return await self._above_allowance()
        return refusal

    async def _refuse(self, refusal: Refusal) -> None:
        self._dialogue.premises.violate(self._dialogue.provider.name, refusal.detail)
        await self._dialogue.say(refusal.text)

    async def _refuse_smtputf8(self, path: Path, *, smtputf8: bool) -> bool:
        if path.ascii or smtputf8:
            return False
        return await self._dialogue.refuse("not_smtputf8", "an address beyond ASCII without SMTPUTF8")

    async def _read_content(self) -> None:
        reader = DotReader()
        while reader.rest is None:
            self._take(reader.feed(await self._some(256 * 1024)))
        self._dialogue.connection.unread(reader.rest)

    async def _read_octets(self, octets: int, *, keep: bool) -> None:
        while octets:
            piece = await self._some(octets)
            octets -= len(piece)
            if keep:
                self._take(piece)

    async def _some(self, most: int) -> bytes:
        async with asyncio.timeout(self._dialogue.premises.options.idle_timeout):
            return await self._dialogue.connection.read_some(min(most, 256 * 1024))

    def _take(self, piece: bytes) -> None:
        assert self._sink is not None  # noqa: S101 (made before reading)
        self._faults.look_at(piece)
        if self._sink.size <= self._dialogue.provider.size:
            self._sink.write(piece)

    async def _finish(self, *, dotted: bool) -> None:
        dialogue = self._dialogue
        try:
            fault = dialogue.due("final", self._addresses)
            if fault is not None:
                if fault.stored and fault.action in ("close", "silence"):
                    self._keep(secrets.token_hex(8).upper(), answered=False)
                if await dialogue.strike(fault, sender=self._sender, recipient=self._addresses[0]):
                    return
            if refusal := self._content_refusal(dotted=dotted) or await self._above_allowance_at_the_end():
                await dialogue.say(refusal, sender=self._sender)
                return
            if refusal := self._rules.refuse_message(self._sender, dialogue.login, self._authors()):
                await dialogue.say(refusal, sender=self._sender)
                return
            number = secrets.token_hex(8).upper()
            self._keep(number, answered=True)
            await dialogue.say("accepted", id=number)
        finally:
            self.reset()

    @property
    def _sender(self) -> str:
        return self._reverse_path.address if self._reverse_path else ""

    def _content_refusal(self, *, dotted: bool) -> str | None:
        assert self._sink is not None  # noqa: S101
        premises, provider = self._dialogue.premises, self._dialogue.provider
        if self._sink.size > provider.size:
            return "too_large"
        if self._faults.bare_line_end and dotted:
            premises.violate(provider.name, "a CR or LF alone in content")
            return "bare_line_end"
        if self._faults.eight_bit and self._body == "7BIT":
            premises.violate(provider.name, "octets above 127 in content declared as 7BIT")
            return "eight_bit" if premises.options.strict else None
        return None

    async def _above_allowance_at_the_end(self) -> str | None:
        return await self._above_allowance() if self._rules.allowance.stage == "final" else None

    async def _above_allowance(self) -> str | None:
        dialogue, allowance = self._dialogue, self._rules.allowance
        name, login, premises = dialogue.provider.name, dialogue.login, dialogue.premises
        if allowance.connections and premises.usage.place(name, login, dialogue) >= allowance.connections:
            premises.violate(name, "more connections at once than a login may have")
            return "concurrency"
        wait = premises.usage.wait_for_message(name, login, allowance.messages, allowance.period)
        if wait:
            premises.violate(name, "more messages than a login may send")
            if not allowance.delays:
                return allowance.too_many
            await asyncio.sleep(wait)
        today = premises.usage.recipients_today(name, login)
        if allowance.recipients_per_day and today + len(self._recipients) > allowance.recipients_per_day:
            premises.violate(name, "more recipients a day than a login may have")
            return "daily"
        return None

    def _authors(self) -> tuple[str, ...]:
        assert self._sink is not None  # noqa: S101
        header, _, _ = self._sink.head(_HEADER).partition(b"\r\n\r\n")
        parsed: email.message.Message = email.parser.BytesHeaderParser(policy=email.policy.compat32).parsebytes(header)
        fields = [str(value) for value in parsed.get_all("From", [])]
        return tuple(address.lower() for _, address in email.utils.getaddresses(fields) if address)

    def _keep(self, number: str, *, answered: bool) -> None:
        assert self._sink is not None  # noqa: S101
        assert self._reverse_path is not None  # noqa: S101
        dialogue = self._dialogue
        message = ReceivedMessage(
            id=number,
            provider=dialogue.provider.name,
            login=dialogue.login,
            helo=self.helo,
            peer=dialogue.connection.peer,
            tls=dialogue.connection.tls,
            reverse_path=self._reverse_path.address,
            mail_parameters=self._reverse_path.parameters,
            recipients=tuple(self._recipients),
            stored=self._sink.finish(),
            longest_line=self._faults.longest_line,
            received_at=milliseconds(),
            answered=answered,
        )
        self._sink = None
        dialogue.premises.usage.add_recipients(dialogue.provider.name, dialogue.login, len(message.recipients))
        dialogue.premises.messages.add(message)
