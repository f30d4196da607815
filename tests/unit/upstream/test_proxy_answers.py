"""What a proxy's numbers mean."""

import pytest

from relay.upstream.contract import Cause
from relay.upstream.proxy_answers import logins_wanted, refusal_by_http, refusal_by_socks


@pytest.mark.parametrize(
    ("code", "cause", "told"),
    [
        (301, Cause.PROXY_GARBLED, "301 Moved Permanently"),
        (400, Cause.PROXY_FORBIDS, "400 Bad Request"),
        (401, Cause.PROXY_LOGIN_REFUSED, "401 Unauthorized"),
        (403, Cause.PROXY_FORBIDS, "403 Forbidden"),
        (404, Cause.PROXY_REACHES_NOTHING, "404 Not Found"),
        (405, Cause.PROXY_FORBIDS, "405 Method Not Allowed"),
        (407, Cause.PROXY_LOGIN_REFUSED, "407 Proxy Authentication Required"),
        (429, Cause.PROXY_REACHES_NOTHING, "429 Too Many Requests"),
        (500, Cause.PROXY_REACHES_NOTHING, "500 Internal Server Error"),
        (502, Cause.PROXY_REACHES_NOTHING, "502 Bad Gateway"),
        (503, Cause.PROXY_REACHES_NOTHING, "503 Service Unavailable"),
        (504, Cause.PROXY_REACHES_NOTHING, "504 Gateway Timeout"),
        (999, Cause.PROXY_REACHES_NOTHING, "999"),
        (0, Cause.PROXY_GARBLED, "0"),
    ],
)
def test_http(code: int, cause: Cause, told: str) -> None:
    assert refusal_by_http(code, b"HTTP/1.1 geheim\r\n\r\n") == (cause, told)


def test_a_login_that_is_not_spoken() -> None:
    head = b"HTTP/1.1 407 No\r\nProxy-Authenticate: NTLM\r\n\r\n"
    assert refusal_by_http(407, head) == (
        Cause.PROXY_LOGIN_REFUSED,
        "407 Proxy Authentication Required, which wants NTLM",
    )


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        (b"", ()),
        (b"Proxy-Authenticate: Basic realm=NTLM\r\n", ("Basic",)),
        (b'Proxy-Authenticate: Digest realm="x", nonce="y", Basic realm="x"\r\n', ("Basic", "Digest")),
        (b"X-Proxy-Authenticate: NTLM\r\n", ()),
        (b"Proxy-Authenticate:NTLM\r\nProxy-Authenticate: Unheard-Of geheim\r\n", ("NTLM",)),
    ],
)
def test_the_logins_that_a_proxy_wants(fields: bytes, wanted: tuple[str, ...]) -> None:
    assert logins_wanted(b"HTTP/1.1 407 No\r\n" + fields + b"\r\n") == wanted


@pytest.mark.parametrize(
    ("code", "cause", "told"),
    [
        (1, Cause.PROXY_REACHES_NOTHING, "SOCKS 1, general failure"),
        (2, Cause.PROXY_FORBIDS, "SOCKS 2, not allowed"),
        (5, Cause.PROXY_REACHES_NOTHING, "SOCKS 5, connection refused"),
        (8, Cause.PROXY_FORBIDS, "SOCKS 8, address type not supported"),
        (99, Cause.PROXY_GARBLED, "SOCKS 99, unassigned"),
    ],
)
def test_socks(code: int, cause: Cause, told: str) -> None:
    assert refusal_by_socks(code) == (cause, told)
