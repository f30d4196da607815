"""The sealed store's key: the first that exists of four places."""

import base64
import binascii
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from relay.config.private_file import make, reasons
from relay.config.problems import ConfigError

OCTETS: Final = 32
VARIABLE: Final = "RELAY_SEAL_KEY"
FILE_VARIABLE: Final = "RELAY_SEAL_KEY_FILE"
CREDENTIAL: Final = "relay-seal-key"
OWN: Final = "seal.key"

_CURE: Final = "make one with: openssl rand -base64 32"


class SealKey:
    """RELAY_SEAL_KEY, RELAY_SEAL_KEY_FILE, systemd's credential relay-seal-key, or state_dir/seal.key."""

    def __init__(self, state_dir: Path, environ: Mapping[str, str]) -> None:
        self._own = state_dir / OWN
        self._text = environ.get(VARIABLE)
        self._named = environ.get(FILE_VARIABLE)
        self._credentials = environ.get("CREDENTIALS_DIRECTORY")

    @property
    def place(self) -> str:
        """Where the key is, or would be, in words; never the key."""
        if self._text:
            return VARIABLE
        return str(self.file)

    @property
    def file(self) -> Path | None:
        """The file of the key; None where the variable holds it."""
        return None if self._text else next(self._files(), self._own)

    def read(self) -> bytes | None:
        """The key, 32 octets; None where there is none yet. Raises ConfigError where there is a wrong one."""
        if self._text:
            return key_from(self._text.encode("utf-8", "surrogateescape"), VARIABLE)
        path = self.file or self._own
        with reasons(path):
            try:
                octets = path.read_bytes()
            except FileNotFoundError:
                if self._named:
                    raise ConfigError(f"{FILE_VARIABLE}: there is no file {path}; {_CURE}, and keep it there") from None
                return None
        return key_from(octets, str(path))

    def read_or_make(self) -> bytes:
        """The key; where there is none, a new one is kept in state_dir/seal.key, 0600. To be called under the lock."""
        key = self.read()
        if key is None:
            key = secrets.token_bytes(OCTETS)
            make(self._own, base64.b64encode(key) + b"\n")
        return key

    def _files(self) -> Iterator[Path]:
        if self._named:
            yield Path(self._named)
        credential = Path(self._credentials, CREDENTIAL) if self._credentials else None
        if credential is not None and os.path.lexists(credential):
            yield credential


def key_from(octets: bytes, place: str) -> bytes:
    """Reads a key: 32 octets, or their base64, standard or URL-safe. Raises ConfigError naming the place."""
    if len(octets) == OCTETS:
        return octets
    text = octets.strip().rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
    try:
        key = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != OCTETS:
        raise ConfigError(f"{place}: not a key; it is {OCTETS} octets in base64 ({_CURE})")
    return key
