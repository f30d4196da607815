"""Where a machine's role comes from in AWS: EC2's metadata (IMDSv2), ECS's endpoint, STS for EKS's web identity."""

from __future__ import annotations

import secrets
import urllib.parse
from typing import TYPE_CHECKING

from relay.simulator.aws_account import ROLE, AccessKey, AwsAccount, AwsRefusal
from relay.simulator.http_server import Request, Response
from relay.simulator.options import Options

if TYPE_CHECKING:
    from relay.simulator.federation import Issuer

_STAMP = "%Y-%m-%dT%H:%M:%SZ"
_INSTANCE = "/latest/meta-data/iam/security-credentials"
_TOKEN_LIFE = "x-aws-ec2-metadata-token-ttl-seconds"  # noqa: S105 (a header's name)
_TOKEN = "x-aws-ec2-metadata-token"  # noqa: S105
CONTAINER_PATH = "/v2/credentials"


class MachineMetadata:
    """Plain HTTP. `role` False is a machine without one; `authorization` is what a container has to show."""

    def __init__(self, account: AwsAccount) -> None:
        self._account = account
        self._tokens: set[str] = set()
        self.role = True
        self.authorization = secrets.token_hex(16)
        self.requests = 0

    async def answer(self, request: Request) -> Response:
        """Answer one request."""
        self.requests += 1
        if request.path == CONTAINER_PATH:
            known = request.headers.get("authorization") == self.authorization
            return self._keys() if known else Response(401, b"", "text/plain")
        if (request.method, request.path) == ("PUT", "/latest/api/token") and _TOKEN_LIFE in request.headers:
            token = secrets.token_urlsafe(40)
            self._tokens.add(token)
            return Response(200, token.encode(), "text/plain", {_TOKEN_LIFE: request.headers[_TOKEN_LIFE]})
        if request.headers.get(_TOKEN) not in self._tokens:
            return Response(401, b"", "text/plain")
        if not self.role or not request.path.startswith(_INSTANCE):
            return Response(404, b"", "text/plain")
        if request.path.rstrip("/") == _INSTANCE:
            return Response(200, ROLE.encode(), "text/plain")
        return self._keys()

    def _keys(self) -> Response:
        key = self._account.session()
        shown = {"Code": "Success", "Type": "AWS-HMAC", "RoleArn": self._account.role_arn}
        return Response.json(
            shown
            | {
                "AccessKeyId": key.access_key,
                "SecretAccessKey": key.secret,
                "Token": key.token,
                "Expiration": f"{key.expires_at:{_STAMP}}",
            }
        )


class Sts:
    """AssumeRoleWithWebIdentity for `web_identities`; GetWebIdentityToken signed by `issuer`, where one is set."""

    def __init__(self, options: Options, account: AwsAccount) -> None:
        self._region = options.ses_region
        self._account = account
        self.web_identities: set[str] = set()
        self.issuer: Issuer | None = None
        self.requests = 0

    async def answer(self, request: Request) -> Response:
        """Answer one request."""
        self.requests += 1
        form = urllib.parse.parse_qs(request.body.decode())
        action = form.get("Action", [""])[0]
        try:
            if action == "AssumeRoleWithWebIdentity":
                return self._assumed(form.get("WebIdentityToken", [""])[0], form.get("RoleArn", [""])[0])
            if action == "GetWebIdentityToken":
                return self._web_identity(request, form)
            raise AwsRefusal("InvalidAction", f"Could not find operation {action}")
        except AwsRefusal as refused:
            said = f"<Error><Type>Sender</Type><Code>{refused.code}</Code><Message>{refused.message}</Message></Error>"
            return _xml(f"<ErrorResponse>{said}</ErrorResponse>", refused.status)

    def _assumed(self, token: str, role: str) -> Response:
        if token not in self.web_identities:
            raise AwsRefusal("InvalidIdentityToken", "No OpenIDConnect provider found in your account for the issuer")
        if role != self._account.role_arn:
            text = "Not authorized to perform sts:AssumeRoleWithWebIdentity"
            raise AwsRefusal("AccessDenied", text, 403)
        key = self._account.session()
        return _answer(
            "AssumeRoleWithWebIdentity",
            f"<Credentials><AccessKeyId>{key.access_key}</AccessKeyId><SecretAccessKey>{key.secret}</SecretAccessKey>"
            f"<SessionToken>{key.token}</SessionToken><Expiration>{key.expires_at:{_STAMP}}</Expiration></Credentials>",
        )

    def _web_identity(self, request: Request, form: dict[str, list[str]]) -> Response:
        key: AccessKey = self._account.signer(request, "sts")
        self._account.permit(key, "sts:GetWebIdentityToken", "*")
        if self.issuer is None:
            text = "Outbound web identity federation is disabled for this account"
            raise AwsRefusal("OutboundWebIdentityFederationDisabled", text, 403)
        audience = form.get("Audience.member.1", [""])[0]
        lifetime = int(form.get("DurationSeconds", ["300"])[0])
        token = self.issuer.assertion(self._account.role_arn, audience=audience, lifetime=lifetime)
        return _answer("GetWebIdentityToken", f"<WebIdentityToken>{token}</WebIdentityToken>")


def _answer(action: str, result: str) -> Response:
    return _xml(f"<{action}Response><{action}Result>{result}</{action}Result></{action}Response>")


def _xml(text: str, status: int = 200) -> Response:
    return Response(status, text.encode(), "text/xml")
