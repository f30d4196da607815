"""What is asked over HTTPS, at one server: Entra, an Azure machine's identity, Google's tokens, Microsoft Graph."""

from __future__ import annotations

from relay.simulator import google, graph, managed_identity
from relay.simulator.entra import Entra
from relay.simulator.http_server import Request, Response


class Authorities:
    """Answers by the path that is asked for."""

    def __init__(
        self,
        entra: Entra,
        identity: managed_identity.ManagedIdentity,
        accounts: google.GoogleAuthority,
        mail: graph.Graph | None = None,
    ) -> None:
        self._entra = entra
        self._identity = identity
        self._accounts = accounts
        self._mail = mail

    async def answer(self, request: Request) -> Response:
        """Answer one request."""
        if self._mail is not None and request.path.startswith(graph.PATHS):
            return await self._mail.answer(request)
        if request.oversize:
            return Response(413, b"", "text/plain")
        if request.path == managed_identity.PATH:
            return await self._identity.answer(request)
        if request.path in (google.PATH, google.SIGN_IN_PATH):
            return await self._accounts.answer(request)
        return await self._entra.answer(request)
