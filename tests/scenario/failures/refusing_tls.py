"""A server whose TLS comes to nothing, and that says so by an alert (RFC 8446 §6.2), as asyncio's server does not."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from types import TracebackType
from typing import Self


class RefusingTls:
    """Speaks SMTP up to STARTTLS and begins TLS by `context`, one connection after the other."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, name="refusing-tls", daemon=True)
        self.port: int = self._listening.getsockname()[1]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Closing alone would leave accept() waiting.
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listening.close()

    def _serve(self) -> None:
        while True:
            try:
                connected, _ = self._listening.accept()
            except OSError:
                return
            with connected, contextlib.suppress(OSError):
                connected.settimeout(10)
                self._converse(connected)

    def _converse(self, connected: socket.socket) -> None:
        connected.sendall(b"220 old.test ESMTP\r\n")
        for reply in (b"250-old.test\r\n250 STARTTLS\r\n", b"220 2.0.0 Go ahead\r\n"):
            connected.recv(1000)
            connected.sendall(reply)
        with self._context.wrap_socket(connected, server_side=True) as secured:
            secured.recv(1000)
