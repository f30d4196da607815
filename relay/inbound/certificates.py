"""The certificate in force: taken from files, a secret or our own authority, and taken anew when those change."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Iterable
from typing import Final

from relay.config.listener_settings import TlsVersion
from relay.config.private_file import refusal_of
from relay.config.problems import ConfigError
from relay.config.secret_reference import SecretReference
from relay.config.settings import Settings
from relay.inbound.error import InboundError
from relay.inbound.local_authority import LocalAuthority
from relay.inbound.passwords import SecretSource
from relay.inbound.tls import CertificatePair, expires_at, server_context
from relay.logs import Log

_WATCHED_EVERY: Final = 2.0
_OWN_EVERY: Final = 3600.0
_REMOTE_EVERY: Final = 300.0

_log = Log("relay.inbound")


class Certificates:
    """Contexts for each version of TLS asked for. A pair that can't be used leaves the one in force."""

    def __init__(self, settings: Settings, secrets: SecretSource, versions: Iterable[TlsVersion]) -> None:
        self.every = _WATCHED_EVERY
        self.expires_at: int | None = None
        self._settings = settings
        self._secrets = secrets
        self._versions = frozenset(versions)
        self._pair: CertificatePair | None = None
        self._refused: object = None
        self._contexts: dict[TlsVersion, ssl.SSLContext] = {}
        key = settings.tls.private_key if settings.tls else None
        if settings.tls is None:
            self.every = _OWN_EVERY
        elif isinstance(key, SecretReference) and key.aws is not None:
            self.every = _REMOTE_EVERY

    def context(self, version: TlsVersion) -> ssl.SSLContext | None:
        """Return the context in force, for the next handshake; None where no listener has this version any more."""
        return self._contexts.get(version)

    async def load(self) -> None:
        """Take the certificate for the first time. Raises InboundError."""
        if not self._versions:
            return
        try:
            await self._take(await asyncio.to_thread(self._read))
        except (OSError, ValueError, ConfigError) as error:
            raise InboundError(f"tls: {_explained(error)}") from error

    async def refresh(self) -> bool:
        """Look again; True when another certificate is in force now. What can't be used is told once."""
        if not self._versions:
            return False
        try:
            pair = await asyncio.to_thread(self._read)
            if pair == self._pair:
                return False
            await self._take(pair)
        except (OSError, ValueError, ConfigError) as error:
            text = _explained(error)
            if text != self._refused:
                self._refused = text
                _log.write(logging.WARNING, "certificate_refused", {"text": f"{text}; the one before stays in force"})
            return False
        self._refused = None
        _log.write(logging.INFO, "certificate", {"expires_at": self.expires_at})
        return True

    async def _take(self, pair: CertificatePair) -> None:
        contexts = {version: server_context(pair, version) for version in self._versions}
        self.expires_at = expires_at(pair.chain)
        self._contexts = contexts
        self._pair = pair

    def _read(self) -> CertificatePair:
        tls = self._settings.tls
        if tls is None:
            return LocalAuthority.of(self._settings.state_dir).pair(self._settings.hostname)
        key = self._secrets.text_of(tls.private_key)
        return CertificatePair(tls.certificate.read_bytes(), key.encode())


def _explained(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or "the certificate cannot be used").replace("_", " ").lower()
        return f"{reason}; the certificate and its private key have to be one pair in PEM, the key without passphrase"
    if isinstance(error, OSError):
        return refusal_of(error.filename or "state_dir/tls", error)
    return str(error)
