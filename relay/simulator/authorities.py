"""What gives tokens, at one HTTPS server: Entra, the identity endpoint of an Azure machine, Google."""

from __future__ import annotations

from relay.simulator import google, managed_identity
from relay.simulator.entra import Entra
from relay.simulator.http_server import Request, Response


class Authorities:
    """Answers by the path that is asked for."""

    def __init__(
        self, entra: Entra, identity: managed_identity.ManagedIdentity, accounts: google.GoogleAuthority
    ) -> None:
        self._entra = entra
        self._identity = identity
        self._accounts = accounts

    async def answer(self, request: Request) -> Response:
        """Answer one request."""
        if request.path == managed_identity.PATH:
            return await self._identity.answer(request)
        if request.path in (google.PATH, google.SIGN_IN_PATH):
            return await self._accounts.answer(request)
        return await self._entra.answer(request)
