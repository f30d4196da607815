"""Judges the JWT by which an application proves itself instead of a secret (RFC 7523 §3, Entra's certificate form)."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from relay.simulator.tokens import decoded, encoded

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

UNREGISTERED = 700027
BAD_SIGNATURE = 50012
OUT_OF_TIME = 700024
WRONG_AUDIENCE = 700023
WRONG_ISSUER = 700021
MALFORMED = 50027


class RegisteredCertificates:
    """The public certificates of the application, known by both thumbprints."""

    def __init__(self) -> None:
        self._by_thumbprint: dict[str, Certificate] = {}

    def register(self, pem: bytes) -> None:
        """Add a certificate, as an administrator would upload it; raises ValueError where it is none."""
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes

        certificate = x509.load_pem_x509_certificate(pem)
        for algorithm in (hashes.SHA1(), hashes.SHA256()):  # noqa: S303 (x5t is SHA-1 by its definition)
            self._by_thumbprint[encoded(certificate.fingerprint(algorithm))] = certificate

    def clear(self) -> None:
        """Forget all."""
        self._by_thumbprint.clear()

    def refuse(self, assertion: str, client_id: str, audiences: frozenset[str]) -> int | None:
        """Return the AADSTS code that refuses `assertion`, or None. `audiences` are the URLs of this authority."""
        try:
            header, claims, signed, signature = parts_of(assertion)
        except (ValueError, TypeError, KeyError):
            return MALFORMED
        thumbprint = str(header.get("x5t#S256") or header.get("x5t") or "").rstrip("=")
        certificate = self._by_thumbprint.get(thumbprint)
        if certificate is None:
            return UNREGISTERED
        if not signed_by(certificate.public_key(), str(header.get("alg")), signed, signature):
            return BAD_SIGNATURE
        return _refuse_claims(claims, client_id, audiences)


def parts_of(assertion: str) -> tuple[Mapping[str, object], Mapping[str, object], bytes, bytes]:
    """Return header, claims, what is signed, and the signature; raises ValueError or TypeError."""
    head, body, signature = assertion.split(".")
    header, claims = json.loads(decoded(head)), json.loads(decoded(body))
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise TypeError("not objects")
    return header, claims, f"{head}.{body}".encode(), decoded(signature)


def signed_by(key: object, algorithm: str, signed: bytes, signature: bytes) -> bool:
    """Tell whether the RSA public key's owner signed it."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    if not isinstance(key, rsa.RSAPublicKey):
        return False
    schemes: dict[str, padding.AsymmetricPadding] = {
        "RS256": padding.PKCS1v15(),
        "PS256": padding.PSS(padding.MGF1(hashes.SHA256()), hashes.SHA256().digest_size),
    }
    if algorithm not in schemes:
        return False
    try:
        key.verify(signature, signed, schemes[algorithm], hashes.SHA256())
    except InvalidSignature:
        return False
    return True


def out_of_time(claims: Mapping[str, object]) -> int | None:
    """Return the code that refuses claims which are not in force, five minutes either way; else None."""
    now = time.time()
    expires, begins = claims.get("exp"), claims.get("nbf", 0)
    if not isinstance(expires, int | float) or not isinstance(begins, int | float):
        return MALFORMED
    return None if begins - 300 <= now < expires + 300 else OUT_OF_TIME


def _refuse_claims(claims: Mapping[str, object], client_id: str, audiences: frozenset[str]) -> int | None:
    late = out_of_time(claims)
    if late is not None:
        return late
    if claims.get("aud") not in audiences:
        return WRONG_AUDIENCE
    if claims.get("iss") != client_id or claims.get("sub") != client_id:
        return WRONG_ISSUER
    return None
