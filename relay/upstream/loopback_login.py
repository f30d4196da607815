"""Signing in to Google with a browser (RFC 8252 §7.3): it comes back to a port of this machine, or is pasted.

Google's device flow doesn't give out the scope that SMTP needs.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import secrets as random
import select
import socket
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, Final, TextIO
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

from relay.config.problems import ConfigError
from relay.config.provider_settings import GmailSettings
from relay.config.secrets import Secrets
from relay.upstream.authority import Answered, access_token, refused
from relay.upstream.contract import Cause, Phase
from relay.upstream.failures import ConversationEnded, reply_for
from relay.upstream.google_tokens import SCOPE, TOKEN_URL, google_purpose, posted
from relay.upstream.proxy import proxy_of
from relay.upstream.token_store import TokenRecord, TokenStore

SIGN_IN_URL: Final = "https://accounts.google.com/o/oauth2/v2/auth"
_PATH: Final = "/o/oauth2/v2/auth"
_SECONDS: Final = 10.0


class LoopbackLogin:
    """A sign-in under way: `url` is for the person. Close it when done.

    Its methods block, and raise ConversationEnded (the authority's word in `reply`) and ConfigError.
    """

    def __init__(self, name: str, settings: GmailSettings, secrets: Secrets) -> None:
        self._settings = settings
        self._secrets = secrets
        self._store = TokenStore(secrets.store, name, google_purpose(settings))
        self._token_url = settings.authority or TOKEN_URL
        self._state = random.token_urlsafe(24)
        self._verifier = random.token_urlsafe(48)
        self._server = _Redirected()
        self._redirect_uri = f"http://127.0.0.1:{self._server.server_port}"
        self.url = f"{self._sign_in_url()}?{urlencode(self._question())}"

    def close(self) -> None:
        """Stop listening."""
        self._server.server_close()

    def wait(self, pasted: TextIO, seconds: float) -> bool:
        """Wait for the browser, or for its last address on a line of `pasted`; True when the sign-in is kept."""
        readable: list[Any] = [self._server.socket]
        with contextlib.suppress(OSError, ValueError, AttributeError):
            pasted.fileno()
            readable.append(pasted)
        while True:
            ready = select.select(readable, [], [], seconds)[0]
            if not ready:
                return False
            answer = ""
            if self._server.socket in ready:
                self._server.handle_request()
                answer, self._server.asked = self._server.asked, ""
            elif not (answer := pasted.readline()):
                readable.remove(pasted)
            if self._took(answer.strip()):
                return True

    def _took(self, address: str) -> bool:
        """Whether the address that the browser ended at completes this sign-in; others are left alone."""
        try:
            said = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        except ValueError:
            return False
        if not hmac.compare_digest(said.get("state", "").encode(), self._state.encode()):
            return False
        if "code" not in said:
            raise refused(self._token_url, Answered(), {"error": said.get("error", "no code")})
        self._redeem(said["code"])
        return True

    def _redeem(self, code: str) -> None:
        settings, answered = self._settings, Answered()
        if settings.client_secret is None:
            raise ConfigError("client_secret is missing")
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "client_id": settings.client_id,
            "client_secret": str(self._secrets.resolve(settings.client_secret)),
            "redirect_uri": self._redirect_uri,
            "code_verifier": self._verifier,
        }
        result = posted(self._token_url, form, settings.ca_file, proxy_of(settings, self._secrets), answered)
        access = access_token(self._token_url, answered, result)
        refresh = result.get("refresh_token")
        if not isinstance(refresh, str) or not refresh:
            said = reply_for(
                Cause.TOKEN_REFUSED, Phase.TOKEN, settings.host, "there was no refresh token; sign in again"
            )
            raise ConversationEnded(Phase.TOKEN, said, Cause.TOKEN_REFUSED)
        self._store.save(TokenRecord(self._store.purpose, access, json.dumps({"refresh_token": refresh})))

    def _sign_in_url(self) -> str:
        return urljoin(self._settings.authority, _PATH) if self._settings.authority else SIGN_IN_URL

    def _question(self) -> dict[str, str]:
        digest = hashlib.sha256(self._verifier.encode()).digest()
        return {
            "client_id": self._settings.client_id,
            "redirect_uri": self._redirect_uri,
            "response_type": "code",
            "scope": SCOPE,
            "state": self._state,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            # Without these Google gives a refresh token at a person's first sign-in only.
            "access_type": "offline",
            "prompt": "consent",
            "login_hint": self._settings.username,
        }


class _Redirected(HTTPServer):
    """Takes the browser's last request, on a free port; `asked` is its target."""

    timeout = _SECONDS

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Page)
        self.asked = ""

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        connection.settimeout(_SECONDS)
        return connection, address

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a browser that goes away."""


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        page = b"<!doctype html><html lang=en><title>Relay</title><p>Go back to the terminal; close this window.</p>"
        assert isinstance(self.server, _Redirected)  # noqa: S101 - the only one it is given to
        self.server.asked = self.path
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Say nothing: the request holds the code."""
