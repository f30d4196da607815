"""What all sessions share: the settings in force, and the stages that they hand on to."""

from __future__ import annotations

import time
from collections.abc import Callable

from relay.config.client_settings import ClientSettings
from relay.config.settings import Settings
from relay.inbound import admission, replies
from relay.inbound.acceptance import Acceptance
from relay.inbound.certificates import Certificates
from relay.inbound.clients import Client, Clients
from relay.inbound.devices import Devices
from relay.inbound.limits import LoginLimits
from relay.inbound.parameters import MailArguments
from relay.inbound.passwords import Passwords, SecretSource
from relay.inbound.reception import Refusal
from relay.inbound.routing import Routing
from relay.inbound.sender_routes import SenderRoutes
from relay.inbound.sizes import Sizes
from relay.inbound.transaction import Transaction
from relay.journal import Journal
from relay.reply import Reply
from relay.spool.contract import Carrier, Intake
from relay.spool.records import Load


class Premises:
    """Settings change at a reload, for the next command of every session; the rest stays. `now` gives milliseconds.

    `carrier` takes the messages of clients that wait for the upstream's own answer. `load_of` tells how busy an
    upstream is, `largest_of` what its EHLO said of its messages' size.
    """

    def __init__(
        self,
        settings: Settings,
        secrets: SecretSource,
        intake: Intake,
        journal: Journal,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        carrier: Carrier | None = None,
        load_of: Callable[[str], Load] = lambda upstream: Load(),
        largest_of: Callable[[str], int | None] = lambda upstream: None,
    ) -> None:
        self.intake = intake
        self.journal = journal
        self.limits = LoginLimits(monotonic)
        self.acceptance = Acceptance(intake, journal)
        self.carrier = carrier
        self.routing = Routing(load_of)
        self._largest_of = largest_of
        self.draining = False
        self.certificates = Certificates(settings, secrets, ())
        self._clock = clock
        self.devices = Devices(settings.state_dir, journal, self.now)
        self.put_in_force(settings, secrets)

    def put_in_force(self, settings: Settings, secrets: SecretSource) -> None:
        """Let sessions go by these from their next command on."""
        self.settings = settings
        self.secrets = secrets
        self.hostname = settings.hostname
        self.passwords = Passwords(secrets)
        self.clients = Clients(settings.client)
        self.sender_routes = SenderRoutes(settings)
        self.sizes = Sizes(settings, self._largest_of)

    def use(self, certificates: Certificates) -> None:
        """Let handshakes go by these from now on."""
        self.certificates = certificates

    def refuse_mail(self, client: ClientSettings, name: str, arguments: MailArguments, largest: int) -> Refusal | None:
        """Return why MAIL of this client is refused, or None; `largest` octets may come in."""
        broken = self.intake.refusal()
        if broken is not None:
            return admission.refuse_for_spool(broken), "spool"
        path, size = arguments.reverse_path, arguments.size
        refusal = admission.refuse_reverse_path(client, path, size, largest, self.intake.waiting(name))
        if refusal is not None:
            return refusal
        rejected = self.sender_routes.refuse_reverse_path(client, path)
        if rejected is not None:
            return rejected, "sender"
        too_large = self.sizes.refuse_declared(client, size) if size else None
        return (too_large, "size") if too_large is not None else None

    def candidates(self, transaction: Transaction, size: int, now: int) -> tuple[str, ...] | Reply:
        """Return the upstreams in force that a message of this size may go by, in order; else why there is none."""
        client = self._as_in_force(transaction.client)
        if client is None:
            return replies.CONFIGURATION_CHANGED
        candidates = self.routing.candidates(client, now)
        if self.sender_routes.any_for(client):
            candidates = transaction.candidates_by(self.sender_routes, candidates, client)
        return self.sizes.refuse(candidates, size) or self.sizes.fitting(candidates, size)

    def _as_in_force(self, client: Client) -> ClientSettings | None:
        """Return the settings of one who said MAIL before a reload, maybe; None where he and his upstreams are gone."""
        found = self.clients.named(client.name)
        if found is not None:
            return found.settings
        known = all(upstream in self.settings.upstream for upstream in client.settings.upstreams)
        return client.settings if known else None

    def now(self) -> int:
        """Return the instant: milliseconds since the epoch."""
        return int(self._clock() * 1000)
