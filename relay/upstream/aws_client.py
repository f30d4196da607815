"""boto3's client of one AWS service, with our HTTPS under it: our trust and time-outs, and how far a request came."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from relay.config.aws_secret import INSTALL, installed
from relay.config.problems import ConfigError
from relay.reply import reply
from relay.upstream.authority import Answered, session_for
from relay.upstream.aws_errors import ended_by_network, refusal_in, request_errors, without_credentials
from relay.upstream.contract import Cause, Phase
from relay.upstream.failures import ConversationEnded
from relay.upstream.proxy import Proxy

if TYPE_CHECKING:
    from pathlib import Path

    import requests

CONNECT: Final = 10.0
"""Seconds in which a service has to take the connection, and STS to answer."""


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An IAM user's access key."""

    access_key: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the service is; `url` https://HOST:PORT. `patience`: seconds that an answer may take."""

    service: str
    region: str
    url: str
    ca_file: Path | None = None
    verify: str = "peer"
    patience: float = 60.0
    proxy: Proxy | None = None


class Body(io.BytesIO):
    """A request's body that knows how much of it was read, which is written at once."""

    def __init__(self, octets: bytes) -> None:
        super().__init__(octets)
        self.size = len(octets)

    @property
    def progress(self) -> Phase:
        """Return CONNECT before its first octet, CONTENT in its midst, FINAL_DOT after its last."""
        read = self.tell()
        if read == 0:
            return Phase.CONNECT
        return Phase.CONTENT if read < self.size else Phase.FINAL_DOT


class AwsClient:
    """Made at first use and kept, with the credentials of a role renewed by boto3; made anew after they were refused.

    Its methods block: for threads only, in which it may be used by several at once.
    """

    def __init__(self, endpoint: Endpoint, keys: Callable[[], AccessKey | None]) -> None:
        self.endpoint = endpoint
        self._keys = keys
        self._lock = threading.Lock()
        self._client: Any = None
        self._credentials: Any = None
        self._session: requests.Session | None = None
        self._here = threading.local()

    @property
    def made(self) -> bool:
        """True where nothing has to be looked for before it is used."""
        return self._client is not None

    @property
    def identity(self) -> str:
        """Tell where the credentials are from and whose they are; empty before they are found."""
        found = self._credentials
        return f"access key {found.access_key} ({found.method})" if found is not None else ""

    def prepare(self) -> None:
        """Find credentials. Raises ConversationEnded (SECRET, TOKEN)."""
        self._ready()

    def ask(self, call: Callable[[Any], Any]) -> Any:
        """Return what `call` gets from boto3's client, or the ApiRefusal that the service answered.

        Raises ConversationEnded: for SECRET and TOKEN nothing was asked, else its phase tells how far the request came.
        """
        client = self._ready()
        self._here.body = None
        try:
            return call(client)
        except request_errors() as error:
            refusal = refusal_in(error)
            if refusal is None:
                raise ended_by_network(error, self._progress, self._host) from error
            if refusal.of_credentials:
                self._forget()
            return refusal

    def close(self) -> None:
        """Close the connections that are kept; those in use end by themselves."""
        self._forget()

    @property
    def _host(self) -> str:
        return urlsplit(self.endpoint.url).hostname or ""

    @property
    def _progress(self) -> Phase:
        """Return how far this thread's latest request to the service itself came."""
        body: Body | None = getattr(self._here, "body", None)
        return body.progress if body is not None else Phase.CONNECT

    def _ready(self) -> Any:
        try:
            with self._lock:
                if self._client is None:
                    self._client = self._made()
                # Those of a role may be spent: renewed here, where no request of ours is under way.
                self._credentials.get_frozen_credentials()
                return self._client
        except ConversationEnded:
            raise
        except ConfigError as error:
            raise _unavailable(str(error)) from error
        except request_errors() as error:
            self._forget()
            raise without_credentials(error) from error

    def _forget(self) -> None:
        """Look for credentials anew next time: those in hand were refused."""
        with self._lock:
            self._client = self._credentials = None
            if self._session is not None:
                self._session.close()
                self._session = None

    def _made(self) -> Any:
        if not installed():
            raise _unavailable(INSTALL)
        import boto3
        import botocore.session
        from botocore.config import Config
        from botocore.exceptions import NoCredentialsError

        place, keys = self.endpoint, self._keys()
        session = botocore.session.get_session()
        session.register("before-send", self._transport())
        if keys is not None:
            session.set_credentials(keys.access_key, keys.secret)
        # A second attempt of its own could send a message twice; when to try again is decided elsewhere.
        config = Config(retries={"total_max_attempts": 1, "mode": "standard"}, parameter_validation=False)
        own = boto3.session.Session(region_name=place.region, botocore_session=session)
        self._credentials = own.get_credentials()
        if self._credentials is None:
            raise NoCredentialsError
        return own.client(place.service, endpoint_url=place.url, config=config)

    def _transport(self) -> Callable[..., Any]:
        """Return what sends a signed request in place of botocore, which calls it for STS too."""
        from botocore.awsrequest import AWSResponse

        place = self.endpoint
        session = session_for(place.ca_file, place.proxy, Answered(), Phase.CONNECT, verify=place.verify)
        self._session = session
        own = f"before-send.{self.endpoint.service}."

        def send(request: Any, event_name: str, **_: Any) -> Any:
            body = Body(_octets(request.body))
            patience = CONNECT
            if event_name.startswith(own):
                self._here.body, patience = body, place.patience
            answer = session.request(
                request.method,
                request.url,
                headers=dict(request.headers),
                data=body if body.size else None,
                timeout=(CONNECT, patience),
            )
            return AWSResponse(request.url, answer.status_code, answer.headers, _Raw(answer.content))

        return send


class _Raw:
    """What AWSResponse reads from."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    def stream(self, *_: Any, **__: Any) -> tuple[bytes]:
        return (self._octets,)


def _octets(body: Any) -> bytes:
    if body is None:
        return b""
    return body.encode("utf-8") if isinstance(body, str) else bytes(body)


def _unavailable(text: str) -> ConversationEnded:
    return ConversationEnded(Phase.SECRET, reply(454, "4.7.0", text), Cause.SECRET_UNAVAILABLE)
