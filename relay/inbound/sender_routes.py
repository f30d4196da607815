"""By which upstreams a message may leave because of who sends it: identities, and `sender_policy = "reject"`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from relay.address import Mailbox, ReversePath, parse_mailbox
from relay.config.client_settings import ClientSettings, IdentitySettings
from relay.config.identities import Identities
from relay.config.settings import Settings
from relay.inbound import replies
from relay.reply import Reply


class SenderRoutes:
    """Those of one configuration."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._identities = Identities(settings.identity)

    def any_for(self, client: ClientSettings) -> bool:
        """Return whether there is anything to look at in this client's messages."""
        return bool(self._identities) or client.sender_policy == "reject"

    def candidates(
        self,
        ways: tuple[str, ...],
        client: ClientSettings,
        authors: Sequence[Mailbox | None],
        reverse_path: ReversePath,
    ) -> tuple[str, ...]:
        """Return the upstreams for a message: its identity's, by From, else by the reverse-path; or `ways`.

        Where the client's policy is to reject, upstreams that may not send as these are left out, unless all are.
        """
        identity = self._identity(authors, reverse_path)
        ways = self._ways(ways, identity)
        if client.sender_policy != "reject":
            return ways
        shown = _shown(authors, reverse_path, identity)
        return tuple(way for way in ways if self._allows(way, shown)) or ways

    def refuse_reverse_path(self, client: ClientSettings, reverse_path: ReversePath) -> Reply | None:
        """Return the refusal of a reverse-path as which no upstream sends that may get this client's mail, or None."""
        if client.sender_policy != "reject" or reverse_path is None:
            return None
        identity = self._identity((), reverse_path)
        if identity is not None and identity.from_ is not None:
            return None
        others = (face.upstream for face in self._settings.identity.values() if face.upstream is not None)
        return self._refusal(tuple(dict.fromkeys((*client.upstreams, *others))), [reverse_path])

    def refuse_header(
        self, client: ClientSettings, authors: Sequence[Mailbox | None], reverse_path: ReversePath
    ) -> Reply | None:
        """Return the refusal of senders, From's first, as which no upstream sends that may get the message, or None.

        `authors` has None for one that cannot be read: no provider takes that.
        """
        if client.sender_policy != "reject":
            return None
        identity = self._identity(authors, reverse_path)
        ways = self._ways(client.upstreams, identity)
        masked = identity is not None and identity.from_ is not None
        minded = all(self._settings.upstream[way].own_senders for way in ways)
        if minded and not masked and any(author is None for author in authors):
            return replies.sender_rejected(None, ways[0], self._settings.upstream[ways[0]].own_senders)
        return self._refusal(ways, _shown(authors, reverse_path, identity))

    def _identity(self, authors: Iterable[Mailbox | None], reverse_path: ReversePath) -> IdentitySettings | None:
        if not self._identities:
            return None
        first = next((author for author in authors if author is not None), reverse_path)
        name = self._identities.named_for(str(first or ""))
        return self._settings.identity[name] if name is not None else None

    def _ways(self, ways: tuple[str, ...], identity: IdentitySettings | None) -> tuple[str, ...]:
        # An identity's own stands for all of the client's: another one's mailbox would show another face.
        if identity is None or identity.upstream is None:
            return ways
        # Whose mail is only kept is being trained, and never mails anybody, whatever its From.
        training = all(self._settings.upstream[way].type == "capture" for way in ways)
        return ways if training else (identity.upstream,)

    def _allows(self, way: str, named: Iterable[Mailbox]) -> bool:
        return all(self._settings.upstream[way].sends_as(str(one)) for one in named)

    def _refusal(self, ways: Sequence[str], named: Sequence[Mailbox]) -> Reply | None:
        if any(self._allows(way, named) for way in ways):
            return None
        upstream = self._settings.upstream[ways[0]]
        wrong = next(one for one in named if not upstream.sends_as(str(one)))
        return replies.sender_rejected(wrong, ways[0], upstream.own_senders)


def _shown(
    authors: Sequence[Mailbox | None], reverse_path: ReversePath, identity: IdentitySettings | None
) -> list[Mailbox]:
    """The addresses as which the message would go out."""
    named = [author for author in authors if author is not None]
    mask = parse_mailbox(identity.from_) if identity is not None and identity.from_ is not None else None
    path = [] if reverse_path is None or (mask is not None and reverse_path in named) else [reverse_path]
    return [*([mask] if mask is not None else named), *path]
