"""Logging in: which mechanism, and what each says (RFC 4954, RFC 4616, RFC 2195, RFC 7628; XOAUTH2)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from aiosmtplib.auth import auth_crammd5_verify, auth_login_encode, auth_plain_encode, auth_xoauth2_encode

from relay.reply import Reply
from relay.upstream.connection import NETWORK_ERRORS, Connection
from relay.upstream.contract import Cause, Phase
from relay.upstream.echo import reply_without_echo, without_echo
from relay.upstream.failures import ConversationEnded, ended_by

INITIAL_RESPONSE_LIMIT = 512
"""Octets of an AUTH line with its response on it; a longer response waits for the 334.

RFC 4954 §4 lets the line be 12,288 octets long, but Dovecot refuses one of 1,893 with `500 Line too long`; 512 is what
every server has to take (RFC 5321 §4.5.3.1.4). An Entra token is always longer, so it costs a round trip a connection.
"""

STRENGTH = ("CRAM-MD5", "PLAIN", "LOGIN")
"""Mechanisms for a password, the best first. One is chosen, once: a wrong password tried with each of them in turn
would count as three failures and lock the account."""

BEARER = ("XOAUTH2", "OAUTHBEARER")
"""Mechanisms for a token. Exchange Online offers only the first, and Gmail and Dovecot both."""


@dataclass(frozen=True, slots=True)
class Password:
    """A user name and its password."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class BearerToken:
    """A mailbox and an OAuth 2 access token for it."""

    username: str
    token: str = field(repr=False)


Credential = Password | BearerToken | None
"""What proves who we are; None where nobody asks."""


class CredentialSource(Protocol):
    """Where the credential comes from at the time of each connection."""

    @property
    def renewable(self) -> bool:
        """Whether a refused credential may be replaced by a new one at once."""
        ...

    async def credential(self, refused: Credential = None) -> Credential:
        """Return what to log in with, another one than `refused`. Raises ConversationEnded (SECRET or TOKEN)."""
        ...


def mechanism_for(setting: str, credential: Credential, offered: tuple[str, ...]) -> str | None:
    """Return the mechanism to use; None where none fits. `setting` is the upstream's `auth`."""
    wanted: tuple[str, ...] = (setting.upper(),)
    if setting == "auto":
        wanted = BEARER if isinstance(credential, BearerToken) else STRENGTH
    return next((mechanism for mechanism in wanted if mechanism in offered), None)


def needs_renewal(said: Reply) -> bool:
    """Tell whether a new token may help: 535, or Exchange's 501 5.5.127 (the token is about to expire)."""
    return said.code == 535 or (said.code == 501 and str(said.status) == "5.5.127")


async def log_in(connection: Connection, credential: Credential, setting: str = "auto") -> None:
    """Log in and learn what is offered now (Dovecot offers DSN only then). Raises ConversationEnded."""
    if credential is None or setting == "none":
        return
    connection.phase = Phase.AUTH
    offered = connection.extensions.mechanisms
    mechanism = mechanism_for(setting, credential, offered)
    if mechanism is None:
        raise connection.end(Cause.AUTH_MISSING, f"offered: {', '.join(offered) or 'none'}")
    try:
        said, challenge = await _EXCHANGES[mechanism](connection, credential)
        if said.positive and said.code // 100 != 2:
            raise connection.end(Cause.GARBLED)
        if not said.positive:
            raise _refused(connection, credential, said, challenge)
        await connection.greet(logged_in=True)
        connection.welcome = said
    except NETWORK_ERRORS as error:
        raise ended_by(error, connection.phase, connection.route.host) from error


def _refused(
    connection: Connection, credential: Password | BearerToken, said: Reply, challenge: str | None
) -> ConversationEnded:
    """Return the end that a refusal brings, without what it repeats of the credential."""
    if isinstance(credential, BearerToken):
        secret, bearer = (
            credential.token,
            oauthbearer_response(credential, connection.route.host, connection.route.port),
        )
        responses = [auth_xoauth2_encode(credential.username, secret), base64.b64encode(bearer)]
    else:
        secret = credential.password
        responses = [auth_plain_encode(credential.username, secret)]
    challenge = without_echo(challenge, secret, responses) if challenge is not None else None
    return ConversationEnded(Phase.AUTH, reply_without_echo(said, secret, responses), challenge=challenge)


_Exchange = tuple[Reply, str | None]


async def _respond(connection: Connection, mechanism: str, response: bytes) -> Reply:
    """Say AUTH with its only response, on the same line where that is short enough for every server."""
    line = b"AUTH " + mechanism.encode("ascii")
    if len(line) + len(response) + 3 <= INITIAL_RESPONSE_LIMIT:
        return await connection.command(line + b" " + response)
    prompt = await connection.command(line)
    return await connection.command(response) if prompt.code == 334 else prompt


async def _plain(connection: Connection, credential: Password) -> _Exchange:
    response = auth_plain_encode(credential.username, credential.password)
    return await _respond(connection, "PLAIN", response), None


async def _login(connection: Connection, credential: Password) -> _Exchange:
    said = await connection.command(b"AUTH LOGIN")
    for response in auth_login_encode(credential.username, credential.password):
        if said.code != 334:
            break
        said = await connection.command(response)
    return said, None


async def _cram_md5(connection: Connection, credential: Password) -> _Exchange:
    said = await connection.command(b"AUTH CRAM-MD5")
    if said.code != 334:
        return said, None
    try:
        challenge = base64.b64decode(said.text.strip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise connection.end(Cause.GARBLED) from error
    response = auth_crammd5_verify(credential.username, credential.password, base64.b64encode(challenge))
    return await connection.command(response), None


async def _xoauth2(connection: Connection, credential: BearerToken) -> _Exchange:
    response = auth_xoauth2_encode(credential.username, credential.token)
    said = await _respond(connection, "XOAUTH2", response)
    if said.code != 334:
        return said, None
    # The refusal's reasons come first, as a challenge that wants an empty response before the 535.
    challenge = _decoded(said.text)
    return await connection.command(b""), challenge


async def _oauthbearer(connection: Connection, credential: BearerToken) -> _Exchange:
    response = oauthbearer_response(credential, connection.route.host, connection.route.port)
    said = await _respond(connection, "OAUTHBEARER", base64.b64encode(response))
    if said.code != 334:
        return said, None
    challenge = _decoded(said.text)
    # RFC 7628 §3.2.3: the answer to the reasons is a single ^A.
    return await connection.command(b"AQ=="), challenge


def oauthbearer_response(credential: BearerToken, host: str, port: int) -> bytes:
    """Return the client's only response (RFC 7628 §3.1); comma and equals sign of a name are escaped (RFC 5801 §4)."""
    name = credential.username.replace("=", "=3D").replace(",", "=2C")
    text = f"n,a={name},\x01host={host}\x01port={port}\x01auth=Bearer {credential.token}\x01\x01"
    return text.encode("utf-8")


def _decoded(text: str) -> str:
    try:
        octets = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        return text[:1000]
    return octets.decode("utf-8", "replace")[:1000]


_EXCHANGES: Mapping[str, Callable[..., Awaitable[_Exchange]]] = {
    "PLAIN": _plain,
    "LOGIN": _login,
    "CRAM-MD5": _cram_md5,
    "XOAUTH2": _xoauth2,
    "OAUTHBEARER": _oauthbearer,
}
