"""Tokens of Microsoft 365 by managed identity: the Azure machine that we run on vouches for us; there is no secret."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from relay.config.microsoft365_settings import Microsoft365Settings
from relay.reply import reply
from relay.upstream.authority import Answered, access_token, session_for, unavailable
from relay.upstream.contract import Cause, Phase
from relay.upstream.failures import ConversationEnded
from relay.upstream.msal_errors import request_errors
from relay.upstream.token_store import TokenRecord

ENDPOINT = "the managed identity endpoint, which machines in Azure have,"
"""Whom a failure is told of; where it is, msal finds out by the environment (App Service, Azure Arc, ...)."""


@dataclass(frozen=True, slots=True)
class ManagedIdentityTokens:
    """Fetches tokens for one upstream. Blocks: for threads only. The endpoint keeps tokens itself, some for a day."""

    settings: Microsoft365Settings

    def fetch(self, record: TokenRecord) -> TokenRecord:
        """Return a record with a token, which may be the old one. Raises ConversationEnded, phase TOKEN."""
        import msal  # type: ignore[import-untyped]

        answered = Answered()
        # Never by a proxy: the endpoint is the machine's own, or link-local (169.254.169.254).
        with session_for(self.settings.ca_file, None, answered) as session:
            try:
                client = msal.ManagedIdentityClient(self._identity(), http_client=session)
                result: dict[str, Any] = client.acquire_token_for_client(resource=resource_of(self.settings.scope))
            except request_errors() as error:
                if isinstance(error, OSError) and error.filename is not None:
                    raise _no_key(error) from error
                raise unavailable(ENDPOINT, answered, error) from error
        return TokenRecord(record.purpose, access_token(ENDPOINT, answered, result))

    def _identity(self) -> Any:
        import msal

        identity = self.settings.identity
        if identity is None:
            return msal.SystemAssignedManagedIdentity()
        if identity.startswith("/"):
            return msal.UserAssignedManagedIdentity(resource_id=identity)
        return msal.UserAssignedManagedIdentity(client_id=identity)


def _no_key(error: OSError) -> ConversationEnded:
    """Return the end where Azure Arc's proof, a file for the group himds to read, is out of reach."""
    why = error.strerror or "not there"
    text = f"Azure Arc's key {error.filename} can't be read ({why}); put relay's user into the group himds"
    return ConversationEnded(Phase.SECRET, reply(454, "4.7.0", text), Cause.SECRET_UNAVAILABLE)


def resource_of(scope: str) -> str:
    """Return the resource whose default scope it is."""
    return scope.removesuffix("/.default")
