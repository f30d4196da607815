"""AUTH (RFC 4954): the exchange with one client, and how its failures count."""

from __future__ import annotations

import asyncio
import secrets
from base64 import b64encode
from typing import Final

from relay.inbound import replies
from relay.inbound.authentication import RESPONSE_LIMIT, Attempt, Exchange, decoded, exchange
from relay.inbound.clients import Client, IPAddress, may_log_in_from
from relay.inbound.limits import FAILURES_AT_ONCE
from relay.inbound.passwords import ConfigError
from relay.inbound.premises import Premises
from relay.inbound.wire import Wire
from relay.reply import Reply

_NOBODYS: Final = secrets.token_urlsafe(24)
"""What an unknown user's password is compared with, so that time doesn't tell who exists."""


class Login:
    """The logins of one connection. `client` and `mechanism` are set by one that succeeds, `username` by any."""

    def __init__(self, premises: Premises, wire: Wire, listener: str, address: IPAddress) -> None:
        self.client: Client | None = None
        self.mechanism = ""
        self.username = ""
        self._premises = premises
        self._wire = wire
        self._listener = listener
        self._address = address
        self._failures = 0

    async def try_with(self, mechanism: str, initial: bytes | None) -> Reply:
        """Run one AUTH command. `initial` is the initial response in base64; a 421 ends the connection."""
        premises = self._premises
        if self._failures >= FAILURES_AT_ONCE:
            return replies.TOO_MANY_FAILURES
        if premises.limits.blocked(str(self._address)):
            return replies.ADDRESS_BLOCKED
        first = decoded(initial) if initial is not None else None
        challenge = f"<{secrets.token_hex(16)}@{premises.hostname}>".encode()
        if initial is not None and first is None:
            return replies.AUTH_UNDECODABLE
        dialogue = exchange(mechanism, first, challenge)
        if dialogue is None:
            return replies.MECHANISM_UNKNOWN
        attempt = await self._attempt(dialogue)
        if isinstance(attempt, Reply):
            return attempt
        return await self._judge(mechanism, attempt)

    async def _attempt(self, dialogue: Exchange) -> Attempt | Reply:
        try:
            challenge = next(dialogue)
            while True:
                # RFC 4954 §4: the blank after 334 stands even before an empty challenge.
                self._wire.say(Reply(334, None, b64encode(challenge).decode()))
                line = await self._wire.line(RESPONSE_LIMIT)
                if line is None:
                    return replies.LINE_TOO_LONG
                if line.strip() == b"*":
                    return replies.AUTH_CANCELLED
                response = decoded(line)
                if response is None:
                    return replies.AUTH_UNDECODABLE
                challenge = dialogue.send(response)
        except StopIteration as end:
            attempt: Attempt | None = end.value
            return attempt if attempt is not None else replies.AUTH_UNDECODABLE
        finally:
            dialogue.close()

    async def _judge(self, mechanism: str, attempt: Attempt) -> Reply:
        premises = self._premises
        self.username = attempt.username
        client = premises.clients.with_username(attempt.username)
        reference = client.settings.password if client is not None else None
        password = _NOBODYS
        if reference is not None:
            try:
                password = await premises.passwords.password(reference)
            except ConfigError as error:
                premises.journal.failed("inbound.password", error)
                return replies.SECRET_UNAVAILABLE
        proven = attempt.proven_by(password)
        peer = str(self._address)
        if client is not None and reference is not None and proven and may_log_in_from(client, self._address):
            premises.limits.succeeded(peer, attempt.username)
            self.client, self.mechanism = client, mechanism
            premises.journal.authenticated(self._listener, client.name, mechanism, peer)
            return replies.AUTHENTICATED
        self._failures += 1
        delay = premises.limits.failed(peer, attempt.username, known=client is not None)
        premises.journal.authentication_failed(
            self._listener, mechanism, attempt.username, peer, replies.CREDENTIALS_INVALID
        )
        if delay:
            await asyncio.sleep(delay)
        return replies.CREDENTIALS_INVALID
