"""SASL exchanges (PLAIN RFC 4616, LOGIN, CRAM-MD5 RFC 2195) as pure dialogues, and what proves a password."""

from __future__ import annotations

import binascii
import hashlib
import hmac
from base64 import b64decode
from collections.abc import Generator
from dataclasses import dataclass
from typing import Final, TypeAlias

RESPONSE_LIMIT: Final = 12_288
"""Octets of an AUTH line or of a response (RFC 4954 §4)."""

_USERNAME: Final = b"Username:"
_PASSWORD: Final = b"Password:"


@dataclass(frozen=True, slots=True)
class Attempt:
    """A login that was tried: either the password, or the digest of `challenge` that only its owner can make."""

    username: str
    password: bytes | None = None
    challenge: bytes = b""
    digest: bytes = b""

    def proven_by(self, password: str) -> bool:
        """Return whether it was made with this password; takes the same time either way.

        Old software on Windows sends passwords in its code page, hence the second encoding.
        """
        proven = False
        for encoding in ("utf-8", "cp1252"):
            expected = password.encode(encoding, "replace")
            if self.password is None:
                expected = hmac.new(expected, self.challenge, hashlib.md5).hexdigest().encode()
                proven |= hmac.compare_digest(expected, self.digest)
            else:
                proven |= hmac.compare_digest(expected, self.password)
        return proven

    def __repr__(self) -> str:
        return "Attempt(...)"


Exchange: TypeAlias = Generator[bytes, bytes, Attempt | None]
"""Yields challenges, is sent responses, returns the attempt, or None where a response is malformed."""


def exchange(mechanism: str, initial: bytes | None, challenge: bytes) -> Exchange | None:
    """Begin one; None for a mechanism that we don't know.

    `initial` is the decoded initial response, None where none was given. An empty one counts as none: clients that
    write `=` mean that they have nothing to say yet. `challenge` is that of CRAM-MD5.
    """
    if mechanism == "PLAIN":
        return _plain(initial or None)
    if mechanism == "LOGIN":
        return _login(initial or None)
    if mechanism == "CRAM-MD5":
        return _cram_md5(initial or None, challenge)
    return None


def decoded(response: bytes) -> bytes | None:
    """Return a response without its base64 (`=` is the empty one, RFC 4954 §4); None where it is malformed."""
    response = response.strip()
    if response == b"=":
        return b""
    try:
        return b64decode(response, validate=True)
    except binascii.Error:
        return None


def _plain(initial: bytes | None) -> Exchange:
    response = initial if initial is not None else (yield b"")
    parts = response.split(b"\0")
    if len(parts) != 3:
        return None
    authorization, username, password = parts
    if not username:
        return None
    if authorization and authorization != username:
        # Nobody here may act for another (RFC 4616 §2): an attempt that nothing proves.
        return Attempt(_text(username))
    return Attempt(_text(username), password)


def _login(initial: bytes | None) -> Exchange:
    username = initial if initial is not None else (yield _USERNAME)
    password = yield _PASSWORD
    return Attempt(_text(username), password)


def _cram_md5(initial: bytes | None, challenge: bytes) -> Exchange:
    if initial is not None:
        return None
    response = yield challenge
    username, blank, digest = response.rpartition(b" ")
    if not blank or not username:
        return None
    return Attempt(_text(username), None, challenge, digest.lower())


def _text(octets: bytes) -> str:
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return octets.decode("cp1252", "replace")
