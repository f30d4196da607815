"""AUTH (RFC 4954): the exchange with one client, and how its failures count."""

from __future__ import annotations

import asyncio
import secrets
from base64 import b64encode
from collections.abc import Awaitable
from typing import Final

from relay.inbound import replies
from relay.inbound.authentication import RESPONSE_LIMIT, Attempt, Exchange, decoded, exchange
from relay.inbound.clients import Client, IPAddress, may_log_in_from
from relay.inbound.limits import FAILURES_AT_ONCE
from relay.inbound.passwords import ConfigError
from relay.inbound.premises import Premises
from relay.reply import Reply

_NOBODYS: Final = secrets.token_urlsafe(24)
"""What an unknown user's password is compared with, so that time doesn't tell who exists."""


class Login:
    """The logins of one connection: `client` is who logged in, `mechanism` and `username` are those of the last try.

    While it is `under_way` what the client says next is its response.
    """

    def __init__(self, premises: Premises, listener: str, address: IPAddress, peer: str) -> None:
        self.client: Client | None = None
        self.mechanism = ""
        self.username = ""
        self._premises = premises
        self._listener = listener
        self._address = address
        self._peer = peer
        self._failures = 0
        self._exchange: Exchange | None = None

    @property
    def under_way(self) -> bool:
        """True while a response is waited for."""
        return self._exchange is not None

    def begin(self, mechanism: str, initial: bytes | None) -> Reply | Awaitable[Reply]:
        """Answer an AUTH command. `initial` is the initial response in base64; a 421 ends the connection."""
        premises = self._premises
        self.mechanism = mechanism
        if self._failures >= FAILURES_AT_ONCE:
            return replies.TOO_MANY_FAILURES
        if premises.limits.blocked(self._peer):
            return replies.ADDRESS_BLOCKED
        first = decoded(initial) if initial is not None else None
        if initial is not None and first is None:
            return replies.AUTH_UNDECODABLE
        drawn = secrets.token_hex(16) if mechanism == "CRAM-MD5" else ""
        self._exchange = exchange(mechanism, first, f"<{drawn}@{premises.hostname}>".encode())
        return self._advance(None) if self._exchange is not None else replies.MECHANISM_UNKNOWN

    def respond(self, line: bytes) -> Reply | Awaitable[Reply]:
        """Answer the response to a challenge; one above the limit is told by its length."""
        response = decoded(line)
        if len(line) <= RESPONSE_LIMIT and response is not None:
            return self._advance(response)
        self._exchange = None
        if len(line) > RESPONSE_LIMIT:
            return replies.LINE_TOO_LONG
        return replies.AUTH_CANCELLED if line.strip() == b"*" else replies.AUTH_UNDECODABLE

    def _advance(self, response: bytes | None) -> Reply | Awaitable[Reply]:
        dialogue = self._exchange
        if dialogue is None:
            raise RuntimeError("no login is under way")
        try:
            challenge = next(dialogue) if response is None else dialogue.send(response)
        except StopIteration as end:
            self._exchange = None
            attempt: Attempt | None = end.value
            return self._judge(attempt) if attempt is not None else replies.AUTH_UNDECODABLE
        # RFC 4954 §4: the blank after 334 stands even before an empty challenge.
        return Reply(334, None, b64encode(challenge).decode())

    def _judge(self, attempt: Attempt) -> Reply | Awaitable[Reply]:
        premises = self._premises
        self.username = attempt.username
        client = premises.clients.with_username(attempt.username)
        reference = client.settings.password if client is not None else None
        if client is None or reference is None:
            return self._compared(client, attempt, _NOBODYS)
        try:
            password = premises.passwords.known(reference)
        except ConfigError as error:
            return self._unavailable(error)
        if password is None:
            return self._compared_later(client, attempt, premises.passwords.asked(reference))
        return self._compared(client, attempt, password)

    async def _compared_later(self, client: Client, attempt: Attempt, password: Awaitable[str]) -> Reply:
        try:
            said = self._compared(client, attempt, await password)
        except ConfigError as error:
            return self._unavailable(error)
        return said if isinstance(said, Reply) else await said

    def _unavailable(self, error: ConfigError) -> Reply:
        self._premises.journal.failed("inbound.password", error)
        return replies.SECRET_UNAVAILABLE

    def _compared(self, client: Client | None, attempt: Attempt, password: str) -> Reply | Awaitable[Reply]:
        premises, listener, peer = self._premises, self._listener, self._peer
        proven = attempt.proven_by(password)
        if client is not None and proven and may_log_in_from(client, self._address):
            premises.limits.succeeded(peer, attempt.username)
            self.client = client
            premises.journal.authenticated(listener, client.name, self.mechanism, peer)
            return replies.AUTHENTICATED
        self._failures += 1
        refusal = replies.CREDENTIALS_INVALID
        delay = premises.limits.failed(peer, attempt.username, known=client is not None)
        name, fault = client.name if client is not None else "", "network" if proven else "password"
        premises.journal.authentication_failed(
            listener, self.mechanism, attempt.username, peer, refusal, client=name, fault=fault if name else "username"
        )
        return _after(delay, refusal) if delay else refusal


async def _after(delay: float, reply: Reply) -> Reply:
    await asyncio.sleep(delay)
    return reply
