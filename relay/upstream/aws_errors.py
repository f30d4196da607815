"""What asking AWS may raise, and how a conversation ends by it."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Any, Final

from relay.reply import reply
from relay.upstream.contract import Cause, Phase
from relay.upstream.failures import ConversationEnded, reply_for
from relay.upstream.ses_replies import ApiRefusal

_HINTS: Final = {
    "NoCredentialsError": "AWS credentials were not found: give this machine, task or pod a role",
    "PartialCredentialsError": "the AWS credentials are incomplete",
    "ProfileNotFound": "the profile of AWS_PROFILE does not exist",
}


def request_errors() -> tuple[type[Exception], ...]:
    """Return what boto3 and our HTTPS under it raise."""
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError
    from requests import RequestException

    return (RequestException, BotoCoreError, ClientError, ResponseParserError, OSError, ValueError, KeyError)


def refusal_in(error: BaseException) -> ApiRefusal | None:
    """Return what a service said no with; None where it is no answer of a service."""
    response: Any = getattr(error, "response", None)
    if not isinstance(response, dict) or "Error" not in response:
        return None
    said, status = response["Error"], response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return ApiRefusal(str(said.get("Code", "")), str(said.get("Message", "")), int(status))


def without_credentials(error: BaseException) -> ConversationEnded:
    """Return the end of a conversation for which no credentials were found."""
    named = type(error).__name__
    if named in _HINTS:
        return _ended(Cause.SECRET_UNAVAILABLE, _HINTS[named])
    refusal = refusal_in(error)
    if refusal is not None:
        return _ended(Cause.SECRET_UNAVAILABLE, f"STS gives no role: {refusal.message} ({refusal.kind})")
    from requests import RequestException

    if isinstance(error, RequestException):
        return _ended(Cause.TOKEN_UNAVAILABLE, f"AWS credentials can't be had now: STS cannot be reached ({named})")
    return _ended(Cause.SECRET_UNAVAILABLE, f"AWS credentials can't be had: {' '.join(str(error).split()):.200}")


def ended_by_network(error: BaseException, reached: Phase, host: str) -> ConversationEnded:
    """Return the end that a lost or impossible connection brings; `reached`: how far the request came."""
    from requests import exceptions

    causes = list(_chain(error))
    if any(isinstance(one, ssl.SSLCertVerificationError) for one in causes):
        cause = Cause.TLS_UNTRUSTED
    elif reached is Phase.CONNECT and any(isinstance(one, ssl.SSLError) for one in causes):
        cause = Cause.TLS_FAILED
    elif any(type(one).__name__ in {"NameResolutionError", "gaierror"} for one in causes):
        cause = Cause.NAME_NOT_FOUND
    elif any(isinstance(one, ConnectionRefusedError) for one in causes):
        cause = Cause.CONNECTION_REFUSED
    elif isinstance(error, exceptions.Timeout):
        cause = Cause.TIMEOUT
    elif reached is Phase.CONNECT:
        cause = Cause.UNREACHABLE
    elif any(type(one).__name__ == "BadStatusLine" for one in causes):
        cause = Cause.GARBLED
    else:
        cause = Cause.DISCONNECTED
    return ConversationEnded(reached, reply_for(cause, reached, host), cause)


def _ended(cause: Cause, text: str) -> ConversationEnded:
    phase = Phase.SECRET if cause is Cause.SECRET_UNAVAILABLE else Phase.TOKEN
    return ConversationEnded(phase, reply(454, "4.7.0", text), cause)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Give an error, what caused it, and what urllib3 wrapped in it."""
    seen: list[BaseException] = []
    waiting: list[BaseException] = [error]
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen.append(one)
        yield one
        inner = (one.__cause__, one.__context__, getattr(one, "reason", None), *one.args)
        waiting.extend(each for each in inner if isinstance(each, BaseException))
