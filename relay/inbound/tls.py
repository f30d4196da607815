"""The TLS that a listener speaks: a context from a certificate and its key, both as PEM."""

from __future__ import annotations

import os
import ssl
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from relay.config.listener_settings import TlsVersion

_VERSIONS: Final = {
    "1.0": ssl.TLSVersion.TLSv1,
    "1.1": ssl.TLSVersion.TLSv1_1,
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}
_OUTDATED: Final = ("1.0", "1.1")
_FAULTS: Final = (
    (
        ("UNSUPPORTED_PROTOCOL", "NO_SHARED_CIPHER", "VERSION_TOO_LOW", "NO_PROTOCOLS_AVAILABLE"),
        "the client speaks an older TLS than this listener: give it a listener of its own with a lower minimum_tls",
    ),
    (
        ("UNKNOWN_CA", "CERTIFICATE_UNKNOWN", "BAD_CERTIFICATE"),
        "the client does not trust our certificate: see relay certificate",
    ),
    (
        ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNEXPECTED_MESSAGE", "PACKET_LENGTH"),
        "the client did not speak TLS: it may want STARTTLS or no encryption",
    ),
)


@dataclass(frozen=True, slots=True)
class CertificatePair:
    """A certificate with its chain, and its private key, in PEM."""

    chain: bytes
    key: bytes = field(repr=False)


def server_context(pair: CertificatePair, minimum_tls: TlsVersion) -> ssl.SSLContext:
    """Return a fresh context, so that a pair that doesn't fit breaks no other. Raises ssl.SSLError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.options |= ssl.OP_NO_RENEGOTIATION
    if minimum_tls in _OUTDATED:
        # OpenSSL 3 refuses these versions' signatures at any higher level: on this listener alone they are wanted.
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = _VERSIONS[minimum_tls]
    else:
        context.minimum_version = _VERSIONS[minimum_tls]
    with _as_file(pair.chain) as chain, _as_file(pair.key) as key:
        # Without the callback a key with a passphrase would make OpenSSL ask for it on the terminal.
        context.load_cert_chain(chain, key, password=lambda: "")
    return context


def handshake_fault(reason: str) -> str:
    """Return what OpenSSL's word for a failed handshake means to an operator."""
    meaning = next((text for words, text in _FAULTS if any(word in reason for word in words)), "")
    said = reason.replace("_", " ").lower()
    return f"{said}; {meaning}" if meaning else said


@contextmanager
def _as_file(octets: bytes) -> Iterator[str]:
    """OpenSSL's loader takes paths only; a secret must not touch the disk where that can be helped."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("relay-tls")
        with os.fdopen(descriptor, "wb") as file:
            file.write(octets)
            file.flush()
            yield f"/proc/self/fd/{descriptor}"
    else:
        with tempfile.NamedTemporaryFile(prefix="relay-tls-") as named:
            named.write(octets)
            named.flush()
            yield named.name


def expires_at(chain: bytes) -> int:
    """Return when the first certificate of a PEM expires, in milliseconds. Raises ValueError where there is none.

    Reads RFC 5280 §4.1's Certificate by hand, since cryptography costs an idle relay 7 MiB.
    """
    begin = chain.find(b"-----BEGIN CERTIFICATE-----")
    end = chain.find(b"-----END CERTIFICATE-----", begin)
    if begin < 0 or end < 0:
        raise ValueError("no certificate")
    der = ssl.PEM_cert_to_DER_cert(chain[begin : end + 25].decode("ascii", "replace"))
    try:
        certificate = _fields(der)[0][1]
        parts = _fields(_fields(certificate)[0][1])
        validity = parts[4 if parts[0][0] == 0xA0 else 3][1]
        tag, text = _fields(validity)[1]
    except IndexError:
        raise ValueError("not a certificate") from None
    # UTCTime has two digits of the year: RFC 5280 §4.1.2.5.1.
    form = "%y%m%d%H%M%SZ" if tag == 0x17 else "%Y%m%d%H%M%SZ"
    return round(datetime.strptime(text.decode("ascii"), form).replace(tzinfo=UTC).timestamp() * 1000)


def _fields(der: bytes) -> list[tuple[int, bytes]]:
    """The DER elements within `der`: tag and content of each."""
    found: list[tuple[int, bytes]] = []
    position = 0
    while position < len(der):
        tag, length = der[position], der[position + 1]
        position += 2
        if length & 0x80:
            octets = length & 0x7F
            length = int.from_bytes(der[position : position + octets], "big")
            position += octets
        found.append((tag, der[position : position + length]))
        position += length
    return found
