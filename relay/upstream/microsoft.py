"""Tokens of Microsoft 365 by msal: as an application, or as the person who signed in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from relay.config.microsoft365_settings import Microsoft365Settings
from relay.config.problems import ConfigError
from relay.config.secrets import Secrets
from relay.reply import reply
from relay.upstream.authority import Answered, access_token, session_for, unavailable
from relay.upstream.client_proof import client_proof
from relay.upstream.contract import Cause, Phase
from relay.upstream.failures import ConversationEnded, reply_for
from relay.upstream.msal_errors import request_errors
from relay.upstream.proxy import Proxy, proxy_of
from relay.upstream.token_store import AccessToken, TokenRecord, purpose_of

if TYPE_CHECKING:
    import msal  # type: ignore[import-untyped]


def token_purpose(settings: Microsoft365Settings) -> str:
    """Return what a token of this upstream is for; a changed secret alone does not make it another one."""
    parts = [settings.authority, settings.client_id, settings.scope, settings.credential, settings.mailbox.lower()]
    if settings.credential == "managed_identity":
        parts.append(settings.identity or "")
    return purpose_of(*parts)


@dataclass(frozen=True, slots=True)
class MicrosoftTokens:
    """Fetches tokens for one upstream. Blocks: for threads only.

    Each request has an msal application of its own. One that lived on would answer for a minute with the refusal that
    a secret got before it was corrected, and would serve its cached token where a new one is asked for. `environ` is
    what a command that prints an assertion finds.
    """

    name: str
    settings: Microsoft365Settings
    secrets: Secrets
    environ: Mapping[str, str]

    def fetch(self, record: TokenRecord) -> TokenRecord:
        """Return a record with a new token. Raises ConversationEnded, phase SECRET or TOKEN."""
        if self.settings.credential == "device_code":
            return self._fetch_for_person(record)
        proof = self._proof()
        answered = Answered()

        def acquire() -> dict[str, Any] | None:
            import msal

            session = session_for(self.settings.ca_file, self._proxy, answered)
            with session:
                application = msal.ConfidentialClientApplication(
                    self.settings.client_id,
                    client_credential=proof,
                    authority=self.settings.authority,
                    http_client=session,
                    instance_discovery=False,
                )
                result: dict[str, Any] | None = application.acquire_token_for_client(scopes=[self.settings.scope])
                return result

        return TokenRecord(record.purpose, self._asked(acquire, answered))

    def _fetch_for_person(self, record: TokenRecord) -> TokenRecord:
        import msal

        answered = Answered()
        cache = msal.SerializableTokenCache()
        if record.cache:
            cache.deserialize(record.cache)

        def acquire() -> dict[str, Any] | None:
            with session_for(self.settings.ca_file, self._proxy, answered) as session:
                application = public_application(self.settings, session, cache)
                accounts = application.get_accounts()
                if not accounts:
                    return None
                result: dict[str, Any] | None = application.acquire_token_silent_with_error(
                    [self.settings.scope], account=accounts[0], force_refresh=True
                )
                return result

        access = self._asked(acquire, answered)
        return TokenRecord(record.purpose, access, cache.serialize())

    def _asked(self, acquire: Any, answered: Answered) -> AccessToken:
        try:
            result = acquire()
        except request_errors() as error:
            raise unavailable(self.settings.authority, answered, error) from error
        if result is None:
            raise ConversationEnded(
                Phase.TOKEN,
                reply(454, "4.7.0", f"Nobody has signed in yet; type: relay login {self.name}"),
                Cause.TOKEN_REFUSED,
            )
        return access_token(self.settings.authority, answered, result)

    @property
    def _proxy(self) -> Proxy | None:
        return proxy_of(self.settings, self.secrets)

    def _proof(self) -> Any:
        try:
            return client_proof(self.settings, self.secrets, self.environ)
        except ConfigError as error:
            said = reply_for(Cause.SECRET_UNAVAILABLE, Phase.SECRET, self.settings.host, str(error))
            raise ConversationEnded(Phase.SECRET, said, Cause.SECRET_UNAVAILABLE) from error


def public_application(settings: Microsoft365Settings, session: Any, cache: Any) -> msal.PublicClientApplication:
    """Return the application as which a person signs in. Asks the network; raises what msal raises."""
    import msal

    return msal.PublicClientApplication(
        settings.client_id,
        authority=settings.authority,
        http_client=session,
        instance_discovery=False,
        token_cache=cache,
    )
