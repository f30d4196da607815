"""Google's token endpoint: service accounts with domain-wide delegation (RFC 7523 §2.1), and refresh tokens."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
import urllib.parse
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relay.simulator.authority_fault import struck
from relay.simulator.client_assertion import parts_of, signed_by
from relay.simulator.faults import Fault, Faults
from relay.simulator.http_server import Request, Response
from relay.simulator.options import Options
from relay.simulator.tokens import encoded

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

PATH = "/token"
SIGN_IN_PATH = "/o/oauth2/v2/auth"
SCOPE = "https://mail.google.com/"
_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_REMEMBERED = 10_000
_TIMES = (
    "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp"
    " values in the JWT claim."
)


class _Refused(Exception):  # noqa: N818
    """What is answered instead of a token."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(error)
        self.error = error
        self.description = description
        self.status = status


@dataclass(frozen=True, slots=True)
class _ServiceAccount:
    key: RSAPublicKey
    delegated: bool


@dataclass(frozen=True, slots=True)
class _Code:
    user: str
    redirect_uri: str
    challenge: str


class GoogleAuthority:
    """`users` can be acted for; `requests` counts; `client_secrets` by client ID; `lifetime` of tokens in seconds."""

    def __init__(self, options: Options, faults: Faults) -> None:
        self._options = options
        self._faults = faults
        self._accounts: dict[str, _ServiceAccount] = {}
        self._refresh_tokens: dict[str, str] = {}
        self._codes: dict[str, _Code] = {}
        self._live: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self.origin = ""
        self.requests = 0
        self.lifetime = options.token_lifetime
        self.users = {options.gmail_user.lower(), options.mailbox.lower()}
        self.client_secrets = {options.google_client_id: options.google_client_secret}

    @property
    def url(self) -> str:
        """The token endpoint."""
        return f"{self.origin}{PATH}"

    def service_account(self, name: str = "relay", *, delegated: bool = True) -> str:
        """Make a service account, or a new key of it in place of the old, and return its JSON. Takes a moment."""
        from cryptography.hazmat.primitives.asymmetric import rsa
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        address = f"{name}@clinic-mail.iam.gserviceaccount.com"
        self._accounts[address] = _ServiceAccount(key.public_key(), delegated)
        shown = {
            "type": "service_account",
            "project_id": "clinic-mail",
            "private_key_id": secrets.token_hex(20),
            "private_key": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
            "client_email": address,
            "client_id": str(100000000000000000000 + secrets.randbelow(10**18)),
            "token_uri": self.url,
        }
        return json.dumps(shown, indent=2)

    def refresh_token(self, user: str) -> str:
        """Return a refresh token, as from a sign-in of this user."""
        token = f"1//0{secrets.token_urlsafe(60)}"
        self._refresh_tokens[token] = user.lower()
        return token

    def revoke_refresh_tokens(self) -> int:
        """Let nobody stay signed in; returns how many were."""
        count = len(self._refresh_tokens)
        self._refresh_tokens.clear()
        return count

    def expire(self) -> int:
        """Let every access token issued so far count as expired; returns how many there were."""
        count = len(self._live)
        self._live.clear()
        return count

    def opens_mailbox(self, token: str, mailbox: str) -> bool:
        """Tell whether the token is alive and this user's."""
        user, expires = self._live.get(token, ("", 0.0))
        return user == mailbox.lower() and time.time() < expires

    async def answer(self, request: Request) -> Response:
        """Answer one request."""
        if request.path == SIGN_IN_PATH:
            return self._signed_in(request)
        self.requests += 1
        fault = await struck(self._faults, "google", "token", self._options.idle_timeout)
        if isinstance(fault, Response):
            return fault
        try:
            if isinstance(fault, Fault):
                raise _Refused(fault.error, fault.description, fault.status)
            return Response.json(self._token(request.form()))
        except _Refused as refused:
            said = {"error": refused.error, "error_description": refused.description}
            return Response.json(said, refused.status)

    def _token(self, form: Mapping[str, str]) -> dict[str, object]:
        grant = form.get("grant_type")
        if grant == _JWT_BEARER:
            user = self._by_service_account(form.get("assertion", ""))
        elif grant == "refresh_token":
            user = self._by_refresh_token(form)
        elif grant == "authorization_code":
            user = self._by_code(form)
        else:
            raise _Refused("unsupported_grant_type", f"Invalid grant_type: {grant}")
        token = self._access_token(user)
        self._live[token] = (user, time.time() + self.lifetime)
        while len(self._live) > _REMEMBERED:
            self._live.popitem(last=False)
        answer = {"access_token": token, "expires_in": self.lifetime, "scope": SCOPE, "token_type": "Bearer"}
        if grant == "authorization_code":
            answer["refresh_token"] = self.refresh_token(user)
        return answer

    def _access_token(self, user: str) -> str:
        """Return a new token; Google's tell nothing to anybody but Google."""
        return f"ya29.{secrets.token_urlsafe(160)}"

    def _signed_in(self, request: Request) -> Response:
        """Send the browser back with a code: whoever is hinted at signs in by opening the page."""
        asked = request.query
        back = asked.get("redirect_uri", "")
        wrong = (
            asked.get("client_id") not in self.client_secrets
            or not back.startswith("http://127.0.0.1:")
            or asked.get("response_type") != "code"
            or asked.get("code_challenge_method") != "S256"
        )
        if wrong:
            return Response(400, b"Access blocked: authorization error", "text/plain")
        said = {"state": asked.get("state", "")}
        user = asked.get("login_hint", "").lower()
        if user in self.users and asked.get("scope") == SCOPE:
            said["code"] = f"4/0{secrets.token_urlsafe(40)}"
            self._codes[said["code"]] = _Code(user, back, asked.get("code_challenge", ""))
        else:
            said["error"] = "access_denied"
        return Response(302, headers={"Location": f"{back}?{urllib.parse.urlencode(said)}"})

    def _by_code(self, form: Mapping[str, str]) -> str:
        self._prove_client(form)
        code = self._codes.pop(form.get("code", ""), None)
        verifier = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if code is None or code.challenge != encoded(verifier):
            raise _Refused("invalid_grant", "Malformed auth code.")
        if code.redirect_uri != form.get("redirect_uri"):
            raise _Refused("redirect_uri_mismatch", "Bad Request")
        return code.user

    def _by_service_account(self, assertion: str) -> str:
        try:
            header, claims, signed, signature = parts_of(assertion)
        except (ValueError, TypeError):
            raise _Refused("invalid_grant", "Bad Request") from None
        account = self._accounts.get(str(claims.get("iss")))
        if account is None:
            raise _Refused("invalid_grant", "Invalid grant: account not found")
        if header.get("alg") != "RS256" or not signed_by(account.key, "RS256", signed, signature):
            raise _Refused("invalid_grant", "Invalid JWT Signature.")
        if claims.get("aud") != self.url:
            raise _Refused("invalid_grant", "Invalid JWT: Failed audience check.")
        issued, expires = claims.get("iat"), claims.get("exp")
        if not isinstance(issued, int) or not isinstance(expires, int):
            raise _Refused("invalid_grant", _TIMES)
        if not (issued - 300 <= time.time() < expires and expires - issued <= 3600):
            raise _Refused("invalid_grant", _TIMES)
        if not account.delegated or claims.get("scope") != SCOPE:
            text = "Client is unauthorized to retrieve access tokens using this method, or client not authorized for"
            raise _Refused("unauthorized_client", f"{text} any of the scopes requested.", 401)
        user = str(claims.get("sub", "")).lower()
        if user not in self.users:
            raise _Refused("invalid_grant", "Invalid email or User ID")
        return user

    def _by_refresh_token(self, form: Mapping[str, str]) -> str:
        self._prove_client(form)
        user = self._refresh_tokens.get(form.get("refresh_token", ""))
        if user is None:
            raise _Refused("invalid_grant", "Token has been expired or revoked.")
        return user

    def _prove_client(self, form: Mapping[str, str]) -> None:
        secret = self.client_secrets.get(form.get("client_id", ""))
        if secret is None:
            raise _Refused("invalid_client", "The OAuth client was not found.", 401)
        if secret != form.get("client_secret"):
            raise _Refused("invalid_client", "The provided client secret is invalid.", 401)
