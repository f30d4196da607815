"""The header section of a message on its way in: judged and completed as soon as it is there."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from relay.config.client_settings import ClientSettings
from relay.envelope import Origin
from relay.inbound import admission, received
from relay.inbound.header_section import HeaderSection, read_header_section, senders_in
from relay.inbound.parameters import MailArguments
from relay.inbound.reception import Refusal
from relay.inbound.sender_routes import SenderRoutes
from relay.spool.contract import Intake


@dataclass(slots=True)
class Heading:
    """`at` is the instant of DATA. `section` and `id` are there once `complete` was content with it.

    `mark` is what a repetition is known by, where the client waits for the upstream's own answer.
    """

    client: ClientSettings
    arguments: MailArguments
    origin: Origin
    extended: bool
    hostname: str
    intake: Intake
    routes: SenderRoutes
    at: int
    section: HeaderSection | None = None
    id: str = ""
    mark: bytes = b""

    def complete(self, header: bytes) -> bytes | Refusal:
        """Return the section as we pass it on, or why we don't."""
        section = read_header_section(header)
        client, arguments = self.client, self.arguments
        named = section.authors
        if client.senders or client.sender_policy == "reject":
            named = (*named, *senders_in(header))
        refusal = admission.refuse_header(client, section.received, named)
        if refusal is not None:
            return refusal
        rejected = self.routes.refuse_header(client, named, arguments.reverse_path)
        if rejected is not None:
            return rejected, "sender"
        self.section = section
        if client.delivery == "direct":
            self.mark = hashlib.sha256(header).digest()
        self.id = self.intake.next_id()
        trace = received.received_field(
            self.origin, self.hostname, self.id, extended=self.extended, smtputf8=arguments.smtputf8, at=self.at
        )
        return received.completed(header, section, trace, self.hostname, self.id, self.at)
