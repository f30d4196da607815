"""Entra's authority as msal sees it: discovery, keys, tokens, device codes (OpenID Connect Discovery, RFC 6749)."""

from __future__ import annotations

import asyncio
import html
import secrets
import time
import uuid
from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from relay.simulator.authority_fault import struck
from relay.simulator.client_assertion import RegisteredCertificates
from relay.simulator.device_code import LIFETIME, DeviceCode, DeviceCodes
from relay.simulator.faults import Fault, Faults, known_faults
from relay.simulator.federation import FederatedCredentials
from relay.simulator.http_server import Request, Response
from relay.simulator.options import Options
from relay.simulator.tokens import USER_SCOPE, Tokens, key_set, signing_key

_JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_DEVICE_GRANTS = ("urn:ietf:params:oauth:grant-type:device_code", "device_code")
_PLAIN_SCOPES = frozenset({"openid", "profile", "offline_access", "email"})
_REFRESH_TOKENS = 1000


class _Refused(Exception):  # noqa: N818
    """What an endpoint answers instead of a token."""

    def __init__(self, status: int, error: str, code: int, description: str) -> None:
        super().__init__(code)
        self.status = status
        self.error = error
        self.code = code
        self.description = description


@dataclass(frozen=True, slots=True)
class _SignIn:
    user: str
    scope: str


