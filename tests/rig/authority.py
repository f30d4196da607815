"""An HTTPS token authority for a mail server that validates tokens by itself: the simulator's Entra in a thread.

Dovecot knows a user by one claim of the token, so application tokens carry the mailbox as `upn` here.
"""

import asyncio
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from relay.simulator.entra import Entra
from relay.simulator.faults import Faults
from relay.simulator.http_server import HttpServer
from relay.simulator.options import Options
from relay.simulator.tokens import Tokens, key_id, signed, signing_key, verified
from tests.rig.certificate import Leaf


class _MailboxTokens(Tokens):
    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._mailbox = options.mailbox

    def for_app(self, audience: str) -> str:
        claims = verified(super().for_app(audience))
        assert claims is not None
        return signed(claims | {"upn": self._mailbox, "sub": claims["oid"]})


class TokenAuthority:
    """`url` is what an upstream's `authority` must be; `requests` counts token requests. All else is in `options`."""

    def __init__(self, leaf: Leaf, options: Options | None = None) -> None:
        self.options = options or Options()
        self.tokens = _MailboxTokens(self.options)
        self.entra = Entra(self.options, self.tokens, Faults())
        self._leaf = leaf
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="token-authority", daemon=True)
        self._server = HttpServer(self.entra.answer)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._server.close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _open(self) -> None:
        await self._server.open("127.0.0.1", 0, self._leaf.server_context())
        self.entra.origin = f"https://localhost:{self._server.port}"

    @property
    def url(self) -> str:
        """The authority's URL, with the tenant."""
        return self.entra.url

    @property
    def issuer(self) -> str:
        """The `iss` of its tokens."""
        return f"https://sts.windows.net/{self.options.tenant}/"

    @property
    def requests(self) -> int:
        """Requests to the token endpoint so far."""
        return self.entra.requests["token"]

    def export_key(self, folder: Path) -> None:
        """Writes the public key where Dovecot looks for it: default/RS256/KID below `folder`."""
        place = folder / "default" / "RS256"
        place.mkdir(parents=True)
        (place / key_id()).write_bytes(
            signing_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        )
