"""A small HTTP(S) server that alerts are posted to: it keeps what came and answers as it is told."""

import json
import threading
from collections import deque
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from tests.rig.certificate import Leaf
from tests.rig.waiting import wait_until

PATH = "/hooks/T0KEN-that-is-secret"


@dataclass(frozen=True, slots=True)
class Post:
    """One request."""

    path: str
    headers: dict[str, str]
    octets: bytes

    @property
    def shape(self) -> dict[str, Any]:
        """Its JSON object."""
        found: dict[str, Any] = json.loads(self.octets)
        return found


class WebhookServer:
    """Listens on 127.0.0.1, in TLS where it has a `leaf`. `answers`: (status, header, its value), each given once."""

    def __init__(self, leaf: Leaf | None = None) -> None:
        self.posts: list[Post] = []
        self.answers: deque[tuple[int, str, str]] = deque()
        self.tries = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_POST(self) -> None:
                outer.take(self)

            def do_GET(self) -> None:
                self.send_error(405)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # a client that breaks the handshake off is part of a test

        self._server = Server(("127.0.0.1", 0), Handler)
        if leaf is not None:
            self._server.socket = leaf.server_context().wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        scheme = "https" if leaf is not None else "http"
        self.port = self._server.server_address[1]
        self.url = f"{scheme}://localhost:{self.port}{PATH}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def take(self, request: BaseHTTPRequestHandler) -> None:
        """Answer one request, and keep it where the answer is 2xx."""
        octets = request.rfile.read(int(request.headers["Content-Length"]))
        self.tries += 1
        status, name, value = self.answers.popleft() if self.answers else (204, "", "")
        if 200 <= status < 300:
            self.posts.append(Post(request.path, dict(request.headers.items()), octets))
        request.send_response(status)
        if name:
            request.send_header(name, value)
        request.send_header("Content-Length", "0")
        request.end_headers()

    def wait_for(self, count: int, seconds: float = 30.0) -> list[Post]:
        """The posts, once there are `count` of them."""
        wait_until(lambda: len(self.posts) >= count, f"{count} posts at the webhook", seconds)
        return list(self.posts)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
