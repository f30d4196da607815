"""One SMTP session (RFC 5321 §3 and §4): what each command does, and in which order they are allowed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

from relay.config.listener_settings import ListenerSettings
from relay.envelope import Origin
from relay.inbound import admission, replies
from relay.inbound.authentication import RESPONSE_LIMIT
from relay.inbound.clients import Client, IPAddress
from relay.inbound.inflow import Inflow
from relay.inbound.login import Login
from relay.inbound.parameters import bdat_arguments, mail_arguments, rcpt_arguments
from relay.inbound.premises import Premises
from relay.inbound.reception import Reception
from relay.inbound.transaction import Transaction
from relay.inbound.wire import Wire
from relay.inbound.wire_content import Chunk, Dotted
from relay.reply import Reply
from relay.spool.contract import Draft

_COMMAND_LIMIT: Final = 4096
"""Octets of a command line; RFC 5321 §4.5.3.1.4 asks for 512, extensions add to it."""

_MOST_UNRECOGNIZED: Final = 10
_BEFORE_TLS: Final = frozenset({b"NOOP", b"EHLO", b"HELO", b"RSET", b"HELP", b"STARTTLS", b"QUIT"})
_FORGETTING: Final = frozenset({b"EHLO", b"HELO", b"RSET", b"STARTTLS"})
_HTTP: Final = frozenset({b"GET", b"POST", b"PUT", b"HEAD", b"CONNECT", b"OPTIONS"})


class Session:
    """Says nothing by itself: the protocol hands it commands and sends what it returns.

    `over` ends the connection; `spoken` tells that there was a command; `receiving` that content is coming in or being
    put, which a drain lets finish; `putting` that nothing may cancel what is under way. While there is `content`, what
    comes in is for `receive`.
    """

    def __init__(
        self, listener: str, settings: ListenerSettings, premises: Premises, wire: Wire, address: IPAddress
    ) -> None:
        self.over = False
        self.spoken = False
        self.receiving = False
        self.putting = False
        self.content: Dotted | Chunk | None = None
        self._listener = listener
        self._settings = settings
        self._premises = premises
        self._wire = wire
        self._address = address
        self._peer = str(address)
        self._unrecognized = 0
        self._noted = False
        self._helo = ""
        self._extended = False
        self._transaction: Transaction | None = None
        self._login = Login(premises, listener, address, self._peer)

    # ---- what the protocol calls

    def answer(self, line: bytes) -> Reply | Awaitable[Reply]:
        """Do what a command line says, and return the reply to it; more than RESPONSE_LIMIT octets are never read."""
        if self._login.under_way:
            return self._tried(self._login.respond(line))
        verb, _, argument = line.partition(b" ")
        verb = verb.upper()
        if len(line) > (RESPONSE_LIMIT if verb == b"AUTH" else _COMMAND_LIMIT):
            return replies.LINE_TOO_LONG
        command = COMMANDS.get(verb)
        if command is None:
            return self._unknown(verb.strip())
        self.spoken = True
        if self._settings.require_tls and self._wire.tls is None and verb not in _BEFORE_TLS:
            reply = replies.ENCRYPTION_REQUIRED if verb == b"AUTH" else replies.TLS_FIRST
            self._learn(reply)
            return self._refused("tls", reply)
        if self.receiving and verb in _FORGETTING:
            return self._forget_first(command, argument.strip())
        return command(self, argument.strip())

    async def _forget_first(self, command: _Command, argument: bytes) -> Reply:
        await self.close()
        reply = command(self, argument)
        return reply if isinstance(reply, Reply) else await reply

    def receive(self, inflow: Inflow) -> Reply | Awaitable[Reply] | None:
        """Take content that has come in, and return the reply to it; None when more has to come in first."""
        content = self.content
        if content is None:
            raise RuntimeError("no content is coming in")
        if content.take(inflow) and content.reception is not None:
            return self._spill(content, content.reception)
        return self._received(content) if content.complete else None

    async def _spill(self, content: Dotted | Chunk, reception: Reception) -> Reply:
        await reception.spill()
        if not content.complete:
            return NOTHING
        reply = self._received(content)
        return reply if isinstance(reply, Reply) else await reply

    async def close(self) -> None:
        """Forget what was not handed over. The connection has ended, in whatever way."""
        transaction, self._transaction = self._transaction, None
        self.receiving = False
        self.content = None
        if transaction is not None and transaction.reception is not None:
            await transaction.reception.discard()

    # ---- hello

    def _ehlo(self, argument: bytes) -> Reply:
        if not argument:
            return replies.HELLO_NAME_MISSING
        self._hello(argument, extended=True)
        settings = self._settings
        mechanisms = " ".join(settings.auth) if self._auth_offered else ""
        starttls = settings.offers_starttls and self._wire.tls is None
        return replies.offers(self._premises.hostname, settings.max_message_size, mechanisms, starttls=starttls)

    def _say_helo(self, argument: bytes) -> Reply:
        if not argument:
            return replies.HELLO_NAME_MISSING
        self._hello(argument, extended=False)
        return Reply(250, None, self._premises.hostname)

    def _hello(self, argument: bytes, *, extended: bool) -> None:
        self._helo = argument[:255].decode("utf-8", "replace")
        self._extended = extended
        self._transaction = None

    @property
    def _auth_offered(self) -> bool:
        return bool(self._settings.auth) and (self._wire.tls is not None or not self._settings.require_tls)

    # ---- TLS and AUTH

    async def _starttls(self, argument: bytes) -> Reply:
        if argument:
            return replies.NO_ARGUMENT_ALLOWED
        if self._wire.tls is not None:
            return replies.TLS_ACTIVE
        if not self._settings.offers_starttls:
            return replies.NOT_IMPLEMENTED
        # RFC 3207 §4.2: nothing learned before counts any more.
        self._helo = ""
        self._extended = False
        self._transaction = None
        self._login = Login(self._premises, self._listener, self._address, self._peer)
        self._wire.say(replies.READY_FOR_TLS)
        self.over = not await self._wire.start_tls()
        return NOTHING

    def _auth(self, argument: bytes) -> Reply | Awaitable[Reply]:
        words = argument.split()
        if not self._helo or not self._extended:
            return replies.EHLO_FIRST if self._helo else replies.HELLO_FIRST
        if not self._settings.auth:
            return replies.NOT_IMPLEMENTED
        if self._login.client is not None:
            return replies.AUTHENTICATED_ALREADY
        if self._transaction is not None:
            return replies.AUTH_IN_TRANSACTION
        if not 1 <= len(words) <= 2:
            return replies.AUTH_SYNTAX
        mechanism = words[0].decode("ascii", "replace").upper()
        if mechanism not in self._settings.auth:
            return replies.MECHANISM_UNKNOWN
        return self._tried(self._login.begin(mechanism, words[1] if len(words) == 2 else None))

    def _tried(self, said: Reply | Awaitable[Reply]) -> Reply | Awaitable[Reply]:
        """Take note of what a login came to."""
        if not isinstance(said, Reply):
            return self._tried_later(said)
        if said.code == 421:
            self._refused("auth", said)
            self.over = True
        elif said.permanent:
            self._learn(said, mechanism=self._login.mechanism, username=self._login.username)
        return said

    async def _tried_later(self, said: Awaitable[Reply]) -> Reply:
        reply = await said
        self._tried(reply)
        return reply

    # ---- the transaction

    def _mail(self, argument: bytes) -> Reply:
        if not self._helo:
            return replies.HELLO_FIRST
        if self._transaction is not None:
            return replies.NESTED_MAIL
        client = self._client()
        if client is None:
            reason = "auth" if self._auth_offered else "relay"
            logged_in = self._login.client is not None
            reply = admission.refuse_stranger(auth_offered=self._auth_offered, logged_in=logged_in)
            self.over = logged_in
            self._learn(reply, sender=argument.decode("utf-8", "replace").partition(":")[2].strip())
            return self._refused(reason, reply)
        arguments = mail_arguments(argument, extended=self._extended)
        if isinstance(arguments, Reply):
            return self._refused("syntax", arguments, client)
        refusal = self._premises.refuse_mail(client.settings, client.name, arguments, self._largest(client))
        if refusal is not None:
            return self._refused(refusal[1], refusal[0], client, sender=arguments.sender)
        mechanism = self._login.mechanism if self._login.client is not None else None
        origin = Origin(self._listener, client.name, self._peer, self._helo, self._wire.tls, mechanism)
        routes = self._premises.sender_routes
        self._transaction = Transaction(client, arguments, origin, routes, extended=self._extended)
        return replies.SENDER_OK

    def _rcpt(self, argument: bytes) -> Reply:
        transaction = self._transaction
        if transaction is None:
            return replies.MAIL_FIRST
        if transaction.reception is not None:
            return replies.BDAT_IN_PROGRESS
        smtputf8 = transaction.arguments.smtputf8
        recipient = rcpt_arguments(
            argument, extended=self._extended, smtputf8=smtputf8, hostname=self._premises.hostname
        )
        client = transaction.client
        if isinstance(recipient, Reply):
            return self._refused("syntax", recipient, client)
        if not transaction.has(recipient.forward_path):
            refusal = admission.refuse_forward_path(client.settings, len(transaction.recipients))
            if refusal is not None:
                return self._refused("recipient", refusal, client, recipient=str(recipient.forward_path))
            transaction.add(recipient)
        return replies.RECIPIENT_OK

    def _data(self, argument: bytes) -> Reply:
        transaction = self._transaction
        if argument:
            return replies.NO_ARGUMENT_ALLOWED
        if transaction is None:
            return replies.MAIL_FIRST
        if transaction.reception is not None:
            return replies.BDAT_IN_PROGRESS
        if not transaction.recipients:
            return replies.NO_VALID_RECIPIENTS
        self.content = Dotted(self._begin(transaction))
        self.receiving = True
        return replies.START_INPUT

    def _bdat(self, argument: bytes) -> Reply:
        arguments = bdat_arguments(argument)
        if arguments is None:
            # The octets that follow can't be told from commands.
            self.over = True
            return replies.BDAT_SYNTAX
        transaction, reception = self._transaction, None
        if transaction is not None and transaction.recipients:
            reception = transaction.reception or self._begin(transaction)
            self.receiving = True
        self.content = Chunk(arguments[0], reception, last=arguments[1])
        return NOTHING

    def _received(self, content: Dotted | Chunk) -> Reply | Awaitable[Reply]:
        self.content = None
        transaction, reception = self._transaction, content.reception
        if transaction is None or reception is None:
            return replies.MAIL_FIRST if transaction is None else replies.NO_VALID_RECIPIENTS
        if isinstance(content, Chunk) and not content.last and reception.refusal is None:
            return replies.chunk_received(content.size)
        return self._accept(transaction, reception)

    def _begin(self, transaction: Transaction) -> Reception:
        premises, most = self._premises, self._largest(transaction.client)
        return transaction.receive(most, premises.hostname, premises.intake, premises.now())

    async def _accept(self, transaction: Transaction, reception: Reception) -> Reply:
        content = await reception.finish()
        # From here on the content is refused, or the spool's: a hang-up must not discard it.
        self._transaction = None
        try:
            return await self._handed_over(transaction, reception, content)
        finally:
            self.receiving = self.putting = False

    async def _handed_over(
        self, transaction: Transaction, reception: Reception, content: bytes | Draft | None
    ) -> Reply:
        if content is None:
            reply, reason = reception.refusal or (replies.OUR_ERROR, "spool")
            return self._refused(reason, reply, transaction.client, sender=transaction.arguments.sender)
        premises, now = self._premises, self._premises.now()
        candidates = premises.candidates(transaction, reception.size, now)
        if isinstance(candidates, Reply):
            if not isinstance(content, bytes):
                await content.discard()
            reason = "size" if candidates.permanent else "relay"
            return self._refused(reason, candidates, transaction.client, sender=transaction.arguments.sender)
        arrival = transaction.arrival(content, premises.settings, candidates, now)
        if premises.carrier is not None and transaction.client.settings.delivery == "direct":
            return await premises.carrier.carry(arrival, lambda: not self._wire.deserted)
        self.putting = True
        return await premises.acceptance.accept(arrival)

    def _largest(self, client: Client) -> int:
        own, most = client.settings.max_message_size, self._settings.max_message_size
        return most if own is None else min(own, most)

    # ---- the rest

    def _rset(self, argument: bytes) -> Reply:
        if argument:
            return replies.NO_ARGUMENT_ALLOWED
        self._transaction = None
        return replies.OK

    def _noop(self, _argument: bytes) -> Reply:
        return replies.OK

    def _help(self, _argument: bytes) -> Reply:
        return replies.HELP

    def _vrfy(self, _argument: bytes) -> Reply:
        if self._client() is None:
            return admission.refuse_stranger(auth_offered=self._auth_offered)
        return replies.CANNOT_VERIFY

    def _expn(self, _argument: bytes) -> Reply:
        return replies.NOT_IMPLEMENTED

    def _quit(self, _argument: bytes) -> Reply:
        self.over = True
        return replies.BYE

    def _unknown(self, verb: bytes) -> Reply:
        if verb in _HTTP:
            # A web page must not be able to speak through the browser of somebody in a client's network.
            self.over = True
            return replies.NOT_SMTP
        self._unrecognized += 1
        if self._unrecognized > _MOST_UNRECOGNIZED:
            self.over = True
            return replies.TOO_MANY_ERRORS
        return replies.UNRECOGNIZED

    def _client(self) -> Client | None:
        """Whose session this is: a login wins over the network; either is looked up anew, for it may have gone."""
        clients = self._premises.clients
        if self._login.client is not None:
            return clients.named(self._login.client.name)
        return clients.at(self._address)

    def _learn(self, reply: Reply, **said: str) -> None:
        """Record a device that none of our clients is, where the listener learns."""
        until = self._settings.learn_until
        if until is None or until.timestamp() * 1000 <= self._premises.now() or self._client() is not None:
            return
        hello = "" if not self._helo else "EHLO" if self._extended else "HELO"
        said |= {"hello": hello, "helo": self._helo, "tls": self._wire.tls or "", "refused": str(reply)}
        self._premises.devices.note(self._listener, self._address, again=self._noted, **said)
        self._noted = True

    def _refused(
        self,
        reason: str,
        reply: Reply,
        client: Client | None = None,
        *,
        sender: str | None = None,
        recipient: str | None = None,
    ) -> Reply:
        name = client.name if client is not None else None
        self._premises.journal.refused(
            self._listener, reason, reply, peer=self._peer, client=name, sender=sender, recipient=recipient
        )
        return reply


NOTHING: Final = Reply(220, None, "")
"""What a command returns that has said all by itself."""

_Command: TypeAlias = Callable[[Session, bytes], Reply | Awaitable[Reply]]

COMMANDS: Final[Mapping[bytes, _Command]] = {
    b"EHLO": Session._ehlo,
    b"HELO": Session._say_helo,
    b"STARTTLS": Session._starttls,
    b"AUTH": Session._auth,
    b"MAIL": Session._mail,
    b"RCPT": Session._rcpt,
    b"DATA": Session._data,
    b"BDAT": Session._bdat,
    b"RSET": Session._rset,
    b"NOOP": Session._noop,
    b"HELP": Session._help,
    b"VRFY": Session._vrfy,
    b"EXPN": Session._expn,
    b"QUIT": Session._quit,
}
