"""Asking a token endpoint over HTTPS: the session that msal uses, and what its failures mean."""

from __future__ import annotations

import json
import re
import ssl
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from relay.reply import reply
from relay.upstream.contract import Cause, Phase
from relay.upstream.failures import TOKEN_HOST, ConversationEnded, ended_by, reply_for
from relay.upstream.proxy import Proxy
from relay.upstream.token_store import AccessToken, now
from relay.upstream.trust import Trust

if TYPE_CHECKING:
    import requests

SECONDS = 10.0
"""How long the endpoint may take to connect, and between octets."""

LONGEST_PAUSE = 600_000
"""Milliseconds that a Retry-After is heeded at most."""

_IDENTIFIERS = re.compile(r"\s*\b(Trace ID|Correlation ID|Timestamp):.*", re.DOTALL)
_PASSING = frozenset({"temporarily_unavailable", "server_error", "slow_down"})


class Answered:
    """The endpoint's last answer: `status` 0 where there was none; `error` the members of an OAuth 2 error."""

    def __init__(self) -> None:
        self.status = 0
        self.pause = 0
        self.error: dict[str, Any] = {}

    def note(self, status: int, retry_after: str, text: str) -> None:
        """Write down an answer."""
        self.status = status
        self.pause = (
            min(int(retry_after) * 1000, LONGEST_PAUSE) if retry_after.isascii() and retry_after.isdigit() else 0
        )
        self.error = {}
        if status >= 400:
            try:
                found = json.loads(text)
            except ValueError:
                return
            self.error = found if isinstance(found, dict) else {}


def session_for(
    ca_file: Path | None,
    proxy: Proxy | None,
    answered: Answered,
    phase: Phase = Phase.TOKEN,
    *,
    verify: str = "peer",
) -> requests.Session:
    """Return a session that trusts the system's authorities and `ca_file`, and nothing that the environment says.

    It goes by `proxy`, never by one that the environment names; what fails there ends the conversation in `phase`.

    msal's own `verify` would be overridden by REQUESTS_CA_BUNDLE without a word. Raises ConversationEnded for a bad
    `ca_file`.
    """
    import requests
    import urllib3
    from requests.adapters import HTTPAdapter

    from relay.upstream.https_tunnel import pool_through

    try:
        context = Trust(verify, ca_file).context()
    except OSError as error:
        said = reply_for(Cause.SECRET_UNAVAILABLE, Phase.SECRET, "the authority", f"{ca_file} can't be read")
        raise ConversationEnded(Phase.SECRET, said, Cause.SECRET_UNAVAILABLE) from error

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **options: Any) -> None:
            super().init_poolmanager(*args, **options, ssl_context=context)
            if proxy is not None:
                self.poolmanager.pool_classes_by_scheme = {"https": pool_through(proxy, phase, SECONDS)}

    class Session(requests.Session):
        def request(self, *args: Any, **options: Any) -> requests.Response:
            options.setdefault("timeout", SECONDS)
            # No token endpoint redirects, and 307 would hand our secret on to whoever it names.
            options["allow_redirects"] = False
            response = super().request(*args, **options)
            answered.note(response.status_code, response.headers.get("Retry-After", ""), response.text)
            return response

    session = Session()
    session.trust_env = False
    if verify == "none":
        # The configuration asks for it; no line in the log for each request.
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        session.verify = False
    session.mount("https://", Adapter())
    return session


def access_token(authority: str, answered: Answered, result: dict[str, Any]) -> AccessToken:
    """Return the token of an answer (RFC 6749 §5.1). Raises ConversationEnded for an error (§5.2)."""
    token, lifetime = result.get("access_token"), result.get("expires_in")
    if isinstance(token, str) and token:
        instant = now()
        seconds = int(lifetime) if isinstance(lifetime, int | str) and str(lifetime).isdigit() else 3600
        return AccessToken(token, instant, instant + seconds * 1000)
    raise refused(authority, answered, result)


def refused(authority: str, answered: Answered, error: dict[str, Any]) -> ConversationEnded:
    """Return the end that an OAuth 2 error brings (RFC 6749 §5.2); its text is told without trace IDs.

    `authority` is its URL, or what to call it.
    """
    host = urlsplit(authority).hostname or authority
    word = str(error.get("error", "unknown_error"))
    described = _IDENTIFIERS.sub("", str(error.get("error_description", ""))).strip()
    text = " ".join(described.split()) or "No reason given"
    passing = word in _PASSING or answered.status == 429 or answered.status >= 500
    told = f"{text:.600} ({word:.80})"
    if passing:
        ended = _unavailable(told, host, answered)
        return ConversationEnded(ended.phase, replace(ended.reply, said_by=host), ended.cause, pause=ended.pause)
    return ConversationEnded(Phase.TOKEN, reply(454, "4.7.0", _with_pause(told, answered), host), Cause.TOKEN_REFUSED)


def unavailable(authority: str, answered: Answered, error: Exception) -> ConversationEnded:
    """Return the end that an exception of the request brings."""
    from requests import exceptions

    host = urlsplit(authority).hostname or authority
    if isinstance(error, exceptions.SSLError):
        return ended_by(_of_tls(error), Phase.TOKEN, TOKEN_HOST.format(host=host))
    if answered.error.get("error"):
        return refused(authority, answered, answered.error)
    if isinstance(error, exceptions.Timeout):
        text = "it did not answer in time"
    elif isinstance(error, exceptions.ConnectionError) or not answered.status:
        text = "it cannot be reached"
    elif answered.status >= 300:
        text = f"it answered HTTP {answered.status}"
    else:
        text = "it answered something that is no token"
    return _unavailable(text, host, answered)


def _unavailable(text: str, host: str, answered: Answered) -> ConversationEnded:
    said = reply_for(Cause.TOKEN_UNAVAILABLE, Phase.TOKEN, host, _with_pause(text, answered))
    return ConversationEnded(Phase.TOKEN, said, Cause.TOKEN_UNAVAILABLE, pause=answered.pause)


def _with_pause(text: str, answered: Answered) -> str:
    return f"{text}; to be asked again in {answered.pause // 1000} s" if answered.pause else text


def _of_tls(error: BaseException) -> BaseException:
    """Return what OpenSSL found, from within what requests and urllib3 wrapped around it."""
    inner = [*error.args, getattr(error, "reason", None), error.__cause__, error.__context__]
    found = (one for one in inner if isinstance(one, BaseException) and one is not error)
    if isinstance(error, ssl.SSLError):
        return error
    return next((one for one in map(_of_tls, found) if isinstance(one, ssl.SSLError)), ssl.SSLCertVerificationError())
