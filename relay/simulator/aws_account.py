"""An AWS account's access keys: a user's that last, and those that a role gives for a while."""

from __future__ import annotations

import datetime
import secrets
from dataclasses import dataclass

from relay.simulator.aws_signature import Signature
from relay.simulator.http_server import Request
from relay.simulator.options import Options

ACCOUNT = "123456789012"
ROLE = "relay"


@dataclass(frozen=True, slots=True)
class AccessKey:
    """`token` goes with keys of a role, which end at `expires_at`; empty and None of a user's."""

    access_key: str
    secret: str
    arn: str
    token: str = ""
    expires_at: datetime.datetime | None = None


class AwsRefusal(Exception):  # noqa: N818
    """What AWS answers instead: `code` is the exception's name in its API."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(code)
        self.code = code
        self.message = message
        self.status = status


class AwsAccount:
    """`keys` by access key ID; `denied`: actions that nobody may do; `lifetime` of a role's keys in seconds."""

    def __init__(self, options: Options) -> None:
        user = f"arn:aws:iam::{ACCOUNT}:user/relay"
        self.keys = {options.aws_access_key: AccessKey(options.aws_access_key, options.aws_secret_key, user)}
        self.denied: set[str] = set()
        self.lifetime = 3600.0
        self.sessions = 0
        self._region = options.ses_region

    @property
    def role_arn(self) -> str:
        """The role that the machine has."""
        return f"arn:aws:iam::{ACCOUNT}:role/{ROLE}"

    def session(self) -> AccessKey:
        """Give keys of the role."""
        self.sessions += 1
        arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/{ROLE}/session{self.sessions}"
        expires_at = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=self.lifetime)
        name = f"ASIA{secrets.token_hex(8).upper()}"
        key = AccessKey(name, secrets.token_urlsafe(30), arn, secrets.token_urlsafe(300), expires_at)
        self.keys[name] = key
        return key

    def expire(self) -> int:
        """Let every role's keys given so far count as expired; returns how many there were."""
        now = datetime.datetime.now(datetime.UTC)
        given = [key for key in self.keys.values() if key.token]
        for key in given:
            self.keys[key.access_key] = AccessKey(key.access_key, key.secret, key.arn, key.token, now)
        return len(given)

    def signer(self, request: Request, service: str) -> AccessKey:
        """Return who signed a request. Raises AwsRefusal."""
        signature = Signature.of(request)
        if signature is None:
            raise AwsRefusal("MissingAuthenticationTokenException", "Missing Authentication Token", 403)
        key = self.keys.get(signature.access_key)
        token = request.headers.get("x-amz-security-token", "")
        if key is None or key.token != token:
            raise AwsRefusal(
                "UnrecognizedClientException", "The security token included in the request is invalid.", 403
            )
        if (signature.service, signature.region) != (service, self._region):
            text = f"Credential should be scoped to a valid region, not '{signature.region}'. "
            raise AwsRefusal("InvalidSignatureException", text, 403)
        now = datetime.datetime.now(datetime.UTC)
        if (wrong := signature.out_of_time(now)) is not None:
            raise AwsRefusal("InvalidSignatureException", wrong, 403)
        if not signature.signs(request, key.secret):
            text = (
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret"
                " Access Key and signing method. Consult the service documentation for details."
            )
            raise AwsRefusal("InvalidSignatureException", text, 403)
        if key.expires_at is not None and key.expires_at <= now:
            raise AwsRefusal("ExpiredTokenException", "The security token included in the request is expired", 403)
        return key

    def permit(self, key: AccessKey, action: str, resource: str) -> None:
        """Raise AwsRefusal where the action is denied."""
        if action in self.denied:
            text = f"User: {key.arn} is not authorized to perform: {action} on resource: {resource}"
            reason = "because no identity-based policy allows the"
            raise AwsRefusal("AccessDeniedException", f"{text} {reason} {action} action", 403)
