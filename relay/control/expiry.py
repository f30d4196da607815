"""What stops working on a known day: certificates, client secrets and sign-ins; and secrets whose day nobody knows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from relay.config.microsoft365_settings import Microsoft365Settings
from relay.config.problems import ConfigError
from relay.config.provider_settings import GmailSettings
from relay.config.secret_reference import SecretReference
from relay.config.secrets import Secrets
from relay.config.settings import Settings
from relay.config.upstream_settings import UpstreamSettings
from relay.inbound.local_authority import LocalAuthority
from relay.inbound.tls import expires_at
from relay.upstream.google_tokens import google_purpose
from relay.upstream.microsoft import token_purpose
from relay.upstream.token_store import TokenStore

_DAY = 86_400_000
_UNUSED_MICROSOFT = 90 * _DAY
_UNUSED_GOOGLE = 180 * _DAY
"""How long a sign-in lasts that nobody uses (learn.microsoft.com/entra/identity-platform/refresh-tokens and
developers.google.com/identity/protocols/oauth2#expiration); each use prolongs it."""


@dataclass(frozen=True, slots=True)
class Expiry:
    """Something that stops working at `expires_at`; None where that is not known.

    `kind` is certificate, client_secret, sign_in or app_password. `set_at` is when it was given to the relay, where
    that is known; `upstream` whose it is, None where it is the relay's own.
    """

    what: str
    kind: str
    expires_at: int | None
    upstream: str | None = None
    set_at: int | None = None


def expiries(settings: Settings, secrets: Secrets) -> list[Expiry]:
    """Return all of them but for our leaf. Reads files: for a thread. What can't be read is left out."""
    found: list[Expiry] = []
    if settings.tls is None:
        found += _in_pem("tls.authority", LocalAuthority.of(settings.state_dir).certificate, None)
    for name, upstream in settings.upstream.items():
        for look in (_certificates, _secrets_of, _sign_in):
            try:
                found += look(name, upstream, secrets)
            except (OSError, ValueError, ConfigError):
                continue  # whoever uses it complains
    return found


def soonest_first(found: list[Expiry]) -> list[Expiry]:
    """Return them in order; those of unknown day come last."""
    return sorted(found, key=lambda one: (one.expires_at is None, one.expires_at or 0))


def _in_pem(what: str, path: Path, upstream: str | None) -> Iterator[Expiry]:
    try:
        yield Expiry(what, "certificate", expires_at(path.read_bytes()), upstream)
    except (OSError, ValueError):
        return  # as above


def _certificates(name: str, upstream: UpstreamSettings, secrets: Secrets) -> Iterator[Expiry]:
    path = getattr(upstream, "client_certificate", None)
    if path is None and isinstance(upstream, Microsoft365Settings):
        path = upstream.certificate
    if path is not None:
        yield from _in_pem(f"upstream.{name}", path, name)
    if isinstance(upstream, Microsoft365Settings) and upstream.pfx is not None:
        from relay.config.certificates import check_pfx

        passphrase = secrets.resolve(upstream.passphrase) if upstream.passphrase else None
        leaf = check_pfx(upstream.pfx.read_bytes(), passphrase)[0]
        yield Expiry(f"upstream.{name}", "certificate", int(leaf.not_valid_after_utc.timestamp() * 1000), name)


def _secrets_of(name: str, upstream: UpstreamSettings, secrets: Secrets) -> Iterator[Expiry]:
    if isinstance(upstream, Microsoft365Settings) and upstream.client_secret is not None:
        day = upstream.client_secret_expires
        ends_at = int(day.timestamp() * 1000) if day is not None else None
        yield Expiry(f"upstream.{name}", "client_secret", ends_at, name, _set_at(upstream.client_secret, secrets))
    if isinstance(upstream, GmailSettings) and upstream.app_password is not None:
        yield Expiry(f"upstream.{name}", "app_password", None, name, _set_at(upstream.app_password, secrets))


def _set_at(place: SecretReference, secrets: Secrets) -> int | None:
    """Return when a secret came to where it is; None where nobody knows."""
    try:
        if place.file is not None:
            return int(place.file.stat().st_mtime * 1000)
        if place.sealed is not None:
            return next((one.set_at for one in secrets.store.names() if one.name == place.sealed), None)
    except (OSError, ConfigError):
        return None
    return None


def _sign_in(name: str, upstream: UpstreamSettings, secrets: Secrets) -> Iterator[Expiry]:
    found = _signed_in(upstream)
    if found is None:
        return
    purpose, unused = found
    record = TokenStore(secrets.store, name, purpose).load()
    if record.cache is not None and record.access is not None:
        yield Expiry(f"upstream.{name}", "sign_in", record.access.obtained_at + unused, name)


def _signed_in(upstream: UpstreamSettings) -> tuple[str, int] | None:
    """Return the purpose of the token of an upstream for which a person signs in, and how long that lasts unused."""
    if isinstance(upstream, Microsoft365Settings) and upstream.credential == "device_code":
        return token_purpose(upstream), _UNUSED_MICROSOFT
    if isinstance(upstream, GmailSettings) and upstream.client_id and upstream.refresh_token is None:
        return google_purpose(upstream), _UNUSED_GOOGLE
    return None
