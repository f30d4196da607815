"""The identity endpoint of an Azure machine (IMDS), which gives tokens to whoever runs on it."""

from __future__ import annotations

import asyncio
import secrets
import time
from pathlib import Path

from relay.simulator.authority_fault import struck
from relay.simulator.faults import Fault, Faults
from relay.simulator.http_server import Request, Response
from relay.simulator.options import Options
from relay.simulator.tokens import Tokens, signing_key

PATH = "/metadata/identity/oauth2/token"


class ManagedIdentity:
    """`system_assigned`: whether the machine has one; `user_assigned`: client IDs of others; `requests` counts.

    A virtual machine's form and App Service's are understood, the latter with `header`; Azure Arc's where `arc_folder`
    is where its agent would put the key that proves who asks.
    """

    def __init__(self, options: Options, tokens: Tokens, faults: Faults) -> None:
        self._options = options
        self._tokens = tokens
        self._faults = faults
        self.system_assigned = True
        self.user_assigned: set[str] = set()
        self.header = secrets.token_hex(16)
        self.requests = 0
        self.arc_folder: Path | None = None
        self._arc_key = secrets.token_hex(32)

    async def answer(self, request: Request) -> Response:
        """Answer one request."""
        self.requests += 1
        fault = await struck(self._faults, "imds", "token", self._options.idle_timeout)
        if isinstance(fault, Response):
            return fault
        if isinstance(fault, Fault):
            return _error(fault.error, fault.description, fault.status)
        if request.method != "GET" or request.headers.get("metadata", "").lower() != "true":
            return _error("invalid_request", "Required metadata header not specified")
        version = request.query.get("api-version")
        if version == "2019-08-01" and request.headers.get("x-identity-header") != self.header:
            return _error("unauthorized", "X-IDENTITY-HEADER is wrong", 401)
        if version == "2020-06-01" and (challenge := self._arc_challenge(request)) is not None:
            return challenge
        if version not in ("2018-02-01", "2019-08-01", "2020-06-01"):
            return _error("bad_request_102", "Required api-version parameter not specified")
        resource, client = request.query.get("resource", ""), request.query.get("client_id")
        if not (self.system_assigned if client is None else client in self.user_assigned):
            return _error("invalid_request", "Identity not found")
        if resource not in self._tokens.resources:
            text = f"AADSTS500011: The resource principal named {resource} was not found in the tenant."
            return _error("invalid_resource", text)
        await asyncio.to_thread(signing_key)
        now, lifetime = int(time.time()), self._tokens.lifetime
        return Response.json(
            {
                "access_token": self._tokens.for_app(resource),
                "client_id": client or self._options.client_id,
                "expires_in": str(lifetime),
                "expires_on": str(now + lifetime),
                "ext_expires_in": str(lifetime),
                "not_before": str(now - 300),
                "resource": resource,
                "token_type": "Bearer",
            }
        )

    def _arc_challenge(self, request: Request) -> Response | None:
        """Return the challenge to read a file that only the agent's group may; None once its content was shown."""
        if self.arc_folder is None or request.headers.get("authorization") == f"Basic {self._arc_key}":
            return None
        path = self.arc_folder / "relay.key"
        path.write_text(self._arc_key)
        return Response(401, b"", "text/plain", {"WWW-Authenticate": f"Basic realm={path}"})


def _error(error: str, description: str, status: int = 400) -> Response:
    return Response.json({"error": error, "error_description": description}, status)
