"""Credentials that are kept, not fetched: a password from where the settings say, or none."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

from relay.config.problems import ConfigError
from relay.config.secret_reference import SecretReference
from relay.config.secrets import Secrets
from relay.upstream.contract import Cause, Phase
from relay.upstream.credentials import BearerToken, Credential, Password
from relay.upstream.detached import detached
from relay.upstream.failures import ConversationEnded, reply_for


@dataclass(frozen=True, slots=True)
class NoCredential:
    """For servers that know us by our address or certificate."""

    renewable: bool = False

    async def credential(self, refused: Credential = None) -> Credential:
        """Return None."""
        return None


@dataclass(frozen=True, slots=True)
class KeptPassword:
    """Looks the password up for each connection, so that a changed one is used at once.

    `mend` undoes how the provider prints it; with `bearer` it is an access token that somebody else keeps fresh.
    """

    host: str
    username: str
    reference: SecretReference
    secrets: Secrets
    mend: Callable[[str], str] = str
    bearer: bool = False
    renewable: bool = False

    async def credential(self, refused: Credential = None) -> Credential:
        """Return user name and password. Raises ConversationEnded in phase SECRET."""
        try:
            # In a thread: AWS is asked over the network, and a file may lie on a disk that hangs.
            text = await detached("secret", functools.partial(self.secrets.resolve, self.reference))
        except ConfigError as error:
            said = reply_for(Cause.SECRET_UNAVAILABLE, Phase.SECRET, self.host, str(error))
            raise ConversationEnded(Phase.SECRET, said, Cause.SECRET_UNAVAILABLE) from error
        secret = self.mend(str(text))
        return BearerToken(self.username, secret) if self.bearer else Password(self.username, secret)
