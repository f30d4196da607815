"""Posts alerts as JSON to `alerts.webhook`: one after the other, apart from all mail, a few times where it fails."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import http.client
import json
import socket
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from relay.config.problems import ConfigError
from relay.config.secret_reference import SecretReference
from relay.config.secrets import Secrets
from relay.config.webhook_url import WebhookUrl, private, webhook_url
from relay.journal import Journal
from relay.upstream.detached import detached
from relay.upstream.trust import Trust

PAUSES = (1.0, 5.0, 30.0, 120.0, 600.0)
"""Seconds before each further try; a Retry-After may make one longer, up to the last."""

_SECONDS = 10.0
"""How long the other side may take to connect, and between octets."""

_LONGEST = 30.0
_CLOSING = 2.0
"""Seconds for what is left when the relay stops."""

_MOST_WAITING = 100

_PASSING = frozenset({408, 425, 429})
_CURES = {
    401: "it wants a login; make the webhook anew there and store its URL",
    403: "make the webhook anew there and store its URL",
    404: "make the webhook anew there and store its URL",
    410: "make the webhook anew there and store its URL",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one try. `status` 0 where there was no answer; `pause` seconds, as Retry-After asks for."""

    status: int
    trouble: str = ""
    pause: float = 0.0

    @property
    def taken(self) -> bool:
        """True where it is done."""
        return 200 <= self.status < 300

    @property
    def lasting(self) -> bool:
        """True where the same would be answered again."""
        return 300 <= self.status < 500 and self.status not in _PASSING


class Webhook:
    """A queue in memory and a task that empties it. Nothing waits for it; what fails is in the log, without the URL."""

    def __init__(
        self,
        place: Callable[[], SecretReference | None],
        secrets: Secrets,
        journal: Journal,
        pauses: tuple[float, ...] = PAUSES,
    ) -> None:
        self._place = place
        self._secrets = secrets
        self._journal = journal
        self._pauses = pauses
        self._waiting: deque[Mapping[str, Any]] = deque()
        self._stir = asyncio.Event()
        self._closing = asyncio.Event()

    def put(self, shape: Mapping[str, Any]) -> None:
        """Post it soon; nothing where no webhook is configured. Never raises."""
        if self._place() is None:
            return
        if len(self._waiting) >= _MOST_WAITING:
            self._lost(self._waiting.popleft(), "too many alerts wait for it")
        self._waiting.append(shape)
        self._stir.set()

    async def run(self) -> None:
        """Work until closed; then try once more what is left."""
        while not self._closing.is_set():
            self._stir.clear()
            if not self._waiting:
                await self._stir.wait()
                continue
            await self._deliver(self._waiting.popleft())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSING):
                while self._waiting:
                    await self._deliver(self._waiting.popleft())

    def close(self) -> None:
        """Let `run` end."""
        self._closing.set()
        self._stir.set()

    async def _deliver(self, shape: Mapping[str, Any]) -> None:
        for tried, pause in enumerate((*self._pauses, None), 1):
            answer = await self._tried(shape)
            if answer.taken:
                values = {"alert": shape["event"], "upstream": shape["upstream"], "attempts": tried}
                self._journal.told("webhook_posted", **values)
                return
            if answer.lasting or pause is None or self._closing.is_set():
                self._lost(shape, answer.trouble)
                return
            self._journal.warned("webhook_failed", alert=shape["event"], text=answer.trouble, attempts=tried)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), max(pause, min(answer.pause, self._pauses[-1])))

    def _lost(self, shape: Mapping[str, Any], trouble: str) -> None:
        self._journal.warned("webhook_given_up", alert=shape["event"], upstream=shape["upstream"], text=trouble)

    async def _tried(self, shape: Mapping[str, Any]) -> Answer:
        place = self._place()
        if place is None:
            return Answer(410, "alerts.webhook was taken out of relay.toml")
        octets = json.dumps(shape, ensure_ascii=False).encode()
        try:
            async with asyncio.timeout(_LONGEST):
                return await detached("webhook", functools.partial(_posted_to, place, self._secrets, octets))
        except TimeoutError:
            return Answer(0, _late(_LONGEST))


def _posted_to(place: SecretReference, secrets: Secrets, octets: bytes) -> Answer:
    try:
        url = webhook_url(secrets.resolve(place))
    except ConfigError as error:
        return Answer(0, f"alerts.webhook: {error}")
    return posted(url, octets)


def posted(url: WebhookUrl, octets: bytes) -> Answer:
    """Post once, following no redirection and no proxy. Blocks; what goes wrong is in the answer, without the URL."""
    try:
        connection = _connection(url)
    except OSError as error:
        return Answer(0, _trouble(error))
    if connection is None:
        return Answer(0, "alerts.webhook is http:// to a host that is in no private network; write https://")
    headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "relay"}
    if url.authorization:
        headers["Authorization"] = url.authorization
    try:
        connection.request("POST", url.target, octets, headers)
        with connection.getresponse() as response:
            return _answer(response.status, response.headers.get("Retry-After", ""))
    except OSError as error:
        return Answer(0, _trouble(error))
    except http.client.HTTPException:
        return Answer(0, "alerts.webhook answered something that is no HTTP; correct its host and port")
    finally:
        connection.close()


def _connection(url: WebhookUrl) -> http.client.HTTPConnection | None:
    """Return what will connect; None where the alert would cross the open network in clear text. Raises OSError."""
    if url.secure:
        return http.client.HTTPSConnection(url.host, url.port, timeout=_SECONDS, context=Trust().context())
    found = socket.getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
    if not all(private(str(address[0])) for *_, address in found):
        return None
    return http.client.HTTPConnection(url.host, url.port, timeout=_SECONDS)


def _answer(status: int, retry_after: str) -> Answer:
    if 200 <= status < 300:
        return Answer(status)
    pause = float(retry_after) if retry_after.isascii() and retry_after.isdigit() and len(retry_after) < 9 else 0.0
    if 300 <= status < 400:
        cure = "redirections are not followed; store the URL to which it points"
    elif status in _PASSING or status >= 500:
        cure = "it is tried again"
    else:
        cure = _CURES.get(status, "it does not take the alert; see what it wants")
    return Answer(status, f"alerts.webhook answered HTTP {status}; {cure}", pause)


def _late(seconds: float) -> str:
    return f"alerts.webhook did not answer in {seconds:.0f} s; see whether a firewall stands between"


def _trouble(error: OSError) -> str:
    """Say what a failed connection means. The error's own text may quote the host."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            "the certificate of alerts.webhook is not trusted, or is for another name; "
            "correct the URL, or add its authority to the system's (SSL_CERT_FILE names another file)"
        )
    if isinstance(error, ssl.SSLError):
        return "alerts.webhook speaks no TLS that we know; correct its port"
    if isinstance(error, socket.gaierror):
        return "the host of alerts.webhook has no address; correct the URL, or see whether this machine has DNS"
    if isinstance(error, TimeoutError):
        return _late(_SECONDS)
    return f"alerts.webhook cannot be reached: {error.strerror or 'the connection broke'}; see that it listens there"
