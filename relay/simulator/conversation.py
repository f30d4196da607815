"""One client's conversation with a provider's strict SMTP server, command by command (RFC 5321 §4.1)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from relay.simulator.authentication import Authentication
from relay.simulator.command import LIMITS, Refusal, helo_name, split
from relay.simulator.connection import Connection, Hangup, LineTooLong
from relay.simulator.dialogue import Closing, Dialogue
from relay.simulator.premises import Premises
from relay.simulator.provider import Provider, Rules
from relay.simulator.transaction import Transaction

_LAST_IN_GROUP = frozenset({"EHLO", "HELO", "STARTTLS", "AUTH", "DATA", "VRFY", "NOOP", "QUIT"})
"""RFC 2920 §3.1: nothing may be sent behind these until their reply has come."""


class Conversation:
    """From the greeting to the end; `run` returns when it is over, whatever ended it."""

    def __init__(self, connection: Connection, provider: Provider, rules: Rules, premises: Premises) -> None:
        self._connection = connection
        self._dialogue = Dialogue(connection, provider, premises)
        self._rules = rules
        self._premises = premises
        self._transaction = Transaction(self._dialogue, rules)
        self._extended = False
        self._steps: dict[str, Callable[[str], Awaitable[None]]] = {
            "EHLO": self._ehlo,
            "HELO": self._helo,
            "STARTTLS": self._starttls,
            "AUTH": self._auth,
            "MAIL": self._mail,
            "RCPT": self._rcpt,
            "DATA": self._data,
            "BDAT": self._bdat,
            "RSET": self._rset,
            "NOOP": self._noop,
            "VRFY": self._vrfy,
            "HELP": self._help,
            "QUIT": self._quit,
        }

    async def run(self) -> None:
        """Converse until either side ends it."""
        dialogue = self._dialogue
        try:
            if not await dialogue.struck("greeting"):
                await dialogue.say("greeting")
            while True:
                await self._command()
        except Closing:
            self._connection.close()
        except (Hangup, TimeoutError):
            self._connection.abort()
        finally:
            self._transaction.reset()
            self._premises.usage.sign_out(dialogue.provider.name, dialogue.login, dialogue)

    async def _command(self) -> None:
        dialogue = self._dialogue
        try:
            line = await dialogue.read_line(LIMITS["AUTH"])
            said = split(line)
        except LineTooLong:
            said = Refusal("line_too_long", "a line above every limit")
        if isinstance(said, Refusal):
            self._premises.violate(dialogue.provider.name, said.detail)
            await dialogue.say(said.text)
            return
        verb, argument = said
        step = self._steps.get(verb)
        if step is None or (verb == "BDAT" and "CHUNKING" not in dialogue.offered):
            await dialogue.say("unrecognized", verb=verb[:20])
            return
        if self._connection.waiting and await self._refuse_pipelining(verb):
            return
        try:
            await step(argument)
        except LineTooLong:
            await dialogue.say("line_too_long")

    async def _refuse_pipelining(self, verb: str) -> bool:
        if "PIPELINING" in self._dialogue.offered and verb not in _LAST_IN_GROUP:
            return False
        if verb == "BDAT":
            return False
        if verb == "STARTTLS":
            # What came in clear must never be taken for something said in TLS.
            self._connection.discard()
        if not await self._dialogue.refuse("pipelining", f"{verb} with more sent behind it before its reply"):
            return False
        # What follows may be content: taking it for commands would do things that nobody asked for.
        raise Closing

    async def _ehlo(self, argument: str) -> None:
        dialogue = self._dialogue
        name = helo_name(argument, extended=True)
        if isinstance(name, Refusal):
            self._premises.violate(dialogue.provider.name, name.detail)
            await dialogue.say(name.text)
            return
        if await dialogue.struck("ehlo"):
            return
        for fault in self._premises.faults.take_all(dialogue.provider.name, "offer"):
            dialogue.provider = dialogue.provider.without(fault.keyword)
        self._transaction.reset()
        self._transaction.helo, self._extended = name, True
        in_tls = self._connection.tls is not None
        await dialogue.say_text(dialogue.provider.ehlo_in_tls if in_tls else dialogue.provider.ehlo)

    async def _helo(self, argument: str) -> None:
        name = helo_name(argument, extended=False)
        if isinstance(name, Refusal):
            await self._dialogue.say(name.text)
            return
        if await self._dialogue.struck("ehlo"):
            return
        self._transaction.reset()
        self._transaction.helo, self._extended = name, False
        await self._dialogue.say("helo")

    async def _starttls(self, argument: str) -> None:
        dialogue = self._dialogue
        if argument:
            await dialogue.say("syntax_argument")
        elif self._connection.tls is not None:
            await dialogue.say("in_tls")
        elif not self._extended or "STARTTLS" not in dialogue.offered:
            await dialogue.say("sequence")
        elif not await dialogue.struck("starttls"):
            await dialogue.say("starttls_ready")
            await self._connection.start_tls(self._premises.tls)
            # RFC 3207 §4.2: what was said before counts no longer.
            self._transaction.reset()
            self._transaction.helo, self._extended = "", False

    async def _auth(self, argument: str) -> None:
        dialogue = self._dialogue
        if self._connection.tls is None:
            await dialogue.say("needs_starttls")
        elif not self._extended or self._transaction.begun:
            await dialogue.say("sequence")
        elif dialogue.login:
            await dialogue.say("already")
        elif not argument:
            await dialogue.say("syntax_argument")
        elif login := await Authentication(dialogue, self._rules).conduct(argument):
            dialogue.login = login
            self._premises.usage.sign_in(dialogue.provider.name, login, dialogue)

    async def _mail(self, argument: str) -> None:
        if self._connection.tls is None:
            await self._dialogue.say("needs_starttls")
        elif not self._transaction.helo:
            await self._dialogue.say("sequence")
        elif not self._dialogue.login:
            self._premises.violate(self._dialogue.provider.name, "MAIL before AUTH")
            await self._dialogue.say("needs_login")
        else:
            await self._transaction.mail(argument)

    async def _rcpt(self, argument: str) -> None:
        await self._transaction.rcpt(argument)

    async def _data(self, argument: str) -> None:
        await self._transaction.data(argument)

    async def _bdat(self, argument: str) -> None:
        await self._transaction.bdat(argument)

    async def _rset(self, argument: str) -> None:
        if argument:
            await self._dialogue.say("syntax_argument")
            return
        self._transaction.reset()
        await self._dialogue.say("rset")

    async def _noop(self, argument: str) -> None:
        await self._dialogue.say("noop")

    async def _vrfy(self, argument: str) -> None:
        await self._dialogue.say("vrfy")

    async def _help(self, argument: str) -> None:
        await self._dialogue.say("help")

    async def _quit(self, argument: str) -> None:
        if argument:
            await self._dialogue.say("syntax_argument")
            return
        await self._dialogue.say("quit")
        raise Closing
