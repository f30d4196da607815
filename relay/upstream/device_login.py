"""Signing in by device code (RFC 8628): a person opens a page anywhere and types a code; `relay login` waits."""

from __future__ import annotations

from typing import Any

from relay.config.microsoft365_settings import Microsoft365Settings
from relay.config.secrets import Secrets
from relay.upstream.authority import Answered, access_token, refused, session_for, unavailable
from relay.upstream.contract import Cause
from relay.upstream.failures import ConversationEnded
from relay.upstream.microsoft import public_application, token_purpose
from relay.upstream.msal_errors import request_errors
from relay.upstream.proxy import proxy_of
from relay.upstream.token_store import TokenRecord, TokenStore, now

PENDING = frozenset({"authorization_pending", "slow_down"})
PASSING = frozenset(
    {Cause.TOKEN_UNAVAILABLE, Cause.PROXY_UNREACHABLE, Cause.PROXY_TIMEOUT, Cause.PROXY_REACHES_NOTHING}
)


class DeviceLogin:
    """A sign-in under way. `url` and `user_code` are for the person; `interval` seconds lie between two polls.

    Its methods block, and raise ConversationEnded (the authority's word in `reply`); `poll` raises ConfigError too.
    """

    def __init__(self, name: str, settings: Microsoft365Settings, secrets: Secrets) -> None:
        import msal  # type: ignore[import-untyped]

        self._settings = settings
        self._store = TokenStore(secrets.store, name, token_purpose(settings))
        self._answered = Answered()
        self._session = session_for(settings.ca_file, proxy_of(settings, secrets), self._answered)
        self._cache = msal.SerializableTokenCache()
        self._application: Any = None
        self._flow: dict[str, Any] = {}
        self.user_code = ""
        self.url = ""
        self.interval = 5.0
        self.expires_at = 0

    def begin(self) -> None:
        """Ask the authority for a code."""
        settings = self._settings
        self._application = self._asked(lambda: public_application(settings, self._session, self._cache))
        self._flow = self._asked(lambda: self._application.initiate_device_flow(scopes=[settings.scope]))
        if "user_code" not in self._flow:
            raise refused(settings.authority, self._answered, self._flow)
        self.user_code = str(self._flow["user_code"])
        self.url = str(self._flow["verification_uri"])
        self.interval = float(self._flow.get("interval", 5))
        self.expires_at = now() + int(self._flow.get("expires_in", 900)) * 1000

    def poll(self) -> bool:
        """Ask once whether the person has signed in; True when that is done and the token is kept."""
        # With a time in the past msal asks once instead of waiting by itself.
        self._flow["expires_at"] = 0
        try:
            result = self._asked(lambda: self._application.acquire_token_by_device_flow(self._flow))
        except ConversationEnded as end:
            if end.cause not in PASSING:
                raise
            # RFC 8628 §3.5: no answer means to ask less often, not to give up what somebody is typing in just now.
            self.interval += 5
            return False
        if result.get("error") in PENDING:
            self.interval += 5 if result["error"] == "slow_down" else 0
            return False
        access = access_token(self._settings.authority, self._answered, result)
        self._store.save(TokenRecord(self._store.purpose, access, self._cache.serialize()))
        self._session.close()
        return True

    def _asked(self, ask: Any) -> Any:
        try:
            return ask()
        except request_errors() as error:
            raise unavailable(self._settings.authority, self._answered, error) from error
