"""What stops working on a known day: certificates, those of upstreams and our own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from relay.config.microsoft365_settings import Microsoft365Settings
from relay.config.problems import ConfigError
from relay.config.secrets import Secrets
from relay.config.settings import Settings
from relay.inbound.local_authority import LocalAuthority
from relay.inbound.tls import expires_at


@dataclass(frozen=True, slots=True)
class Expiry:
    """Something that stops working at `expires_at`; `kind` is certificate or secret."""

    what: str
    kind: str
    expires_at: int


def expiries(settings: Settings, secrets: Secrets) -> list[Expiry]:
    """Return the certificates in files, but for our leaf, with their dates. Reads files: for a thread."""
    found: list[Expiry] = []
    for what, path in _pem_files(settings):
        try:
            found.append(Expiry(what, "certificate", expires_at(path.read_bytes())))
        except (OSError, ValueError):
            continue  # whoever uses it complains
    for name, upstream in settings.upstream.items():
        if isinstance(upstream, Microsoft365Settings) and upstream.pfx is not None:
            found += _pfx_expiry(name, upstream.pfx, upstream, secrets)
    return found


def _pem_files(settings: Settings) -> Iterator[tuple[str, Path]]:
    if settings.tls is None:
        yield "tls.authority", LocalAuthority.of(settings.state_dir).certificate
    for name, upstream in settings.upstream.items():
        path = getattr(upstream, "client_certificate", None)
        if path is None and isinstance(upstream, Microsoft365Settings):
            path = upstream.certificate
        if path is not None:
            yield f"upstream.{name}", path


def _pfx_expiry(name: str, pfx: Path, upstream: Microsoft365Settings, secrets: Secrets) -> Iterator[Expiry]:
    from relay.config.certificates import check_pfx

    try:
        passphrase = secrets.resolve(upstream.passphrase) if upstream.passphrase else None
        leaf = check_pfx(pfx.read_bytes(), passphrase)[0]
    except (OSError, ConfigError):
        return
    yield Expiry(f"upstream.{name}", "certificate", int(leaf.not_valid_after_utc.timestamp() * 1000))
