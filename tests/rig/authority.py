"""An HTTPS server of tokens for a mail server that validates them by itself: the simulator's authorities in a thread.

Dovecot knows a user by one claim of the token, so application tokens carry the mailbox as `upn` here, and Google's are
signed like Entra's.
"""

import asyncio
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from relay.simulator.authorities import Authorities
from relay.simulator.entra import Entra
from relay.simulator.faults import Faults
from relay.simulator.google import SCOPE, GoogleAuthority
from relay.simulator.http_server import HttpServer
from relay.simulator.managed_identity import ManagedIdentity
from relay.simulator.options import Options
from relay.simulator.tokens import Tokens, key_id, signing_key
from tests.rig.certificate import Leaf
from tests.rig.credential_kinds import Cloud


class _MailboxTokens(Tokens):
    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._mailbox = options.mailbox
        self.issuer = f"https://sts.windows.net/{options.tenant}/"

    def _issue(self, particular: Mapping[str, object]) -> str:
        known = {"upn": self._mailbox, "sub": "relay", "iss": self.issuer}
        return super()._issue(known | dict(particular))


class _Google(GoogleAuthority):
    def __init__(self, options: Options, faults: Faults, tokens: Tokens) -> None:
        super().__init__(options, faults)
        self._tokens = tokens

    def _access_token(self, user: str) -> str:
        return self._tokens.for_user("https://mail.google.com", user, SCOPE)


class TokenAuthority:
    """`url` is what an upstream's `authority` must be; `requests` counts token requests. All else is in `options`.

    `faults` are switched on as in the simulator; `close` and `reopen` make it unreachable for a while.
    """

    def __init__(self, leaf: Leaf, options: Options | None = None) -> None:
        self.options = options or Options()
        self.faults = Faults()
        self.tokens = _MailboxTokens(self.options)
        self.entra = Entra(self.options, self.tokens, self.faults)
        self.google = _Google(self.options, self.faults, self.tokens)
        self.managed_identity = ManagedIdentity(self.options, self.tokens, self.faults)
        self._leaf = leaf
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="token-authority", daemon=True)
        self._server = HttpServer(Authorities(self.entra, self.managed_identity, self.google).answer)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _open(self) -> None:
        await self._server.open("127.0.0.1", 0, self._leaf.server_context())
        self.entra.origin = self.google.origin = f"https://localhost:{self._server.port}"

    def close(self) -> None:
        """Connecting is refused from now on."""
        asyncio.run_coroutine_threadsafe(self._server.close(), self._loop).result(10)

    def reopen(self) -> None:
        """There again."""

        async def reopened() -> None:
            self._server.reopen()

        asyncio.run_coroutine_threadsafe(reopened(), self._loop).result(10)

    def revoke(self) -> None:
        """Issue tokens under another name from now on: whoever believes `issuer` takes none of the old ones."""
        self.tokens.issuer = f"{self.tokens.issuer}again/"

    def cloud(self, port: int) -> Cloud:
        """What credentials are for, with a mail server on localhost that takes the tokens of all."""
        return Cloud(
            self.entra,
            self.google,
            self.managed_identity,
            self.options,
            self._leaf.authority,
            "localhost",
            port,
            port,
        )

    @property
    def url(self) -> str:
        """The authority's URL, with the tenant."""
        return self.entra.url

    @property
    def issuer(self) -> str:
        """The `iss` of its tokens."""
        return self.tokens.issuer

    @property
    def requests(self) -> int:
        """Requests to Entra's token endpoint so far."""
        return self.entra.requests["token"]

    def export_key(self, folder: Path) -> None:
        """Writes the public key where Dovecot looks for it: default/RS256/KID below `folder`."""
        place = folder / "default" / "RS256"
        place.mkdir(parents=True)
        (place / key_id()).write_bytes(
            signing_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        )
