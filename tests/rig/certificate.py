"""A certificate authority of the tests, and leaf certificates for loopback servers."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme


@dataclass(frozen=True, slots=True)
class Leaf:
    """PEM files of one server: `certificate` is the chain, `authority` what its clients must trust."""

    certificate: Path
    private_key: Path
    authority: Path

    def server_context(self) -> ssl.SSLContext:
        """For a server that shows this certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.private_key)
        return context

    def client_context(self) -> ssl.SSLContext:
        """For a client that trusts this certificate's authority and no other."""
        return ssl.create_default_context(cafile=str(self.authority))


class CertificateAuthority:
    """Issues leaves into a folder. Two of them don't trust each other."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._folder.mkdir(parents=True, exist_ok=True)
        self._authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
        self._count = 0
        self.path = folder / "authority.pem"
        self._authority.cert_pem.write_to_path(str(self.path))

    def leaf(
        self, *names: str, expired: bool = False, days: float | None = None, begins_in: float | None = None
    ) -> Leaf:
        """A certificate for these names and addresses; without any, for localhost, 127.0.0.1 and ::1.

        It is good for `days`, else for long; from now, or in so many days.
        """
        self._count += 1
        days = -1 if expired else days
        issued = self._authority.issue_cert(
            *(names or ("localhost", "127.0.0.1", "::1")),
            not_before=datetime.now(UTC) + timedelta(days=begins_in) if begins_in is not None else None,
            not_after=datetime.now(UTC) + timedelta(days=days) if days is not None else None,
            key_type=trustme.KeyType.ECDSA,
        )
        certificate, private_key = self._folder / f"leaf{self._count}.pem", self._folder / f"leaf{self._count}.key"
        for blob in issued.cert_chain_pems:
            blob.write_to_path(str(certificate), append=True)
        issued.private_key_pem.write_to_path(str(private_key))
        private_key.chmod(0o600)
        return Leaf(certificate, private_key, self.path)
