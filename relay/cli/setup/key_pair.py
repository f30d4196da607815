"""A certificate by which an application proves itself to Entra: made here, its private key sealed."""

from __future__ import annotations

import datetime
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from relay.cli.setup.plain_name import plain_name
from relay.config.certificates import chain_in, mismatch, public_key_of, unfit_for_entra
from relay.config.private_file import make, reasons
from relay.config.problems import ConfigError
from relay.config.seal import SealedStore

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.x509 import Certificate

VALIDITY: Final = datetime.timedelta(days=730)
"""Two years: what Entra lets client secrets live at most."""

RENEWAL: Final = datetime.timedelta(days=30)
"""So long before its end the next one is made."""

_EARLIER: Final = datetime.timedelta(hours=1)
"""A tenant whose clock is behind takes it too."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """`certificate` is a file in PEM, to be uploaded; `sealed` is the name of its private key in the sealed store."""

    certificate: Path
    sealed: str
    thumbprint: str
    ends: datetime.date

    def toml(self) -> tuple[str, ...]:
        """Return the keys of [upstream.NAME] that use it."""
        from relay.cli.setup.toml_text import string

        return (
            'credential = "certificate"',
            f"certificate = {string(str(self.certificate))}",
            f"private_key = {{ sealed = {string(self.sealed)} }}",
        )


def key_pair_of(upstream: str, state_dir: Path, store: SealedStore, now: datetime.datetime) -> KeyPair:
    """Return the upstream's key pair; where there is none yet it is made. Raises ConfigError."""
    name = _name_for(upstream, state_dir, store, now)
    return _found(name, state_dir, store) or _made(name, state_dir, store, now)


def places_of(upstream: str, state_dir: Path, store: SealedStore, now: datetime.datetime) -> tuple[Path, str]:
    """Return the certificate's file and the sealed private key's name, whether they are there yet or not."""
    return _names(_name_for(upstream, state_dir, store, now), state_dir)


def ending(ends: datetime.date, now: datetime.datetime) -> bool:
    """Return whether it is time for another certificate; the one that ends stays, and is used meanwhile."""
    return ends <= (now + RENEWAL).date()


def _name_for(upstream: str, state_dir: Path, store: SealedStore, now: datetime.datetime) -> str:
    """Return the upstream's name, followed where one of its certificates ends by the day on which that happens."""
    name = upstream
    while (found := _found(name, state_dir, store)) is not None and ending(found.ends, now):
        name = f"{upstream}-{found.ends}"
    return name


def thumbprint_of(certificate: Certificate) -> str:
    """Return what Entra shows of a certificate: SHA-1 of its DER, in hexadecimal capitals."""
    from cryptography.hazmat.primitives.serialization import Encoding

    return hashlib.sha1(certificate.public_bytes(Encoding.DER), usedforsecurity=False).hexdigest().upper()


def read_certificate(path: Path) -> Certificate:
    """Return the first certificate of a PEM file. Raises ConfigError where it is none, or of no use to Entra."""
    with reasons(path):
        octets = path.read_bytes()
    try:
        chain = chain_in(octets)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    unfit = unfit_for_entra(chain)
    if unfit is not None:
        raise ConfigError(f"{path}: {unfit}")
    return chain[0]


def _names(name: str, state_dir: Path) -> tuple[Path, str]:
    plain = plain_name(name)
    return state_dir / f"{plain}.cer", f"{plain}-key"


def _found(name: str, state_dir: Path, store: SealedStore) -> KeyPair | None:
    path, sealed = _names(name, state_dir)
    key = store.get(sealed)
    if key is None or not path.exists():
        return None
    certificate = read_certificate(path)
    wrong = mismatch([certificate], public_key_of(key.encode()))
    if wrong is not None:
        raise ConfigError(f"{path}: {wrong}")
    return KeyPair(path, sealed, thumbprint_of(certificate), certificate.not_valid_after_utc.date())


def _made(name: str, state_dir: Path, store: SealedStore, now: datetime.datetime) -> KeyPair:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    path, sealed = _names(name, state_dir)
    key, certificate = _signed(name, now)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    # The key first: a certificate without its key would be uploaded in vain.
    store.set(sealed, pem)
    with reasons(path):
        make(path, certificate.public_bytes(Encoding.PEM))
        os.chmod(path, 0o644)
    return KeyPair(path, sealed, thumbprint_of(certificate), certificate.not_valid_after_utc.date())


def _signed(name: str, now: datetime.datetime) -> tuple[RSAPrivateKey, Certificate]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.x509.oid import NameOID

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    called = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"relay {name}"[:64])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(called)
        .issuer_name(called)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(now + VALIDITY)
        .sign(key, hashes.SHA256())
    )
    return key, certificate
