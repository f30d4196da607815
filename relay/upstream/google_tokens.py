"""Tokens of Google: a Workspace service account acting for a mailbox, or a user who has signed in."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from relay.config.problems import ConfigError
from relay.config.provider_settings import GmailSettings
from relay.config.secrets import Secrets
from relay.config.service_account import ServiceAccount, service_account_in
from relay.reply import reply
from relay.upstream.authority import Answered, access_token, session_for, unavailable
from relay.upstream.contract import Cause, Phase
from relay.upstream.failures import ConversationEnded, reply_for
from relay.upstream.proxy import Proxy, proxy_of
from relay.upstream.token_store import TokenRecord, purpose_of

SCOPE: Final = "https://mail.google.com/"
"""The only scope with which Gmail's SMTP takes a token."""

TOKEN_URL: Final = "https://oauth2.googleapis.com/token"  # noqa: S105 - a place
JWT_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"

LIFETIME: Final = 3600
"""Seconds for which an assertion holds; Google takes no longer ones."""


def google_purpose(settings: GmailSettings) -> str:
    """Return what a token of this upstream is for; a service account's new key does not make it another one."""
    account = (settings.account or "").lower()
    if settings.service_account is not None:
        return purpose_of("google", "service_account", str(settings.service_account), account, settings.authority)
    return purpose_of("google", "user", settings.client_id, account, settings.authority)


@dataclass(frozen=True, slots=True)
class GoogleTokens:
    """Fetches tokens for one upstream. Blocks: for threads only."""

    name: str
    settings: GmailSettings
    secrets: Secrets

    def fetch(self, record: TokenRecord) -> TokenRecord:
        """Return a record with a new token. Raises ConversationEnded, phase SECRET or TOKEN."""
        try:
            url, form = self._grant(record)
        except ConfigError as error:
            said = reply_for(Cause.SECRET_UNAVAILABLE, Phase.SECRET, self.settings.host, str(error))
            raise ConversationEnded(Phase.SECRET, said, Cause.SECRET_UNAVAILABLE) from error
        answered = Answered()
        result = posted(url, form, self.settings.ca_file, proxy_of(self.settings, self.secrets), answered)
        return TokenRecord(record.purpose, access_token(url, answered, result), record.cache)

    def _grant(self, record: TokenRecord) -> tuple[str, dict[str, str]]:
        settings = self.settings
        if settings.service_account is not None:
            text = self.secrets.resolve(settings.service_account)
            try:
                account = service_account_in(text)
            except ConfigError as error:
                raise ConfigError(f"{settings.service_account}: {error}") from error
            url = settings.authority or account.token_uri
            assertion = assertion_for(account, settings.account or "", url, int(time.time()))
            return url, {"grant_type": JWT_BEARER, "assertion": assertion}
        if settings.client_secret is None:
            raise ConfigError("client_secret is missing")
        return settings.authority or TOKEN_URL, {
            "grant_type": "refresh_token",
            "client_id": settings.client_id,
            "client_secret": str(self.secrets.resolve(settings.client_secret)),
            "refresh_token": self._refresh_token(record),
        }

    def _refresh_token(self, record: TokenRecord) -> str:
        if self.settings.refresh_token is not None:
            return str(self.secrets.resolve(self.settings.refresh_token))
        if record.cache is None:
            said = reply(454, "4.7.0", f"Nobody has signed in yet; type: relay login {self.name}")
            raise ConversationEnded(Phase.TOKEN, said, Cause.TOKEN_REFUSED)
        return str(json.loads(record.cache)["refresh_token"])


def posted(
    url: str, form: Mapping[str, str], ca_file: Path | None, proxy: Proxy | None, answered: Answered
) -> dict[str, Any]:
    """Return what the token endpoint answers to a form, an error too. Raises ConversationEnded for no such answer."""
    from requests import RequestException

    with session_for(ca_file, proxy, answered) as session:
        try:
            result = session.post(url, data=form).json()
            if not isinstance(result, dict):
                raise TypeError("not an object")
        except (RequestException, ValueError, TypeError) as error:
            raise unavailable(url, answered, error) from error
    return result


def assertion_for(account: ServiceAccount, mailbox: str, audience: str, now: int) -> str:
    """Return the JWT by which the account asks to act for the mailbox (RFC 7523 §3, RFC 7515); `now` in seconds."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key(account.private_key.encode("utf-8"), None)
    assert isinstance(key, RSAPrivateKey)  # noqa: S101 - what service_account_in has seen
    header = {"alg": "RS256", "typ": "JWT"} | ({"kid": account.key_id} if account.key_id else {})
    claims = {
        "iss": account.client_email,
        "sub": mailbox,
        "scope": SCOPE,
        "aud": audience,
        "iat": now,
        "exp": now + LIFETIME,
    }
    signed = b".".join(_encoded(json.dumps(part, separators=(",", ":")).encode("utf-8")) for part in (header, claims))
    return b".".join((signed, _encoded(key.sign(signed, PKCS1v15(), hashes.SHA256())))).decode("ascii")


def _encoded(octets: bytes) -> bytes:
    return base64.urlsafe_b64encode(octets).rstrip(b"=")
