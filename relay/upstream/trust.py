"""The TLS client context: whom we trust, and what we show (RFC 8446, RFC 5246)."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from pathlib import Path

from relay.upstream.contract import Cause, Phase
from relay.upstream.failures import ConversationEnded, reply_for


@dataclass(frozen=True, slots=True)
class Trust:
    """`verify` "peer" or "none"; `ca_file` PEM of authorities besides the system's; `client_certificate` one PEM."""

    verify: str = "peer"
    ca_file: Path | None = None
    client_certificate: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Return a context for TLS 1.2 and later. Reads files, some 20 ms. Raises OSError, of which SSLError is one."""
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.ca_file is not None:
            context.load_verify_locations(cafile=str(self.ca_file))
        if self.client_certificate is not None:
            # A passphrase would be asked for at the terminal, and serve would hang.
            context.load_cert_chain(str(self.client_certificate), password=_no_passphrase)
        if self.verify == "none":
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def stamp(self) -> tuple[float | None, ...]:
        """Return the files' times of change, None where it can't be seen: another stamp asks for another context."""
        return tuple(_changed_at(file) for file in (self.ca_file, self.client_certificate) if file is not None)


class KeptContext:
    """The context of one upstream, made anew when one of its files has changed. `host` is named where that fails."""

    def __init__(self, trust: Trust, host: str) -> None:
        self._trust = trust
        self._host = host
        self._kept: tuple[ssl.SSLContext, tuple[float | None, ...]] | None = None

    async def current(self) -> ssl.SSLContext:
        """Return it. Raises ConversationEnded, phase SECRET."""
        try:
            stamp = self._trust.stamp()
            if self._kept is None or self._kept[1] != stamp:
                self._kept = await asyncio.to_thread(self._trust.context), stamp
        except OSError as error:
            said = reply_for(Cause.SECRET_UNAVAILABLE, Phase.SECRET, self._host, "ca_file or client_certificate")
            raise ConversationEnded(Phase.SECRET, said, Cause.SECRET_UNAVAILABLE) from error
        return self._kept[0]


def _changed_at(file: Path) -> float | None:
    try:
        return file.stat().st_mtime
    except OSError:
        return None


def _no_passphrase() -> str:
    raise OSError("the client certificate's key is encrypted")
