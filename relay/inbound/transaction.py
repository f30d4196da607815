"""One mail transaction (RFC 5321 §3.3): who sends to whom, and then the content."""

from __future__ import annotations

from dataclasses import replace

from relay.address import Mailbox, parse_mailbox
from relay.config.client_settings import ClientSettings
from relay.config.settings import Settings
from relay.envelope import Envelope, Notify, Origin, Recipient
from relay.inbound import received
from relay.inbound.clients import Client
from relay.inbound.header_section import HeaderSection
from relay.inbound.heading import Heading
from relay.inbound.parameters import MailArguments
from relay.inbound.reception import Reception
from relay.inbound.sender_routes import SenderRoutes
from relay.spool.contract import Arrival, Draft, Intake
from relay.spool.records import Priority

_PRIORITIES = {"high": Priority.HIGH, "normal": Priority.NORMAL, "bulk": Priority.BULK}


class Transaction:
    """From MAIL until the message is handed over or forgotten. `client`, `origin` and `routes` are those at MAIL."""

    def __init__(
        self, client: Client, arguments: MailArguments, origin: Origin, routes: SenderRoutes, *, extended: bool
    ) -> None:
        self.client = client
        self.arguments = arguments
        self.recipients: list[Recipient] = []
        self.reception: Reception | None = None
        self._origin = origin
        self._routes = routes
        self._extended = extended
        self._keys: set[str] = set()
        self._heading: Heading | None = None

    def add(self, recipient: Recipient) -> None:
        """Take one more recipient; the same address again counts once."""
        key = _exact(recipient.forward_path)
        if key not in self._keys:
            self._keys.add(key)
            self.recipients.append(recipient)

    def has(self, forward_path: Mailbox) -> bool:
        """Return whether this address was taken already."""
        return _exact(forward_path) in self._keys

    def receive(self, max_message_size: int, hostname: str, intake: Intake, now: int) -> Reception:
        """Begin the content."""
        # What the reception holds must not hold us, or every message would wait for a garbage collection.
        heading = Heading(
            self.client.settings, self.arguments, self._origin, self._extended, hostname, intake, self._routes, now
        )
        self._heading = heading
        self.reception = Reception(max_message_size, self.arguments.size, heading.complete, intake.draft)
        return self.reception

    def candidates_by(self, routes: SenderRoutes, ways: tuple[str, ...], client: ClientSettings) -> tuple[str, ...]:
        """Return those upstreams of `ways`, or those of its identity instead, that this client's message may go by."""
        section = self._section
        authors = section.authors if section is not None else ()
        return routes.candidates(ways, client, authors, self.arguments.reverse_path)

    def arrival(self, content: bytes | Draft, settings: Settings, candidates: tuple[str, ...], now: int) -> Arrival:
        """Return what goes into the spool, and leaves by one of `candidates`; the content was received, not refused."""
        heading, section, reception = self._heading, self._section, self.reception
        if heading is None or section is None or reception is None:
            raise RuntimeError("no content was received")
        arguments = self.arguments
        envelope = Envelope(
            arguments.reverse_path,
            self._recipients(asked=section.asks_receipt),
            arguments.body,
            arguments.smtputf8,
            arguments.envelope_id,
            arguments.dsn_return,
        )
        return Arrival(
            id=heading.id,
            origin=self._origin,
            envelope=envelope,
            candidates=candidates,
            content=content,
            size=reception.size,
            eight_bit=reception.eight_bit,
            header_from=section.header_from,
            message_id=section.message_id or received.message_id_for(settings.hostname, heading.id),
            accepted_at=now,
            give_up_at=now + round(settings.give_up_after(self.client.name) * 1000),
            priority=_PRIORITIES[self.client.settings.priority],
            mark=heading.mark,
        )

    @property
    def _section(self) -> HeaderSection | None:
        return self._heading.section if self._heading is not None else None

    def _recipients(self, *, asked: bool) -> tuple[Recipient, ...]:
        """The recipients; where the header section asks for a receipt, that counts where NOTIFY says nothing."""
        client = self.client.settings
        recipients = tuple(self.recipients)
        if asked and client.receipts and self.arguments.reverse_path is not None:
            wanted = Notify.SUCCESS | Notify.FAILURE
            recipients = tuple(replace(one, notify=wanted) if one.notify is None else one for one in recipients)
        return (*recipients, *self._archive()) if client.bcc else recipients

    def _archive(self) -> tuple[Recipient, ...]:
        """Those who get a copy of everything: the sender is told nothing of them, whatever becomes of it."""
        copies = (parse_mailbox(address) for address in self.client.settings.bcc)
        return tuple(Recipient(copy, Notify.NEVER) for copy in copies if copy is not None and not self.has(copy))


def _exact(mailbox: Mailbox) -> str:
    return f"{mailbox.local_part}@{mailbox.domain.lower()}"
