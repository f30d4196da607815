"""Our own certificate where none is given: a small authority that applications trust once, and a leaf that it signs."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from relay.folder import put_in_place
from relay.inbound.machine_names import dns_names, local_addresses
from relay.inbound.tls import CertificatePair, expires_at

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

_DAY: Final = 86_400
_AUTHORITY_DAYS: Final = 3653
_LEAF_DAYS: Final = 365
_RENEWED_DAYS: Final = 30
_NAMES: Final = b"Names: "
_KEY_BITS: Final = 2048
"""RSA, since the oldest of applications know nothing else."""


@dataclass(frozen=True, slots=True)
class LocalAuthority:
    """The files in `folder`: `authority.pem` to be trusted, `authority.key`, and `leaf.pem`: key, leaf, authority."""

    folder: Path

    @classmethod
    def of(cls, state_dir: Path) -> LocalAuthority:
        """Return that of this relay."""
        return cls(state_dir / "tls")

    @property
    def certificate(self) -> Path:
        """What applications must trust."""
        return self.folder / "authority.pem"

    @property
    def _key(self) -> Path:
        return self.folder / "authority.key"

    @property
    def _leaf(self) -> Path:
        return self.folder / "leaf.pem"

    def pair(self, hostname: str) -> CertificatePair:
        """Return leaf and key; they are made where they are missing, lack a name, or have 30 days left.

        Takes up to a second. Raises OSError, and ValueError where the authority's files are damaged.
        """
        now = time.time()
        names = [*dns_names(hostname), *(str(address) for address in local_addresses())]
        kept = self._kept(now, names)
        if kept is None:
            self._make_leaf(now, hostname, names)
            kept = self._leaf.read_bytes()
        return CertificatePair(chain=kept[kept.index(b"-----BEGIN CERTIFICATE-----") :], key=kept)

    def _kept(self, now: float, names: list[str]) -> bytes | None:
        if not (self.certificate.exists() and self._key.exists() and self._leaf.exists()):
            return None
        leaf = self._leaf.read_bytes()
        said = leaf.partition(b"\n")[0]
        try:
            left = expires_at(leaf) / 1000 - now
        except ValueError:
            return None
        if not leaf.startswith(_NAMES) or not set(names) <= set(said[len(_NAMES) :].decode().split(", ")):
            return None
        return leaf if left > _RENEWED_DAYS * _DAY else None

    def _make_leaf(self, now: float, hostname: str, names: list[str]) -> None:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import rsa
        from cryptography.x509.oid import ExtendedKeyUsageOID

        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        authority, authority_key = self._authority(now, hostname)
        key = rsa.generate_private_key(65537, _KEY_BITS)
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        leaf = (
            _builder(names[0], authority.subject, key, now, _LEAF_DAYS)
            .add_extension(x509.SubjectAlternativeName(_alternatives(names)), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(usage, critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
            )
            .sign(authority_key, hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        parts = [_NAMES + ", ".join(names).encode() + b"\n", _key_text(key)]
        parts += [leaf.public_bytes(pem), authority.public_bytes(pem)]
        _write(self._leaf, b"".join(parts), 0o600)

    def _authority(self, now: float, hostname: str) -> tuple[x509.Certificate, RSAPrivateKey]:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import rsa

        if self.certificate.exists() and self._key.exists():
            try:
                kept = x509.load_pem_x509_certificate(self.certificate.read_bytes())
                kept_key = serialization.load_pem_private_key(self._key.read_bytes(), None)
            except (ValueError, TypeError):
                cure = "put both back, or remove both: new ones are made, which applications have to trust"
                raise ValueError(f"{self.certificate} or {self._key.name} is damaged; {cure}") from None
            if (
                isinstance(kept_key, rsa.RSAPrivateKey)
                and kept.not_valid_after_utc.timestamp() - now > _LEAF_DAYS * _DAY
            ):
                return kept, kept_key
        key = rsa.generate_private_key(65537, _KEY_BITS)
        title = f"Relay on {hostname}"[:64]
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, title)])
        made = (
            _builder(title, name, key, now, _AUTHORITY_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(authority=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        # The key first: a certificate without its key would be taken for a whole authority.
        _write(self._key, _key_text(key), 0o600)
        _write(self.certificate, made.public_bytes(serialization.Encoding.PEM), 0o644)
        return made, key


def _builder(common_name: str, issuer: x509.Name, key: RSAPrivateKey, now: float, days: int) -> x509.CertificateBuilder:
    from datetime import UTC, datetime

    from cryptography import x509

    # A day back: clocks of old machines are slow.
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name[:64])]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.fromtimestamp(now - _DAY, UTC))
        .not_valid_after(datetime.fromtimestamp(now + days * _DAY, UTC))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _alternatives(names: list[str]) -> list[x509.GeneralName]:
    import ipaddress

    from cryptography import x509

    found: list[x509.GeneralName] = []
    for name in names:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            found.append(x509.DNSName(name))
    return found


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not authority,
        key_encipherment=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _key_text(key: RSAPrivateKey) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, octets: bytes, mode: int) -> None:
    """Whole or not at all, whenever the power goes."""
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(octets)
        file.flush()
        os.fsync(file.fileno())
    put_in_place(draft, path)
