"""The simulator takes what botocore signs, and nothing that was changed afterwards."""

from __future__ import annotations

import datetime
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from relay.simulator.aws_signature import Signature
from relay.simulator.http_server import Request

SECRET = "simulated/secret+access/key"


def signed(url: str, body: bytes = b"{}", token: str | None = None) -> Request:
    request = AWSRequest("POST", url, data=body, headers={"Content-Type": "application/json", "X-Odd": "  a   b "})
    SigV4Auth(Credentials("AKIA", SECRET, token), "ses", "ap-southeast-2").add_auth(request)
    place = urlsplit(url)
    headers = {name.lower(): str(value) for name, value in request.headers.items()} | {"host": place.netloc}
    return Request("POST", place.path, dict(parse_qsl(place.query)), headers, body)


@pytest.mark.parametrize(
    "url",
    [
        "https://email.ap-southeast-2.amazonaws.com/v2/email/outbound-emails",
        "https://127.0.0.1:8443/v2/email/identities/clinic.test",
        "https://127.0.0.1:8443/?Action=b&Action2=a%20b%2F",
    ],
)
@pytest.mark.parametrize("token", [None, "a-session-token"])
def test_what_botocore_signs(url: str, token: str | None) -> None:
    request = signed(url, token=token)
    signature = Signature.of(request)
    assert signature is not None
    assert (signature.access_key, signature.service, signature.region) == ("AKIA", "ses", "ap-southeast-2")
    assert signature.signs(request, SECRET)
    assert not signature.signs(request, SECRET + "x")


@pytest.mark.parametrize(
    "changed",
    [
        {"body": b'{"another": 1}'},
        {"path": "/v2/email/account"},
        {"method": "GET"},
        {"query": {"a": "b"}},
    ],
)
def test_what_was_changed_afterwards(changed: dict[str, object]) -> None:
    request = signed("https://127.0.0.1:8443/v2/email/outbound-emails")
    signature = Signature.of(request)
    assert signature is not None
    assert not signature.signs(replace(request, **changed), SECRET)  # type: ignore[arg-type]
    assert not signature.signs(replace(request, headers={**request.headers, "host": "else.test"}), SECRET)


@pytest.mark.parametrize("header", ["", "Basic abc", "AWS4-HMAC-SHA256 Credential=x"])
def test_no_signature(header: str) -> None:
    assert Signature.of(Request("POST", "/", {}, {"authorization": header}, b"")) is None


@pytest.mark.parametrize(
    ("minutes", "begins"),
    [(0, None), (4, None), (-4, None), (-6, "Signature expired: "), (6, "Signature not yet current: ")],
)
def test_the_time_of_signing(minutes: int, begins: str | None) -> None:
    now = datetime.datetime.now(datetime.UTC)
    signature = Signature.of(signed("https://127.0.0.1:8443/"))
    assert signature is not None
    stamp = f"{now + datetime.timedelta(minutes=minutes):%Y%m%dT%H%M%SZ}"
    wrong = replace(signature, stamp=stamp).out_of_time(now)
    assert wrong is None if begins is None else (wrong or "").startswith(begins)
