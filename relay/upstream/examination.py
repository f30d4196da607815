"""An upstream tried step by step, each step's findings kept: the same dialogue as for mail, and nothing is sent."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from relay.upstream.connection import NETWORK_ERRORS, Connection, Route
from relay.upstream.contract import Phase
from relay.upstream.credentials import BearerToken, Credential, CredentialSource, log_in, mechanism_for
from relay.upstream.dialling import addresses_of
from relay.upstream.extensions import Extensions
from relay.upstream.failures import ConversationEnded, ended_by
from relay.upstream.rehearsal import Rehearsal, Trial, rehearsed
from relay.upstream.token_claims import TokenClaims, claims_of
from relay.upstream.tokens import MailboxTokens
from relay.upstream.tunnel import not_dialled

Admit = Callable[[], Awaitable[bool]]
"""Asked before each MAIL; False where the upstream's limits leave no room for it now."""


@dataclass(frozen=True, slots=True)
class Protection:
    """A connection's TLS: `version` like `TLSv1.3`; of a certificate that was not verified nothing more is known.

    `expires_at` in milliseconds since the epoch.
    """

    version: str
    names: tuple[str, ...] = ()
    issuer: str = ""
    expires_at: int | None = None


@dataclass(slots=True)
class Examination:
    """How far it came. `refused` says why there is no new credential, `ended` what ended the conversation.

    `addresses` of the host, or of the proxy, `peer` the one that answered; `limited`: the upstream's own limits left no
    room for MAIL.
    """

    addresses: tuple[str, ...] = ()
    peer: str = ""
    secured: bool = False
    protection: Protection | None = None
    extensions: Extensions | None = None
    mechanism: str = ""
    username: str = ""
    token: TokenClaims | None = None
    refused: ConversationEnded | None = None
    logged_in: bool = False
    ended: ConversationEnded | None = None
    rehearsals: list[Rehearsal] = field(default_factory=list)
    limited: bool = False

    async def credential_from(self, source: CredentialSource) -> Credential:
        """Return what to log in with: a new token where it is one, the one in hand where there is no new one."""
        try:
            credential: Credential
            if isinstance(source, MailboxTokens):
                credential = await source.anew()
            else:
                credential = await source.credential()
        except ConversationEnded as end:
            self.refused = end
            credential = source.in_hand() if isinstance(source, MailboxTokens) else None
        if isinstance(credential, BearerToken):
            self.token = claims_of(credential.token)
        self.username = credential.username if credential is not None else ""
        return credential

    async def converse(
        self,
        route: Route,
        context: ssl.SSLContext | None,
        credential: Credential,
        auth: str,
        trials: Sequence[Trial],
        admit: Admit,
    ) -> None:
        """Connect, log in, rehearse each of the trials. Raises ConversationEnded."""
        self.addresses = await addresses_at(route)
        connection = Connection(route, _nobody)
        try:
            await self._open(connection, context)
            if self.refused is None or credential is not None:
                self.mechanism = mechanism_for(auth, credential, connection.extensions.mechanisms) or ""
                await log_in(connection, credential, auth)
                self.logged_in = True
                await self._rehearse(connection, trials, admit)
            await connection.quit()
        except ConversationEnded:
            await connection.quit()
            raise
        except BaseException:
            connection.abort()
            raise

    async def _open(self, connection: Connection, context: ssl.SSLContext | None) -> None:
        try:
            await connection.open(context)
        finally:
            self.peer, self.secured = connection.peer, connection.secured
        self.extensions = connection.extensions
        if connection.secured and connection.protocol.transport is not None:
            self.protection = protection_of(connection.protocol.transport.get_extra_info("ssl_object"))

    async def _rehearse(self, connection: Connection, trials: Sequence[Trial], admit: Admit) -> None:
        for trial in trials:
            self.limited = not await admit()
            if self.limited:
                return
            self.rehearsals.append(await rehearsed(connection, trial))
            if self.rehearsals[-1].over:
                return


def protection_of(tls: Any) -> Protection | None:
    """Return what an ssl.SSLObject of an open connection tells."""
    if tls is None:
        return None
    shown: dict[str, Any] = tls.getpeercert() or {}
    version = tls.version() or ""
    if not shown:
        return Protection(version)
    names = tuple(_printable(value) for _, value in shown.get("subjectAltName", ()))
    issuer = {key: value for part in shown.get("issuer", ()) for key, value in part}
    made_by = issuer.get("organizationName") or issuer.get("commonName") or ""
    expires_at = int(ssl.cert_time_to_seconds(shown["notAfter"])) * 1000 if "notAfter" in shown else None
    return Protection(version, names, _printable(made_by), expires_at)


async def addresses_at(route: Route) -> tuple[str, ...]:
    """Return the addresses of the host that is connected to, which may be a proxy's. Raises ConversationEnded."""
    proxy = route.proxy
    host, port = (route.host, route.port) if proxy is None else (proxy.url.host, proxy.url.port)
    try:
        async with asyncio.timeout(route.timeout):
            found = await addresses_of(host, port)
    except NETWORK_ERRORS as error:
        if proxy is not None:
            raise not_dialled(proxy, error, Phase.CONNECT) from error
        raise ended_by(error, Phase.CONNECT, route.host) from error
    return tuple(str(address[0]) for _, address in found)


def _nobody(_connection: Connection) -> None:
    """It is no connection of a pool."""


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text[:200])
