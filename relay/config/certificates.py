"""Whether a certificate can be read, is in force, and has the private key that stands beside it."""

import datetime
from collections.abc import Sequence
from typing import TYPE_CHECKING

from relay.config.problems import ConfigError

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_CURE_CHAIN = "name the PEM file that begins with -----BEGIN CERTIFICATE-----"


def chain_in(pem: bytes) -> Sequence["Certificate"]:
    """The certificates in a PEM text, the leaf first. Raises ConfigError."""
    from cryptography.x509 import load_pem_x509_certificates

    try:
        return load_pem_x509_certificates(pem)
    except ValueError as error:
        raise ConfigError(f"holds no certificate in PEM; {_CURE_CHAIN}") from error


def public_key_of(pem: bytes, passphrase: str | None = None) -> bytes:
    """The public half, in DER, of the private key in a PEM text. Raises ConfigError, which says nothing of the key."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    try:
        key = serialization.load_pem_private_key(pem, passphrase.encode() if passphrase is not None else None)
    except TypeError as error:
        if passphrase is None:
            cure = "set passphrase where there is such a key, else take it off: openssl pkey -in KEY"
            raise ConfigError(f"the private key is encrypted; {cure}") from error
        raise ConfigError("the private key is not encrypted; remove passphrase") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        if passphrase is not None and b"ENCRYPTED" in pem:
            raise ConfigError("the private key has another passphrase; correct it") from error
        cure = "name the PEM file that holds -----BEGIN PRIVATE KEY-----"
        raise ConfigError(f"holds no private key in PEM that can be read; {cure}") from error
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def mismatch(chain: Sequence["Certificate"], public_key: bytes) -> str | None:
    """What is wrong where the key isn't the leaf certificate's; None where it is."""
    from cryptography.hazmat.primitives import serialization

    of_certificate = [
        certificate.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        for certificate in chain
    ]
    if of_certificate[0] == public_key:
        return None
    if public_key in of_certificate:
        return "the certificate of this private key is not the first of the file; put it before its chain"
    return "the private key does not belong to the certificate; name the key with which it was requested"


def out_of_force(chain: Sequence["Certificate"], now: datetime.datetime) -> str | None:
    """What to say of a leaf that has ended, or not begun; None where it is in force."""
    leaf = chain[0]
    if now > leaf.not_valid_after_utc:
        return f"the certificate ended on {leaf.not_valid_after_utc:%Y-%m-%d}; renew it"
    if now < leaf.not_valid_before_utc:
        return f"the certificate begins on {leaf.not_valid_before_utc:%Y-%m-%d} only; look at this machine's clock"
    return None


def check_pfx(octets: bytes, passphrase: str | None) -> Sequence["Certificate"]:
    """The certificates of a PFX file. Raises ConfigError where it can't be opened, or has no key."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import pkcs12

    try:
        content = pkcs12.load_pkcs12(octets, passphrase.encode() if passphrase is not None else None)
    except UnsupportedAlgorithm as error:
        raise ConfigError("is encrypted in a way that is not known here; export it anew, with AES256-SHA256") from error
    except ValueError as error:
        # cryptography tells a wrong passphrase from a wrong file by its text alone.
        if "password" not in str(error):
            raise ConfigError("is no PFX (PKCS #12) file; name one, or export it anew") from error
        if passphrase is None:
            raise ConfigError('is encrypted; add passphrase, such as { sealed = "NAME" }') from error
        raise ConfigError("has another passphrase, or none; correct or remove passphrase") from error
    if content.key is None or content.cert is None:
        raise ConfigError("lacks the private key or the certificate; export it anew, with the private key")
    return [content.cert.certificate]


def unfit_for_entra(chain: Sequence["Certificate"]) -> str | None:
    """What is wrong with a certificate by which an application is to prove itself to Entra; None where it will do."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    if isinstance(chain[0].public_key(), RSAPublicKey):
        return None
    return "the key is no RSA key, and Entra takes no other; make a certificate with one: openssl req -newkey rsa:2048"
