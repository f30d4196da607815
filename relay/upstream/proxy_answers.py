"""What a proxy's answer means: numbers of HTTP (RFC 9110 §15) and of SOCKS 5 (RFC 1928 §6). Pure."""

from __future__ import annotations

import http
import re

from relay.upstream.contract import Cause

# https://www.iana.org/assignments/http-authschemes, what proxies are known to ask for of it; NTLM is Microsoft's.
_LOGINS = ("Basic", "Negotiate", "NTLM", "Kerberos", "Digest", "Bearer")

_SOCKS_REPLIES = {
    1: (Cause.PROXY_REACHES_NOTHING, "general failure"),
    2: (Cause.PROXY_FORBIDS, "not allowed"),
    3: (Cause.PROXY_REACHES_NOTHING, "network unreachable"),
    4: (Cause.PROXY_REACHES_NOTHING, "host unreachable"),
    5: (Cause.PROXY_REACHES_NOTHING, "connection refused"),
    6: (Cause.PROXY_REACHES_NOTHING, "time to live expired"),
    7: (Cause.PROXY_FORBIDS, "command not supported"),
    8: (Cause.PROXY_FORBIDS, "address type not supported"),
}


def refusal_by_http(code: int, head: bytes) -> tuple[Cause, str]:
    """Return what an answer to CONNECT other than 200 means, and how to tell it; none of its own words are told.

    tinyproxy says 500 of a host that it can't reach, squid 503.
    """
    told = f"{code} {_phrase(code)}".rstrip()
    if code in {401, 407}:
        wanted = logins_wanted(head)
        only = f", which wants {' or '.join(wanted)}" if wanted and "Basic" not in wanted else ""
        return Cause.PROXY_LOGIN_REFUSED, told + only
    if code >= 500 or code in {404, 408, 410, 421, 429}:
        return Cause.PROXY_REACHES_NOTHING, told
    return (Cause.PROXY_FORBIDS if code >= 400 else Cause.PROXY_GARBLED), told


def refusal_by_socks(code: int) -> tuple[Cause, str]:
    """Return what a reply other than 0 means, and how to tell it."""
    cause, words = _SOCKS_REPLIES.get(code, (Cause.PROXY_GARBLED, "unassigned"))
    return cause, f"SOCKS {code}, {words}"


def logins_wanted(head: bytes) -> tuple[str, ...]:
    """Return the kinds of login that a 407 names (RFC 9110 §11.7.1), as far as they are known ones. We speak Basic."""
    fields = re.findall(rb"^proxy-authenticate:([^\r\n]*)", head, re.IGNORECASE | re.MULTILINE)
    said = b" ".join(fields).lower()
    return tuple(kind for kind in _LOGINS if re.search(rb"(^|[\s,])" + kind.lower().encode() + rb"([\s,]|$)", said))


def _phrase(code: int) -> str:
    try:
        return http.HTTPStatus(code).phrase
    except ValueError:
        return ""
