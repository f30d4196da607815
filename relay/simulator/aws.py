"""AWS as far as a relay sees it: one HTTPS server for SES's API, STS and Secrets Manager, one for a machine's role."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field

from relay.simulator import secrets_manager, ses_api
from relay.simulator.aws_account import AwsAccount
from relay.simulator.aws_roles import MachineMetadata, Sts
from relay.simulator.http_server import HttpServer, Request, Response
from relay.simulator.premises import Premises

_LARGEST = 64 * 1024 * 1024
"""Octets of a request: SES's 40 MB in base64."""


@dataclass(slots=True)
class Aws:
    """`server` is HTTPS, `metadata_server` plain HTTP, as on the machine itself; each can be closed and reopened."""

    premises: Premises
    account: AwsAccount = field(init=False)
    ses: ses_api.SesApi = field(init=False)
    sts: Sts = field(init=False)
    secrets_manager: secrets_manager.SecretsManager = field(init=False)
    metadata: MachineMetadata = field(init=False)
    server: HttpServer = field(init=False)
    metadata_server: HttpServer = field(init=False)

    def __post_init__(self) -> None:
        options = self.premises.options
        self.account = AwsAccount(options)
        self.ses = ses_api.SesApi(self.premises, self.account)
        self.sts = Sts(options, self.account)
        self.secrets_manager = secrets_manager.SecretsManager(options, self.account)
        self.metadata = MachineMetadata(self.account)
        self.server = HttpServer(self._answer, _LARGEST)
        self.metadata_server = HttpServer(self.metadata.answer)

    async def open(self, context: ssl.SSLContext) -> None:
        """Listen; raises OSError where a port is taken."""
        options = self.premises.options
        await self.server.open(options.host, options.aws_port, context)
        await self.metadata_server.open(options.host, options.aws_metadata_port)

    async def close(self) -> None:
        """End both servers."""
        await self.server.close()
        await self.metadata_server.close()

    async def _answer(self, request: Request) -> Response:
        if request.path.startswith(ses_api.PATH):
            return await self.ses.answer(request)
        if request.headers.get("x-amz-target", "").startswith(secrets_manager.TARGET):
            return await self.secrets_manager.answer(request)
        return await self.sts.answer(request)
