"""What the authority's answers come to."""

import json

import pytest
import requests

from relay.upstream.authority import Answered, refused, unavailable
from relay.upstream.contract import Cause

HOST = "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555"
SECRET_ID = (
    "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the client secret "
    "value, not the client secret ID, for a secret added to app '6666'. Trace ID: 0b8d Correlation ID: 77aa "
    "Timestamp: 2026-03-02 09:30:00Z"
)


def answered(status: int, text: str = "", retry_after: str = "") -> Answered:
    made = Answered()
    made.note(status, retry_after, text)
    return made


def test_the_reason_without_identifiers() -> None:
    end = refused(HOST, answered(401), {"error": "invalid_client", "error_description": SECRET_ID})
    assert end.cause is Cause.TOKEN_REFUSED
    assert end.reply.text == (
        "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the client "
        "secret value, not the client secret ID, for a secret added to app '6666'. (invalid_client)"
    )
    assert end.reply.said_by == "login.microsoftonline.com"


@pytest.mark.parametrize(
    ("status", "word", "retry_after", "cause", "pause"),
    [
        (400, "invalid_grant", "", Cause.TOKEN_REFUSED, 0),
        (400, "invalid_grant", "5", Cause.TOKEN_REFUSED, 0),
        (400, "temporarily_unavailable", "", Cause.TOKEN_UNAVAILABLE, 0),
        (503, "temporarily_unavailable", "7", Cause.TOKEN_UNAVAILABLE, 7000),
        (429, "throttled", "9000", Cause.TOKEN_UNAVAILABLE, 600_000),
        (429, "throttled", "Mon, 02 Mar 2026 09:30:00 GMT", Cause.TOKEN_UNAVAILABLE, 0),
    ],
)
def test_errors(status: int, word: str, retry_after: str, cause: Cause, pause: int) -> None:
    end = refused(HOST, answered(status, "", retry_after), {"error": word, "error_description": "AADSTS1: x\r\ny"})
    assert (end.cause, end.pause) == (cause, pause)
    assert f"AADSTS1: x y ({word})" in end.reply.text
    assert end.reply.said_by == "login.microsoftonline.com"


@pytest.mark.parametrize(
    ("error", "last", "cause", "text"),
    [
        (requests.exceptions.SSLError(), answered(0), Cause.TLS_UNTRUSTED, "not trusted"),
        (requests.exceptions.ConnectTimeout(), answered(0), Cause.TOKEN_UNAVAILABLE, "in time"),
        (requests.exceptions.ReadTimeout(), answered(0), Cause.TOKEN_UNAVAILABLE, "in time"),
        (requests.exceptions.ConnectionError(), answered(0), Cause.TOKEN_UNAVAILABLE, "cannot be reached"),
        (ValueError("x"), answered(200, "<html>"), Cause.TOKEN_UNAVAILABLE, "no token"),
        (RuntimeError("x"), answered(503, "<html>"), Cause.TOKEN_UNAVAILABLE, "HTTP 503"),
        (ValueError("x"), answered(404, "[]"), Cause.TOKEN_UNAVAILABLE, "HTTP 404"),
        (
            ValueError("x"),
            answered(400, json.dumps({"error": "invalid_tenant", "error_description": "AADSTS90002: Tenant"})),
            Cause.TOKEN_REFUSED,
            "AADSTS90002: Tenant (invalid_tenant)",
        ),
    ],
)
def test_exceptions(error: Exception, last: Answered, cause: Cause, text: str) -> None:
    end = unavailable(HOST, last, error)
    assert end.cause is cause
    assert text in end.reply.text
    assert end.reply.transient
