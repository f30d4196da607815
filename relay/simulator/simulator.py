"""The simulator as a whole: three SMTP services and an authority, with what they received and how to make them fail.

async with Simulator(may_send_as=("lab@clinic.test",)) as simulator:
    simulator.faults.set("smtp_auth_disabled_tenant", times=2)
    ...  # send through 127.0.0.1:simulator.microsoft365.port
    [message] = await simulator.wait_for(1)
    assert message.forward_paths == ("reception@clinic.test",)
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from relay.simulator.authorities import Authorities
from relay.simulator.aws import Aws
from relay.simulator.certificate import certificates
from relay.simulator.control import Control
from relay.simulator.entra import Entra
from relay.simulator.faults import Faults
from relay.simulator.gmail import Gmail
from relay.simulator.google import GoogleAuthority
from relay.simulator.graph import MOST_IN_REQUEST, Graph
from relay.simulator.http_server import HttpServer
from relay.simulator.mailbox import ReceivedMessage, ReceivedMessages
from relay.simulator.managed_identity import ManagedIdentity
from relay.simulator.microsoft365 import Microsoft365
from relay.simulator.options import Options
from relay.simulator.premises import Premises, Violation
from relay.simulator.provider import provider_named
from relay.simulator.ses import Ses
from relay.simulator.smtp_server import SmtpServer
from relay.simulator.tokens import Tokens, signing_key


class Simulator:
    """Open it with `async with`; what it keeps goes when it ends, but for certificates in `options.directory`.

    `microsoft365`, `gmail`, `ses`: the SMTP services (`.port`, `.implicit_port`, `.hang_up()`, `.open_connections`);
    `authority`: the HTTPS server of all that gives tokens. Each can be unreachable: `await .close()`, then `.reopen()`.
    `entra`: the authority's state (`.requests`, `.grants`, `.client_secrets`, `.certificates.register(pem)`,
    `.federation.trust(issuer, subject)`, `.device_codes.approve(user_code, user)`, `.revoke_refresh_tokens()`);
    `managed_identity`: the endpoint of an Azure machine at the same origin; `google`: Google's (`.service_account()`,
    `.refresh_token(user)`); `graph`: Microsoft Graph, at the same origin too (`.requests`, `.drafts`). `tokens`:
    `.expire()`, `.lifetime`, `.roles`, `.graph_roles`.
    `aws`: `.account` (`.denied`, `.expire()`), `.ses` (the API), `.secrets_manager.secrets`, `.metadata`, `.sts`.
    `faults`: `.set(name, ...)`, `.clear()`. `violations`: breaches of the protocol by clients.
    """

    microsoft365: SmtpServer
    gmail: SmtpServer
    ses: SmtpServer
    authority: HttpServer
    entra: Entra
    managed_identity: ManagedIdentity
    google: GoogleAuthority
    graph: Graph
    tokens: Tokens
    aws: Aws
    ca_file: Path
    directory: Path

    def __init__(self, options: Options | None = None, **changes: Any) -> None:
        """`changes` are fields of `Options`."""
        self.options = replace(options or Options(), **changes)
        self._exits = contextlib.AsyncExitStack()
        self._control: HttpServer | None = None

    async def __aenter__(self) -> Self:
        options = self.options
        async with contextlib.AsyncExitStack() as exits:
            self._spool = Path(tempfile.mkdtemp(prefix="relay-simulator-"))
            exits.callback(shutil.rmtree, self._spool, ignore_errors=True)
            self.directory = options.directory or self._spool
            self.ca_file, context = certificates(self.directory, (self.host, *options.names))
            self._received = ReceivedMessages(options.keep_messages, options.keep_octets)
            self.premises = Premises(options, self._spool, context, self._received)
            self.tokens = Tokens(options)
            self.entra = Entra(options, self.tokens, self.premises.faults)
            self.managed_identity = ManagedIdentity(options, self.tokens, self.premises.faults)
            self.google = GoogleAuthority(options, self.premises.faults)
            self.graph = Graph(self.tokens, self.premises)
            authorities = Authorities(self.entra, self.managed_identity, self.google, self.graph)
            self.authority = HttpServer(authorities.answer, MOST_IN_REQUEST)
            exits.push_async_callback(self.authority.close)
            await self.authority.open(options.host, options.authority_port, context)
            self.entra.origin = self.google.origin = self.graph.origin = (
                f"https://{_url_host(self.host)}:{self.authority.port}"
            )
            self.microsoft365 = SmtpServer(
                provider_named("microsoft365"), Microsoft365(options, self.tokens), self.premises
            )
            self.gmail = SmtpServer(provider_named("gmail"), Gmail(options, self.google), self.premises)
            self.ses = SmtpServer(provider_named("ses"), Ses(options), self.premises)
            for server in (self.microsoft365, self.gmail, self.ses):
                exits.push_async_callback(server.close)
            self.microsoft365.open(options.microsoft365_port)
            self.gmail.open(options.gmail_port, options.gmail_implicit_port)
            self.ses.open(options.ses_port, options.ses_implicit_port)
            if options.control_port is not None:
                self._control = HttpServer(Control(self).answer)
                exits.push_async_callback(self._control.close)
                await self._control.open(options.host, options.control_port)
            self.aws = Aws(self.premises)
            exits.push_async_callback(self.aws.close)
            await self.aws.open(context)
            # Made aside, so that the first token request needn't wait for it and the start neither.
            key = asyncio.create_task(asyncio.to_thread(signing_key))
            exits.push_async_callback(_finished, key)
            self._exits = exits.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._exits.aclose()

    @property
    def host(self) -> str:
        """What clients connect to: the first of `options.names`, else the address listened on."""
        anywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
        return next(iter(self.options.names), anywhere.get(self.options.host, self.options.host))

    @property
    def authority_url(self) -> str:
        """What an upstream's `authority` must be."""
        return self.entra.url

    @property
    def control_url(self) -> str:
        """Where the controls are; empty where `control_port` is None."""
        return f"http://{_url_host(self.host)}:{self._control.port}" if self._control else ""

    @property
    def aws_url(self) -> str:
        """Where SES's API, STS and Secrets Manager are."""
        return f"https://{_url_host(self.host)}:{self.aws.server.port}"

    @property
    def aws_metadata_url(self) -> str:
        """Where a machine or container finds the keys of its role."""
        return f"http://{_url_host(self.host)}:{self.aws.metadata_server.port}"

    @property
    def tenant(self) -> str:
        """The directory's ID."""
        return self.options.tenant

    @property
    def client_id(self) -> str:
        """The application's ID."""
        return self.options.client_id

    @property
    def client_secret(self) -> str:
        """The application's secret."""
        return self.options.client_secret

    @property
    def mailbox(self) -> str:
        """The mailbox that mail is sent from at Microsoft 365."""
        return self.options.mailbox

    @property
    def gmail_user(self) -> str:
        """Gmail's user name."""
        return self.options.gmail_user

    @property
    def gmail_app_password(self) -> str:
        """Gmail's app password, without blanks."""
        return self.options.gmail_app_password

    @property
    def ses_user(self) -> str:
        """Amazon SES's SMTP user name."""
        return self.options.ses_user

    @property
    def ses_password(self) -> str:
        """Amazon SES's SMTP password."""
        return self.options.ses_password

    @property
    def faults(self) -> Faults:
        """The failures that are switched on."""
        return self.premises.faults

    @property
    def violations(self) -> list[Violation]:
        """Breaches of the protocol by clients, in order."""
        return self.premises.violations

    @property
    def messages(self) -> list[ReceivedMessage]:
        """What was accepted, by whichever provider, oldest first."""
        return self._received.all()

    @property
    def received(self) -> ReceivedMessages:
        """The store itself: `.total`, `.recipients_total`, `.clear()`."""
        return self._received

    @property
    def token_requests(self) -> int:
        """Requests to the token endpoint so far."""
        return self.entra.requests["token"]

    @property
    def logins(self) -> int:
        """Successful AUTHs so far."""
        return self.premises.logins.total()

    @property
    def failed_logins(self) -> int:
        """Refused AUTHs so far."""
        return self.premises.failed_logins.total()

    @property
    def most_connections(self) -> int:
        """The most connections that one login has had at once."""
        return max(self.premises.usage.most_connections.values(), default=0)

    async def wait_for(self, count: int, timeout: float = 10.0) -> list[ReceivedMessage]:
        """Return the messages once at least `count` have been accepted in all; raises TimeoutError with the count."""
        try:
            await self._received.wait_until(lambda: self._received.total >= count, timeout)
        except TimeoutError:
            raise TimeoutError(f"{self._received.total} of {count} messages after {timeout} s") from None
        return self.messages


async def _finished(task: asyncio.Task[object]) -> None:
    await task


def _url_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host
