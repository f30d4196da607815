"""A certificate authority of the simulator's own, and a leaf for localhost and the names it plays."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.x509 import Certificate, CertificateBuilder, GeneralName

NAMES = ("localhost", "127.0.0.1", "::1", "smtp.office365.com", "smtp.gmail.com", "email-smtp.amazonaws.com")

_DAYS = 30
_AUTHORITY = "Relay simulator authority"


def certificates(directory: Path, further: tuple[str, ...] = ()) -> tuple[Path, ssl.SSLContext]:
    """Return ca.pem's path and a server's context, from `directory`; made where they are missing or soon over.

    `further`: names or addresses of the leaf besides the loopback ones.
    """
    directory.mkdir(parents=True, exist_ok=True)
    ca_file, leaf_file = directory / "ca.pem", directory / "leaf.pem"
    called = frozenset((*NAMES, *further))
    if not (ca_file.exists() and leaf_file.exists() and _good_for(leaf_file, called)):
        _make(ca_file, leaf_file, called)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(leaf_file)
    return ca_file, context


def _good_for(leaf_file: Path, called: frozenset[str]) -> bool:
    from cryptography import x509

    try:
        leaf = x509.load_pem_x509_certificate(leaf_file.read_bytes())
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        return False
    here = {str(address) for address in names.get_values_for_type(x509.IPAddress)}
    here |= set(names.get_values_for_type(x509.DNSName))
    tomorrow = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)
    return called <= here and leaf.not_valid_after_utc > tomorrow


def _make(ca_file: Path, leaf_file: Path, called: frozenset[str]) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    identifier = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())
    authority: Certificate = (
        _builder(_AUTHORITY, authority_key.public_key(), signs=True)
        .add_extension(identifier, critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    names = [_general_name(name) for name in sorted(called)]
    issued_by = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
    leaf: Certificate = (
        _builder("localhost", key.public_key(), signs=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(issued_by, critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    ca_file.write_bytes(authority.public_bytes(pem))
    leaf_file.touch(mode=0o600)
    leaf_file.write_bytes(private + leaf.public_bytes(pem))


def _general_name(name: str) -> GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(name: str, key: EllipticCurvePublicKey, *, signs: bool) -> CertificateBuilder:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    now = datetime.datetime.now(datetime.UTC)
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder()
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _AUTHORITY)]))
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=_DAYS))
        .add_extension(x509.BasicConstraints(ca=signs, path_length=0 if signs else None), critical=True)
        .add_extension(usage, critical=True)
    )
