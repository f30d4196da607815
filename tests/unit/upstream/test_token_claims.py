"""Reading an access token: what it tells, and tokens that tell nothing or lie."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from relay.upstream.token_claims import TokenClaims, claims_of


def _jwt(claims: Any) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode("utf-8")).rstrip(b"=").decode("ascii")
    return f"eyJhbGciOiJSUzI1NiJ9.{body}.c2lnbmF0dXJl"


def test_an_applications_token() -> None:
    claims = {"aud": "https://outlook.office365.com", "roles": ["SMTP.SendAsApp", "Mail.Send"], "exp": 1798761600}
    found = claims_of(_jwt(claims | {"tid": "tenant", "appid": "application", "oid": "object"}))
    assert found == TokenClaims(
        "https://outlook.office365.com",
        ("SMTP.SendAsApp", "Mail.Send"),
        (),
        1798761600000,
        "tenant",
        "application",
        "object",
    )


def test_a_persons_token() -> None:
    found = claims_of(_jwt({"aud": ["https://outlook.office.com"], "scp": "SMTP.Send IMAP", "upn": "a@clinic.test"}))
    assert found == TokenClaims("https://outlook.office.com", scopes=("SMTP.Send", "IMAP"), user="a@clinic.test")


@pytest.mark.parametrize(
    "token",
    ["", "ya29.opaque", "a.b", "a.b.c", "a.b.c.d", "a.ÿ.c", _jwt([1]), _jwt("text"), f"a.{'W' * 80001}.c"],
)
def test_opaque_tokens(token: str) -> None:
    assert claims_of(token) is None


def test_deep_nesting() -> None:
    body = base64.urlsafe_b64encode(b"[" * 100_000).decode("ascii")
    assert claims_of(f"a.{body}.c") is None


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": 1, "roles": "x\x1b[31m", "scp": ["a"], "exp": "soon"},
        {"aud": [], "roles": [None, {}], "scp": None, "exp": True, "upn": "a" * 1000},
        {"exp": 1e300, "oid": ["x"], "tid": "two\nlines"},
        {"exp": float("inf")},
        {"exp": float("nan")},
        {"exp": -1},
        {},
    ],
)
def test_claims_of_another_kind_count_as_none(claims: dict[str, Any]) -> None:
    assert claims_of(_jwt(claims)) == TokenClaims()
