"""Access tokens kept sealed on disk, so that a restart, or an authority that is down, doesn't stop the mail."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import time
from dataclasses import dataclass, field

from relay.config.problems import ConfigError
from relay.config.seal import SealedStore
from relay.logs import Log

_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,127}")
_log = Log("relay.upstream")


def now() -> int:
    """Return this instant in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class AccessToken:
    """An OAuth 2 access token; instants in milliseconds since the epoch."""

    token: str = field(repr=False)
    obtained_at: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """What is kept for one upstream: the token, and `cache`, msal's serialised one with a person's refresh token.

    `purpose` tells what the token is for; a record for another mailbox, tenant or app is as good as none.
    """

    purpose: str
    access: AccessToken | None = None
    cache: str | None = field(default=None, repr=False)


def purpose_of(*parts: str) -> str:
    """Return the fingerprint of what a token is for."""
    return hashlib.sha256("\0".join(parts).encode("utf-8")).hexdigest()


class TokenStore:
    """One upstream's record in the sealed store. Methods read and write files: not on the loop."""

    def __init__(self, store: SealedStore, upstream: str, purpose: str) -> None:
        self._store = store
        self._upstream = upstream
        # An upstream may have any name; the store's names are plain.
        plain = _PLAIN_NAME.fullmatch(upstream)
        self._key = f"token:{upstream if plain else hashlib.sha256(upstream.encode('utf-8')).hexdigest()}"
        self.purpose = purpose

    def load(self) -> TokenRecord:
        """Return what is kept; an empty record where there is none for this purpose. Raises ConfigError."""
        empty = TokenRecord(self.purpose)
        text = self._store.get(self._key)
        if text is None:
            return empty
        try:
            kept = json.loads(text)
            access = kept["access"]
            record = TokenRecord(kept["purpose"], AccessToken(**access) if access else None, kept["cache"])
        except (ValueError, KeyError, TypeError):
            return empty
        return record if record.purpose == self.purpose else empty

    def save(self, record: TokenRecord) -> None:
        """Keep a record. Raises ConfigError."""
        access = record.access
        kept = {
            "purpose": record.purpose,
            "access": {"token": access.token, "obtained_at": access.obtained_at, "expires_at": access.expires_at}
            if access
            else None,
            "cache": record.cache,
        }
        self._store.set(self._key, json.dumps(kept))

    def try_save(self, record: TokenRecord) -> None:
        """Keep a record if that can be done: a full disk must not stop mail for which there is a token."""
        try:
            self.save(record)
        except ConfigError as error:
            _log.write(logging.WARNING, "token_not_kept", {"upstream": self._upstream, "reason": str(error)})
