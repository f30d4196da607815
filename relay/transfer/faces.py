"""The faces of a configuration, decided once for each client and upstream: most messages need no look at all."""

from __future__ import annotations

from collections.abc import Mapping

from relay.address import Mailbox, parse_mailbox
from relay.config.client_settings import ClientSettings, IdentitySettings, SenderPolicy, TextFile
from relay.config.identities import Identities
from relay.config.settings import Settings
from relay.config.upstream_settings import UpstreamSettings
from relay.spool.records import SpooledMessage
from relay.transfer.disclaimer import Disclaimer, disclaimer_of
from relay.transfer.rewriting import Face, Identity
from relay.transfer.sender_rights import account_of, allowed_senders


class Faces:
    """Knows the face of any message by any upstream. `before`: those of the settings that these replace."""

    def __init__(self, settings: Settings, before: Faces | None = None) -> None:
        self._settings = settings
        self._identities = Identities(settings.identity)
        self._before: dict[str, Disclaimer | None] = {}
        if before is not None:
            self._before = {**before._before, **before._disclaimers}
        self._disclaimers: dict[str, Disclaimer | None] = {}
        self._known: dict[tuple[str | None, str, str | None], Face | None] = {}

    def face_of(self, message: SpooledMessage, upstream: str) -> Face | None:
        """Return how the message is to look when it goes by this upstream; None: as it is."""
        client = None if message.notice else message.origin.client
        identity = None
        if self._identities and client is not None:
            identity = self._identities.named_for(message.header_from or str(message.reverse_path or ""))
        key = (client, upstream, identity)
        try:
            return self._known[key]
        except KeyError:
            return self._known.setdefault(key, self._face(client, upstream, identity))

    def _face(self, client: str | None, upstream: str, identity: str | None) -> Face | None:
        settings = self._settings
        table = settings.upstream.get(upstream)
        if table is None:
            return None
        policy, account = self._policy(client, upstream, table), account_of(table)
        mask = _identity(identity, settings.identity)
        if account is None or not table.own_senders:
            policy = "keep"
        ours = settings.client.get(client) if client is not None else None
        reply_to = parse_mailbox(ours.reply_to) if ours is not None and ours.reply_to is not None else None
        disclaimer = self._disclaimer(client, ours)
        if policy == "keep" and mask is None and reply_to is None and disclaimer is None:
            return None
        return Face(
            upstream=upstream,
            policy=policy,
            account=account if policy != "keep" else None,
            allowed=allowed_senders(table) if policy != "keep" else frozenset(),
            display_name=ours.display_name if ours is not None else "{name}",
            reply_to=reply_to,
            identity=mask,
            answerable=client is not None,
            disclaimer=disclaimer,
        )

    def _disclaimer(self, client: str | None, ours: ClientSettings | None) -> Disclaimer | None:
        if client is None or ours is None or (ours.disclaimer_text is None and ours.disclaimer_html is None):
            return None
        if client not in self._disclaimers:
            try:
                found = disclaimer_of(_read(ours.disclaimer_text), _read(ours.disclaimer_html))
            except OSError:
                # It was there when the configuration was checked: mail goes on with what it said before.
                found = self._before.get(client)
            self._disclaimers[client] = found
        return self._disclaimers[client]

    def _policy(self, client: str | None, upstream: str, table: UpstreamSettings) -> SenderPolicy:
        # A notice of ours has the address of the upstream that was meant to take it.
        if client is None:
            return "rewrite"
        return self._settings.sender_policy(client, upstream)


def _read(text: str | TextFile | None) -> str | None:
    if not isinstance(text, TextFile):
        return text
    return text.file.read_bytes().decode("utf-8-sig", "replace")


def _identity(title: str | None, identities: Mapping[str, IdentitySettings]) -> Identity | None:
    if title is None:
        return None
    given = identities[title]
    mailbox, reply_to = _mailbox(given.from_), _mailbox(given.reply_to)
    if mailbox is None and reply_to is None and given.name is None:
        return None
    return Identity(title, mailbox, given.name, reply_to)


def _mailbox(text: str | None) -> Mailbox | None:
    return parse_mailbox(text) if text is not None else None
