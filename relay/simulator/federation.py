"""Federated identity credentials: assertions of an issuer that the application trusts, and such an issuer."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relay.simulator.client_assertion import MALFORMED, out_of_time, parts_of, signed_by
from relay.simulator.tokens import encoded

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

AUDIENCE = "api://AzureADTokenExchange"
UNKNOWN_ISSUER = 700211
UNKNOWN_AUDIENCE = 700212
UNKNOWN_SUBJECT = 700213
BAD_SIGNATURE = 50013


class Issuer:
    """What issues assertions: the token service of a Kubernetes cluster, or AWS's. Making one takes a moment."""

    def __init__(self, url: str = "https://oidc.eks.ap-southeast-2.amazonaws.test/id/0123456789ABCDEF") -> None:
        from cryptography.hazmat.primitives.asymmetric import rsa

        self.url = url
        self.key: RSAPrivateKey = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def assertion(self, subject: str, *, audience: str = AUDIENCE, lifetime: float = 3600.0) -> str:
        """Return a JWT that ends in `lifetime` seconds."""
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import padding

        now = int(time.time())
        claims = {"iss": self.url, "sub": subject, "aud": [audience], "iat": now, "nbf": now}
        body = ".".join(_part(each) for each in ({"alg": "RS256"}, claims | {"exp": int(now + lifetime)}))
        return f"{body}.{encoded(self.key.sign(body.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


@dataclass(frozen=True, slots=True)
class _Trusted:
    issuer: Issuer
    subject: str
    audience: str


class FederatedCredentials:
    """Whose assertions the application takes instead of a secret, as an administrator would set it up."""

    def __init__(self) -> None:
        self._trusted: list[_Trusted] = []

    def trust(self, issuer: Issuer, subject: str, audience: str = AUDIENCE) -> None:
        """Take what this issuer says of this subject."""
        self._trusted.append(_Trusted(issuer, subject, audience))

    def clear(self) -> None:
        """Trust nobody any more."""
        self._trusted.clear()

    def concerns(self, assertion: str) -> bool:
        """True where it comes from somebody else than the application itself."""
        try:
            claims = parts_of(assertion)[1]
        except (ValueError, TypeError):
            return False
        return claims.get("iss") != claims.get("sub")

    def refuse(self, assertion: str) -> int | None:
        """Return the AADSTS code that refuses `assertion`, or None."""
        try:
            header, claims, signed, signature = parts_of(assertion)
        except (ValueError, TypeError):
            return MALFORMED
        left = [one for one in self._trusted if one.issuer.url == claims.get("iss")]
        if not left:
            return UNKNOWN_ISSUER
        said = claims.get("aud")
        audiences = said if isinstance(said, list) else [said]
        left = [one for one in left if one.audience in audiences]
        if not left:
            return UNKNOWN_AUDIENCE
        left = [one for one in left if one.subject == claims.get("sub")]
        if not left:
            return UNKNOWN_SUBJECT
        if not signed_by(left[0].issuer.key.public_key(), str(header.get("alg")), signed, signature):
            return BAD_SIGNATURE
        return out_of_time(claims)


def _part(value: object) -> str:
    return encoded(json.dumps(value, separators=(",", ":")).encode())
