"""The sealed store: secrets and tokens in one encrypted file of state_dir (AES-256-GCM)."""

import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from relay.config.private_file import give_to_owner, make, reasons
from relay.config.problems import ConfigError
from relay.config.seal_key import SealKey

STORE: Final = "secrets.sealed"
LOCK: Final = "seal.lock"

_HEADER: Final = b"relay-seal 1\n"
_PROOF: Final = 16
_NONCE: Final = 12
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,127}")

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class SealedName:
    """A secret's name, and when it was set (milliseconds since the epoch)."""

    name: str
    set_at: int


@dataclass(frozen=True, slots=True)
class _Entry:
    text: str
    set_at: int


class SealedStore:
    """Secrets by name. Names with a colon are the relay's own (`token:office365`) and not listed.

    Every method raises ConfigError, with cause and cure, where the store or its key can't be used. Safe between
    threads and processes: writing is read, change and replace under a lock; a reader sees the old file or the new.
    """

    def __init__(self, state_dir: Path, environ: Mapping[str, str]) -> None:
        self._state_dir = state_dir
        self._path = state_dir / STORE
        self._key = SealKey(state_dir, environ)

    def __repr__(self) -> str:
        return f"SealedStore({str(self._path)!r})"

    @property
    def path(self) -> Path:
        """The encrypted file, which may not exist yet; it is replaced at every change."""
        return self._path

    def verify(self) -> None:
        """Reads the key and opens the store, as far as they are there."""
        self._key.read()
        self._read()

    def get(self, name: str) -> str | None:
        """The secret of this name; None where there is none."""
        entry = self._read().get(name)
        return entry.text if entry is not None else None

    def names(self) -> tuple[SealedName, ...]:
        """The operator's secrets, by name."""
        entries = sorted(self._read().items())
        return tuple(SealedName(name, entry.set_at) for name, entry in entries if ":" not in name)

    def set(self, name: str, text: str) -> None:
        """Keeps a secret under a name, instead of one that was there."""
        if not _NAME.fullmatch(name.rpartition(":")[2]):
            raise ConfigError(f'"{name:.60}" is no name for a secret; use letters, digits, ".", "_", "@" and "-"')
        entry = _Entry(text, time.time_ns() // 1_000_000)
        self._change(lambda entries: entries.__setitem__(name, entry))

    def remove(self, name: str) -> bool:
        """Forgets a secret; False where there was none."""
        if name not in self._read():
            return False
        return self._change(lambda entries: entries.pop(name, None)) is not None

    def _change(self, change: Callable[[dict[str, _Entry]], Result]) -> Result:
        with reasons(self._state_dir), self._locked():
            entries = self._read()
            result = change(entries)
            self._write(entries)
            return result

    def _read(self) -> dict[str, _Entry]:
        with reasons(self._path):
            try:
                octets = self._path.read_bytes()
            except FileNotFoundError:
                return {}
        key = self._key.read()
        if key is None:
            raise ConfigError(f"{self._path}: its key is missing; bring back {self._key.place}, or remove both")
        return self._opened(octets, key)

    def _opened(self, octets: bytes, key: bytes) -> dict[str, _Entry]:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        proof_end = len(_HEADER) + _PROOF
        damaged = ConfigError(
            f"{self._path}: damaged; bring it back from a backup, or remove it and set the secrets anew"
        )
        if not octets.startswith(_HEADER) or len(octets) < proof_end + _NONCE:
            raise damaged
        if not hmac.compare_digest(octets[len(_HEADER) : proof_end], _proof(key)):
            raise ConfigError(f"{self._path}: sealed with another key than {self._key.place}; give it the key it had")
        nonce, sealed = octets[proof_end : proof_end + _NONCE], octets[proof_end + _NONCE :]
        try:
            content = json.loads(AESGCM(key).decrypt(nonce, sealed, octets[:proof_end]))
            return {str(name): _Entry(str(entry["text"]), int(entry["set_at"])) for name, entry in content.items()}
        except (InvalidTag, ValueError, KeyError, TypeError, AttributeError) as error:
            raise damaged from error

    def _write(self, entries: dict[str, _Entry]) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        key = self._key.read_or_make()
        content = {name: {"text": entry.text, "set_at": entry.set_at} for name, entry in entries.items()}
        head, nonce = _HEADER + _proof(key), secrets.token_bytes(_NONCE)
        sealed = AESGCM(key).encrypt(nonce, json.dumps(content).encode(), head)
        make(self._path, head + nonce + sealed)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self._state_dir / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            give_to_owner(lock, self._state_dir)
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def _proof(key: bytes) -> bytes:
    """What tells a wrong key from a damaged file; says nothing about the key."""
    return hmac.digest(key, b"relay-seal key", hashlib.sha256)[:_PROOF]
