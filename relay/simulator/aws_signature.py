"""Signature Version 4 of AWS, as its services check it.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import re
import urllib.parse
from dataclasses import dataclass

from relay.simulator.http_server import Request

SKEW = datetime.timedelta(minutes=5)
"""How wrong a client's clock may be."""

_ALGORITHM = "AWS4-HMAC-SHA256"
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/,\s]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request,\s*"
    r"SignedHeaders=([a-z0-9;-]+),\s*Signature=([0-9a-f]{64})"
)
_STAMP = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True)
class Signature:
    """What a request says of its signer; `stamp` is X-Amz-Date, `date` the scope's."""

    access_key: str
    date: str
    region: str
    service: str
    headers: tuple[str, ...]
    signature: str
    stamp: str

    @classmethod
    def of(cls, request: Request) -> Signature | None:
        """Read it; None where there is none, or it can't be read."""
        found = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
        if found is None:
            return None
        access_key, date, region, service, headers, signature = found.groups()
        stamp = request.headers.get("x-amz-date", "")
        return cls(access_key, date, region, service, tuple(headers.split(";")), signature, stamp)

    def signs(self, request: Request, secret: str) -> bool:
        """Tell whether the request was signed with this secret access key, and is as it was signed."""
        if "host" not in self.headers or "x-amz-date" not in self.headers or not self.stamp.startswith(self.date):
            return False
        key = f"AWS4{secret}".encode()
        for step in (self.date, self.region, self.service, "aws4_request"):
            key = _mac(key, step)
        scope = f"{self.date}/{self.region}/{self.service}/aws4_request"
        hashed = hashlib.sha256(self._canonical(request).encode()).hexdigest()
        expected = _mac(key, "\n".join((_ALGORITHM, self.stamp, scope, hashed))).hex()
        return hmac.compare_digest(expected, self.signature)

    def out_of_time(self, now: datetime.datetime) -> str | None:
        """Say what is wrong with the time of signing, as AWS does; None where nothing is."""
        try:
            signed_at = datetime.datetime.strptime(self.stamp, _STAMP).replace(tzinfo=datetime.UTC)
        except ValueError:
            return "Date must be in ISO-8601 'basic format'"
        earliest, latest, here = (f"{instant:{_STAMP}}" for instant in (now - SKEW, now + SKEW, now))
        if signed_at < now - SKEW:
            return f"Signature expired: {self.stamp} is now earlier than {earliest} ({here} - 5 min.)"
        if signed_at > now + SKEW:
            return f"Signature not yet current: {self.stamp} is still later than {latest} ({here} + 5 min.)"
        return None

    def _canonical(self, request: Request) -> str:
        path = urllib.parse.quote(urllib.parse.quote(request.path, safe="/-_.~"), safe="/-_.~")
        query = sorted((_encoded(name), _encoded(value)) for name, value in request.query.items())
        headers = "".join(f"{name}:{' '.join(request.headers.get(name, '').split())}\n" for name in self.headers)
        return "\n".join(
            (
                request.method,
                path,
                "&".join(f"{name}={value}" for name, value in query),
                headers,
                ";".join(self.headers),
                hashlib.sha256(request.body).hexdigest(),
            )
        )


def _mac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), hashlib.sha256)


def _encoded(text: str) -> str:
    return urllib.parse.quote(text, safe="-_.~")
