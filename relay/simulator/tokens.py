"""JSON web tokens as Entra issues them: made, and judged as Exchange Online would (RFC 7519, RFC 7515)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import secrets
import threading
import time
import uuid
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from relay.simulator.options import Options

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

APP_AUDIENCES = ("https://outlook.office365.com", "https://outlook.office.com")
CLOUD_AUDIENCES: Mapping[str, tuple[str, ...]] = {
    "public": APP_AUDIENCES,
    "us-gov-high": ("https://outlook.office365.us",),
    "us-gov-dod": ("https://outlook-dod.office365.us",),
    "china": ("https://partner.outlook.cn",),
}
"""What a token for Exchange Online is for, by cloud: another cloud's audience opens nothing."""
GRAPH_AUDIENCES: Mapping[str, str] = {
    "public": "https://graph.microsoft.com",
    "us-gov-high": "https://graph.microsoft.us",
    "us-gov-dod": "https://dod-graph.microsoft.us",
    "china": "https://microsoftgraph.chinacloudapi.cn",
}
"""What a token for Microsoft Graph is for, by cloud."""
APP_ROLE = "SMTP.SendAsApp"
USER_SCOPE = "SMTP.Send"

_REMEMBERED = 10_000
_AROUND = 480  # octets of a token's header and signature
_GROUP = 39 * 4 // 3  # octets that one group identifier makes
_lock = threading.Lock()
_signing_key: RSAPrivateKey | None = None


def signing_key() -> RSAPrivateKey:
    """Return the key all tokens of this process are signed with; the first call takes about a tenth of a second."""
    from cryptography.hazmat.primitives.asymmetric import rsa

    global _signing_key
    with _lock:
        if _signing_key is None:
            _signing_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        return _signing_key


def encoded(octets: bytes) -> str:
    """Return base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    """Read base64url without padding; raises ValueError."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error


def signed(claims: Mapping[str, object]) -> str:
    """Return the claims as a JWT signed by RS256."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    header = {"typ": "JWT", "alg": "RS256", "x5t": key_id(), "kid": key_id()}
    body = f"{_json(header)}.{_json(claims)}"
    signature = signing_key().sign(body.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{body}.{encoded(signature)}"


def verified(token: str) -> dict[str, Any] | None:
    """Return the claims of a token that we signed and that hasn't expired, else None."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        header = json.loads(decoded(parts[0]))
        claims = json.loads(decoded(parts[1]))
        if header["alg"] != "RS256" or header["kid"] != key_id():
            return None
        message = f"{parts[0]}.{parts[1]}".encode()
        signing_key().public_key().verify(decoded(parts[2]), message, padding.PKCS1v15(), hashes.SHA256())
        now = time.time()
        live = claims["nbf"] - 300 <= now < claims["exp"]
    except (ValueError, KeyError, TypeError, InvalidSignature):
        return None
    return claims if live and isinstance(claims, dict) else None


def key_id() -> str:
    """Return the `kid` of our key."""
    return encoded(hashlib.sha256(_modulus()).digest()[:20])


def key_set() -> dict[str, object]:
    """Return our public key as a JWK set (RFC 7517)."""
    key = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": key_id(), "n": encoded(_modulus()), "e": "AQAB"}
    return {"keys": [key]}


class Tokens:
    """Issues access tokens, and can make all of them worthless at once."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._live: deque[str] = deque(maxlen=_REMEMBERED)
        self.lifetime = options.token_lifetime
        self.roles: tuple[str, ...] = (APP_ROLE,)
        self.graph_roles: tuple[str, ...] = ("Mail.Send", "Mail.ReadWrite")
        self.audiences = CLOUD_AUDIENCES[options.cloud]
        self.graph_audience = GRAPH_AUDIENCES[options.cloud]
        self.resources = (*self.audiences, self.graph_audience)

    def for_app(self, audience: str) -> str:
        """Return a token for the application itself, by client credentials."""
        roles = self.graph_roles if audience == self.graph_audience else self.roles
        return self._issue({"aud": audience, "appidacr": "1", "idtyp": "app", "roles": list(roles)})

    def for_user(self, audience: str, user: str, scope: str) -> str:
        """Return a token for a user who has signed in."""
        return self._issue({"aud": audience, "appidacr": "0", "idtyp": "user", "scp": scope, "upn": user})

    def identity(self, issuer: str, user: str) -> str:
        """Return an id_token (OpenID Connect Core §2)."""
        now = int(time.time())
        claims = {
            "aud": self._options.client_id,
            "iss": issuer,
            "iat": now,
            "nbf": now,
            "exp": now + 3600,
            "ver": "2.0",
        }
        return signed(claims | {"tid": self._options.tenant, **self._user(user), "preferred_username": user})

    def client_info(self, user: str) -> str:
        """Return what msal knows an account by."""
        return _json({"uid": self._user(user)["oid"], "utid": self._options.tenant})

    def expire(self) -> int:
        """Let every token issued so far count as expired; returns how many there were."""
        count = len(self._live)
        self._live.clear()
        return count

    def opens_mailbox(self, token: str, mailbox: str) -> bool:
        """Judge as Exchange Online does: ours, alive, for this service, and with the right for this mailbox."""
        claims = verified(token)
        if claims is None or claims.get("uti") not in self._live:
            return False
        if claims.get("aud") not in self.audiences or claims.get("tid") != self._options.tenant:
            return False
        if APP_ROLE in claims.get("roles", []):
            return True
        return USER_SCOPE in str(claims.get("scp", "")).split() and str(claims.get("upn")).lower() == mailbox

    def for_graph(self, token: str) -> dict[str, Any] | None:
        """Judge as Microsoft Graph does: ours, alive, and for this service; return what it claims, else None."""
        claims = verified(token)
        if claims is None or claims.get("uti") not in self._live:
            return None
        meant = claims.get("aud") == self.graph_audience and claims.get("tid") == self._options.tenant
        return claims if meant else None

    def _issue(self, particular: Mapping[str, object]) -> str:
        now = int(time.time())
        identifier = secrets.token_urlsafe(16)
        claims: dict[str, object] = {
            "iss": f"https://sts.windows.net/{self._options.tenant}/",
            "iat": now,
            "nbf": now,
            "exp": now + self.lifetime,
            "aio": secrets.token_urlsafe(40),
            "app_displayname": "Relay",
            "appid": self._options.client_id,
            "idp": f"https://sts.windows.net/{self._options.tenant}/",
            "oid": str(uuid.uuid5(uuid.NAMESPACE_DNS, self._options.client_id)),
            "tid": self._options.tenant,
            "uti": identifier,
            "ver": "1.0",
            **particular,
        }
        # Real tokens carry group and role identifiers until they are several kilobytes long.
        rest = self._options.token_size - (len(json.dumps(claims, separators=(",", ":"))) * 4 // 3 + _AROUND)
        claims["groups"] = [str(uuid.UUID(int=at)) for at in range(max(rest, 0) // _GROUP + 1)]
        self._live.append(identifier)
        return signed(claims)

    def _user(self, user: str) -> dict[str, str]:
        oid = str(uuid.uuid5(uuid.NAMESPACE_DNS, user.lower()))
        return {"oid": oid, "sub": encoded(hashlib.sha256(oid.encode()).digest()), "name": user.partition("@")[0]}


def _modulus() -> bytes:
    return signing_key().public_key().public_numbers().n.to_bytes(256, "big")


def _json(value: Mapping[str, object]) -> str:
    return encoded(json.dumps(value, separators=(",", ":")).encode())