class Entra:
    """The authority of one tenant with one application.

    `requests` counts by endpoint (openid, token, devicecode, keys), `grants` the tokens issued by grant type.
    `client_secrets` are the valid ones; `expired_secrets` get AADSTS7000222.
    """

    def __init__(self, options: Options, tokens: Tokens, faults: Faults) -> None:
        self._options = options
        self._tokens = tokens
        self._faults = faults
        self._refresh_tokens: OrderedDict[str, _SignIn] = OrderedDict()
        self.origin = ""
        self.device_codes = DeviceCodes()
        self.certificates = RegisteredCertificates()
        self.federation = FederatedCredentials()
        self.client_secrets = {options.client_secret}
        self.expired_secrets: set[str] = set()
        self.federated_assertions: set[str] = set()
        self.requests: Counter[str] = Counter()
        self.grants: Counter[str] = Counter()
        self.mailboxes = tuple(mailbox.lower() for mailbox in (options.mailbox, *options.further_mailboxes))

    @property
    def url(self) -> str:
        """The authority's URL, with the tenant."""
        return f"{self.origin}/{self._options.tenant}"

    def revoke_refresh_tokens(self) -> int:
        """Let nobody stay signed in; returns how many were."""
        count = len(self._refresh_tokens)
        self._refresh_tokens.clear()
        return count

    async def answer(self, request: Request) -> Response:
        """Answer one request to the authority."""
        if request.path == "/devicelogin":
            return self._sign_in_page(request)
        tenant, _, rest = request.path.strip("/").partition("/")
        endpoint = _ENDPOINTS.get(rest)
        if endpoint is None:
            return Response(404, b"", "text/plain")
        self.requests[endpoint] += 1
        try:
            if (struck := await self._struck(endpoint)) is not None:
                return struck
            if tenant.lower() != self._options.tenant.lower():
                raise self._refused("authority_tenant_not_found" if endpoint == "openid" else "aadsts90002", tenant)
            if endpoint == "token":
                return Response.json(await self._token(request))
            if endpoint == "devicecode":
                return Response.json(self._device_code(request))
        except _Refused as refused:
            return _error(refused)
        if endpoint == "keys":
            return Response.json(await asyncio.to_thread(key_set))
        return Response.json(self._configuration())

    async def _struck(self, endpoint: str) -> Response | None:
        fault = await struck(self._faults, "entra", endpoint, self._options.idle_timeout)
        if fault is None or isinstance(fault, Response):
            return fault
        return _error(self._as_refused(fault, self._options.tenant), fault.headers)

    async def _token(self, request: Request) -> dict[str, object]:
        form = request.form()
        grant = form.get("grant_type", "")
        if form.get("client_id") != self._options.client_id:
            raise self._refused("aadsts700016")
        # The key takes a tenth of a second to make, once: not on the loop.
        await asyncio.to_thread(signing_key)
        if grant == "client_credentials":
            self._prove_client(form)
            answer = self._for_app(form)
        elif grant in _DEVICE_GRANTS:
            self._prove_client(form, public=True)
            answer = self._by_device_code(form)
        elif grant == "refresh_token":
            self._prove_client(form, public=True)
            answer = self._by_refresh_token(form)
        else:
            raise _Refused(400, "unsupported_grant_type", 70003, "The app requested an unsupported grant type.")
        self.grants[grant] += 1
        return answer

    def _prove_client(self, form: Mapping[str, str], *, public: bool = False) -> None:
        secret, assertion = form.get("client_secret"), form.get("client_assertion")
        if assertion is not None and form.get("client_assertion_type") == _JWT_BEARER:
            self._prove_by_assertion(assertion)
        elif secret is not None:
            if secret in self.expired_secrets:
                raise self._refused("aadsts7000222")
            if secret not in self.client_secrets:
                raise self._refused("aadsts7000215")
        elif not public:
            raise self._refused("aadsts7000218")

    def _prove_by_assertion(self, assertion: str) -> None:
        if assertion in self.federated_assertions:
            return
        if self.federation.concerns(assertion):
            code = self.federation.refuse(assertion)
        else:
            audiences = frozenset({f"{self.url}/oauth2/v2.0/token", f"{self.url}/v2.0", self.url})
            code = self.certificates.refuse(assertion, self._options.client_id, audiences)
        if code is not None and f"aadsts{code}" in known_faults():
            raise self._refused(f"aadsts{code}")
        if code is not None:
            raise _Refused(401, "invalid_client", code, "Client assertion is not valid.")

    def _for_app(self, form: Mapping[str, str]) -> dict[str, object]:
        scope = form.get("scope", "")
        resource = scope.removesuffix("/.default")
        if resource == scope or " " in scope:
            text = f"The provided value for scope {scope} is not valid. Client credential flows must have a scope"
            raise _Refused(400, "invalid_scope", 1002012, f"{text} value with /.default suffixed to the resource.")
        if resource not in self._tokens.resources:
            raise _Refused(400, "invalid_resource", 500011, f"The resource principal named {resource} was not found.")
        return self._bearer(self._tokens.for_app(resource))

    def _by_device_code(self, form: Mapping[str, str]) -> dict[str, object]:
        code = self.device_codes.redeem(form.get("device_code", ""), self._options.client_id)
        if isinstance(code, DeviceCode):
            return self._for_user(_SignIn(code.user or "", code.scope))
        number = {"authorization_pending": 70016, "expired_token": 70020, "authorization_declined": 70018}
        raise _Refused(400, code, number.get(code, 70019), f"OAuth 2.0 device flow: {code.replace('_', ' ')}.")

    def _by_refresh_token(self, form: Mapping[str, str]) -> dict[str, object]:
        sign_in = self._refresh_tokens.get(form.get("refresh_token", ""))
        if sign_in is None:
            raise self._refused("aadsts50173")
        return self._for_user(_SignIn(sign_in.user, form.get("scope") or sign_in.scope))

    def _for_user(self, sign_in: _SignIn) -> dict[str, object]:
        wanted = [scope for scope in sign_in.scope.split() if scope not in _PLAIN_SCOPES]
        resources = {scope.rpartition("/")[0] for scope in wanted}
        if len(resources) != 1 or not resources <= set(self._tokens.resources):
            raise self._refused("aadsts70011")
        resource = resources.pop()
        consented = " ".join(self._tokens.graph_roles) if resource == self._tokens.graph_audience else USER_SCOPE
        names = [scope.rpartition("/")[2] for scope in wanted]
        granted = " ".join(consented if name == ".default" else name for name in names)
        token = self._tokens.for_user(resource, sign_in.user, granted)
        refresh_token = f"1.{secrets.token_urlsafe(600)}"
        self._refresh_tokens[refresh_token] = sign_in
        while len(self._refresh_tokens) > _REFRESH_TOKENS:
            self._refresh_tokens.popitem(last=False)
        return self._bearer(token) | {
            "scope": " ".join(wanted),
            "refresh_token": refresh_token,
            "id_token": self._tokens.identity(f"{self.url}/v2.0", sign_in.user),
            "client_info": self._tokens.client_info(sign_in.user),
        }

    def _bearer(self, token: str) -> dict[str, object]:
        lifetime = self._tokens.lifetime
        return {"token_type": "Bearer", "expires_in": lifetime, "ext_expires_in": lifetime, "access_token": token}

    def _device_code(self, request: Request) -> dict[str, object]:
        form = request.form()
        if form.get("client_id") != self._options.client_id:
            raise self._refused("aadsts700016")
        code = self.device_codes.begin(self._options.client_id, form.get("scope", ""))
        page = f"{self.origin}/devicelogin"
        if self._options.device_code_approval == "automatic":
            self.device_codes.approve(code.user_code, self._options.mailbox)
        return {
            "user_code": code.user_code,
            "device_code": code.device_code,
            "verification_uri": page,
            "expires_in": LIFETIME,
            "interval": self._options.device_code_interval,
            "message": f"To sign in, use a web browser to open the page {page} and enter the code {code.user_code}"
            " to authenticate.",
        }

    def _sign_in_page(self, request: Request) -> Response:
        said = ""
        if request.method == "POST":
            form = request.form()
            user = form.get("user", "") or self._options.mailbox
            known = user.lower() in self.mailboxes
            done = known and self.device_codes.approve(form.get("user_code", ""), user)
            said = "<p>You have signed in. You may close this window.</p>" if done else "<p>That code is not known.</p>"
        mailbox = html.escape(self._options.mailbox, quote=True)
        page = f"""<!doctype html><html lang="en"><title>Sign in (simulated)</title><h1>Enter code</h1>{said}
<form method="post"><label>Code <input name="user_code"></label>
<label>Mailbox <input name="user" value="{mailbox}"></label> <button>Sign in</button></form></html>"""
        return Response(200, page.encode(), "text/html; charset=utf-8")

    def _configuration(self) -> dict[str, object]:
        oauth2 = f"{self.url}/oauth2/v2.0"
        return {
            "issuer": f"{self.url}/v2.0",
            "authorization_endpoint": f"{oauth2}/authorize",
            "token_endpoint": f"{oauth2}/token",
            "device_authorization_endpoint": f"{oauth2}/devicecode",
            "jwks_uri": f"{self.url}/discovery/v2.0/keys",
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
            "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
            "scopes_supported": sorted(_PLAIN_SCOPES),
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "tenant_region_scope": "OC",
            "cloud_instance_name": "microsoftonline.com",
        }

    def _refused(self, name: str, tenant: str = "") -> _Refused:
        return self._as_refused(known_faults()[name], tenant or self._options.tenant)

    def _as_refused(self, fault: Fault, tenant: str) -> _Refused:
        description = fault.description.format(client_id=self._options.client_id, tenant=tenant)
        return _Refused(fault.status, fault.error, fault.code, description)


_ENDPOINTS = {
    "v2.0/.well-known/openid-configuration": "openid",
    ".well-known/openid-configuration": "openid",
    "oauth2/v2.0/token": "token",
    "oauth2/v2.0/devicecode": "devicecode",
    "discovery/v2.0/keys": "keys",
}


def _error(refused: _Refused, headers: Mapping[str, str] | None = None) -> Response:
    stamp = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime())
    trace, correlation = str(uuid.uuid4()), str(uuid.uuid4())
    text = f"AADSTS{refused.code}: {refused.description}"
    body = {
        "error": refused.error,
        "error_description": f"{text} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {stamp}",
        "error_codes": [refused.code],
        "timestamp": stamp,
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": f"https://login.microsoftonline.com/error?code={refused.code}",
    }
    return Response.json(body, refused.status, headers)
