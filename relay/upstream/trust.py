"""The TLS client context: whom we trust, and what we show (RFC 8446, RFC 5246)."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path


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


def _changed_at(file: Path) -> float | None:
    try:
        return file.stat().st_mtime
    except OSError:
        return None


def _no_passphrase() -> str:
    raise OSError("the client certificate's key is encrypted")
