"""Under which addresses a message goes out: client × upstream × From. Pure; the spool keeps what the application sent.

The rules, with examples, are in docs/senders.md. A name or an address never becomes a header field of its own: every
word that is written is checked by `header_fields.field`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from relay.address import Mailbox, ReversePath
from relay.config.client_settings import SenderPolicy
from relay.message import header_fields
from relay.message.address_list import Author, authors_in
from relay.message.display_name import name_in, words_for, words_of
from relay.message.header_fields import Field, Finder, edited
from relay.reply import Reply
from relay.transfer.disclaimer import Disclaimer
from relay.upstream.contract import Cause, Phase
from relay.upstream.failures import reply_for

_FINDER: Final = Finder("from", "sender", "reply-to", "resent-from", "resent-sender", "dkim-signature", "content-type")
_SIGNED_FIELDS: Final = re.compile(rb"(?:^|;)\s*h\s*=([^;]*)", re.IGNORECASE)
_SEALED: Final = re.compile(rb"\s*(?:multipart/(?:signed|encrypted)|application/(?:x-)?pkcs7-mime)\b", re.IGNORECASE)
_MOST_TOLD: Final = 400
_MOST_ANSWERED: Final = 50
"""Authors that a Reply-To of ours names."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A face of [identity.NAME]; None: as it is."""

    title: str
    mailbox: Mailbox | None = None
    name: str | None = None
    reply_to: Mailbox | None = None


@dataclass(frozen=True, slots=True)
class Face:
    """How mail of one client looks that goes by one upstream; made once for a configuration.

    `policy` is what becomes of an address that is not among `allowed` (keys, see `Mailbox.key`); "keep" where the
    upstream does not mind, and then `account` is None. `answerable`: replies to what was rewritten go to the author.
    """

    upstream: str
    policy: SenderPolicy = "keep"
    account: Mailbox | None = None
    allowed: frozenset[str] = frozenset()
    display_name: str = "{name}"
    reply_to: Mailbox | None = None
    identity: Identity | None = None
    answerable: bool = True
    disclaimer: Disclaimer | None = None

    @property
    def answers_to(self) -> Mailbox | None:
        """Where the settings want answers, for a message that says nothing of it."""
        of_identity = self.identity.reply_to if self.identity is not None else None
        return of_identity or self.reply_to

    def allows(self, mailbox: Mailbox | None) -> bool:
        """Return whether the upstream takes this address as it is."""
        return self.policy == "keep" or (mailbox is not None and mailbox.key in self.allowed)


@dataclass(frozen=True, slots=True)
class Rewritten:
    """The header section, the very same object where nothing changed; the reverse-path; what the trace is to say.

    `refusal`: it must not go out by this upstream. `seal` is the signature over its body that still holds, or empty.
    """

    header: bytes
    reverse_path: ReversePath
    told: str = ""
    refusal: Reply | None = None
    seal: str = ""


def rewritten(header: bytes, reverse_path: ReversePath, face: Face) -> Rewritten:
    """Return the header section as it goes out; `header` has CRLF line ends, the last one included."""
    sheet = _Sheet(header, face)
    refused = sheet.refused(reverse_path)
    if refused is not None:
        return Rewritten(header, reverse_path, refusal=refused)
    sheet.write_author()
    sheet.write_sender()
    sheet.write_resent()
    sheet.write_reply_to(reverse_path)
    envelope = sheet.envelope_for(reverse_path)
    if envelope != reverse_path and sheet.author is None:
        sheet.told.append(f"reverse-path {reverse_path or '<>'} is sent as {envelope}")
    if sheet.changes:
        header = edited(header, sheet.changes)
    seal = sheet.seal()
    return Rewritten(header, envelope, "; ".join(sheet.told)[:_MOST_TOLD], seal=seal)


@dataclass(slots=True)
class _Sheet:
    """One header section, and what is to be changed in it. `author`: From's new address, where it gets another."""

    header: bytes
    face: Face
    fields: dict[bytes, list[Field]] = field(default_factory=dict)
    authors: tuple[Author, ...] = ()
    author: Mailbox | None = None
    changes: list[tuple[int, int, bytes]] = field(default_factory=list)
    touched: set[bytes] = field(default_factory=set)
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for found in _FINDER.fields_in(self.header):
            self.fields.setdefault(found.name, []).append(found)
        self.authors = self._mailboxes(b"from")

    def _mailboxes(self, name: bytes) -> tuple[Author, ...]:
        return tuple(author for found in self.fields.get(name, ()) for author in authors_in(found.value))

    def refused(self, reverse_path: ReversePath) -> Reply | None:
        """Return why the message may not go by this upstream, where the policy is to reject it."""
        face = self.face
        if face.policy != "reject":
            return None
        named: list[Mailbox | None] = [one.mailbox for one in self.authors] or [None]
        if self._mask is not None:
            named = [self._mask]
        for name in (b"sender", b"resent-from", b"resent-sender"):
            named += [one.mailbox for one in self._mailboxes(name)]
        if reverse_path is not None:
            named.append(self._masked(reverse_path))
        wrong = [one for one in named if not face.allows(one)]
        return refusal_of(wrong[0], face) if wrong else None

    # ---- From ------------------------------------------------------------------------------------------

    @property
    def _mask(self) -> Mailbox | None:
        """The From that an identity gives."""
        return self.face.identity.mailbox if self.face.identity is not None else None

    def write_author(self) -> None:
        """Give From the identity's face, or the mailbox's address where the upstream allows no other."""
        face, identity, wanted = self.face, self.face.identity, self._mask
        addresses = [wanted] if wanted is not None else [one.mailbox for one in self.authors]
        if (
            face.policy == "rewrite"
            and face.account is not None
            and not (addresses and all(map(face.allows, addresses)))
        ):
            self._put_author(self._words(face.display_name), face.account)
        elif wanted is not None:
            self._put_author(self._words("{name}"), wanted)
        elif identity is not None and identity.name is not None and len(addresses) == 1 and addresses[0] is not None:
            self._put_from([self._named(words_for(identity.name), addresses[0])])
            self.told.append(f'identity "{identity.title}"')
        elif face.policy == "rewrite" and (
            len(self.fields.get(b"from", ())) > 1 or not all(one.proper for one in self.authors)
        ):
            self._put_from(self._list(self.authors))
            self.told.append("From is written as it should be")

    def _words(self, template: str) -> list[bytes]:
        """The display name of a From that gets another address: the identity's, or the author's by the template."""
        if self.face.identity is not None and self.face.identity.name is not None:
            return words_for(self.face.identity.name)
        phrase = self.authors[0].phrase if self.authors else ""
        if phrase and template == "{name}" and (words := words_of(phrase)):
            return words
        name = name_in(phrase)
        if not name and self.authors and self.authors[0].mailbox is not None:
            name = name_in(self.authors[0].mailbox.local_part)
        return words_for(template.format(name=name)) if name else []

    def _put_author(self, words: Sequence[bytes], mailbox: Mailbox) -> None:
        before = _names(self.authors)
        title = f' (identity "{self.face.identity.title}")' if self.face.identity is not None else ""
        self.author = mailbox
        self._put_from([self._named(words, mailbox)])
        self.told.append(f"From {before} is sent as {mailbox}{title}")

    def _put_from(self, members: Sequence[Sequence[bytes]]) -> None:
        self._put(b"from", "From", _joined(members))

    def _named(self, words: Sequence[bytes], mailbox: Mailbox) -> list[bytes]:
        return [*words, f"<{_written(mailbox)}>".encode()]

    def _list(self, authors: Sequence[Author]) -> list[list[bytes]]:
        return [self._named(words_of(one.phrase), one.mailbox) for one in authors if one.mailbox is not None]

    # ---- the other fields ------------------------------------------------------------------------------

    def write_sender(self) -> None:
        """Take out a Sender that must not be named; several authors need one (RFC 5322 §3.6.2)."""
        senders, face = self._mailboxes(b"sender"), self.face
        if self.author is not None:
            before = {one.mailbox.key for one in self.authors if one.mailbox is not None}
            spent = all(one.mailbox is None or one.mailbox.key in before for one in senders)
            if senders and (spent or face.account is not None):
                self._put(b"sender", "Sender", None)
            return
        if face.policy != "rewrite" or face.account is None:
            return
        several = len(self.authors) > 1
        right = len(senders) == 1 and face.allows(senders[0].mailbox)
        if (several and not right) or (self.fields.get(b"sender") and not right):
            self._put(b"sender", "Sender", self._named([], face.account) if several else None)
            self.told.append(f"Sender is {face.account}" if several else f"Sender {_names(senders)} is left out")

    def write_resent(self) -> None:
        """Who resent a message (RFC 5322 §3.6.6) is named as its author is."""
        face = self.face
        if face.policy != "rewrite" or face.account is None:
            return
        for name, title in ((b"resent-from", "Resent-From"), (b"resent-sender", "Resent-Sender")):
            people = self._mailboxes(name)
            if not self.fields.get(name) or (people and all(face.allows(one.mailbox) for one in people)):
                continue
            sender = name == b"resent-sender"
            words = words_of(people[0].phrase) if people else []
            self._put(name, title, None if sender else self._named(words, face.account))
            self.told.append(f"{title} is {'left out' if sender else face.account}")

    def write_reply_to(self, reverse_path: ReversePath) -> None:
        """Say where replies go, unless the message does."""
        if any(found.value.strip() for found in self.fields.get(b"reply-to", ())):
            return
        face = self.face
        given = (face.identity.reply_to if face.identity is not None else None) or face.reply_to
        if given is not None:
            members = [self._named([], given)]
        elif self.author is not None and face.answerable:
            others = [one for one in self.authors if one.mailbox is not None and one.mailbox.key != self.author.key]
            members = self._list(others[:_MOST_ANSWERED])
            if not self.authors and reverse_path is not None and reverse_path.key != self.author.key:
                members = [self._named([], reverse_path)]
        else:
            return
        if members:
            self._put(b"reply-to", "Reply-To", _joined(members))

    def _put(self, name: bytes, title: str, words: Sequence[bytes] | None) -> None:
        """Write a field in the place of the first of its name, or behind From, and take the others out."""
        written = header_fields.field(title, words) if words is not None else b""
        found = self.fields.get(name, [])
        self.touched.add(name)
        for number, one in enumerate(found):
            self.changes.append((one.start, one.end, b"" if number else written))
        if not found and written:
            authors = self.fields.get(b"from")
            at = authors[0].end if authors else len(self.header)
            self.changes.append((at, at, written))

    # ---- the envelope and the seals --------------------------------------------------------------------

    def _masked(self, reverse_path: Mailbox) -> Mailbox:
        own = {one.mailbox.key for one in self.authors if one.mailbox is not None}
        return self._mask if self._mask is not None and (reverse_path.key in own or not own) else reverse_path

    def envelope_for(self, reverse_path: ReversePath) -> ReversePath:
        """Return the reverse-path: From's new address where it was the author's, the mailbox where it must be."""
        face = self.face
        path = self._masked(reverse_path) if reverse_path is not None else None
        if face.policy != "rewrite" or face.account is None:
            return path
        # These providers refuse MAIL FROM:<> as they refuse a stranger's address.
        return path if face.allows(path) else face.account

    def seal(self) -> str:
        """Tell of signatures that no longer fit; return the name of one over the body that still holds."""
        if any(_SEALED.match(one.value) for one in self.fields.get(b"content-type", ())):
            if self.author is not None:
                self.told.append("its signature names another address than From")
            return "S/MIME or PGP"
        seals = self.fields.get(b"dkim-signature", ())
        if any(self._broken(seal) for seal in seals):
            self.told.append("the DKIM signature no longer holds")
            return ""
        return "DKIM" if seals else ""

    def _broken(self, seal: Field) -> bool:
        listed = _SIGNED_FIELDS.search(seal.value)
        names = {name.strip().lower() for name in listed[1].split(b":")} if listed else {b"from"}
        return bool(names & self.touched)


def refusal_of(mailbox: Mailbox | None, face: Face) -> Reply:
    """Return what is said of a sender that the policy rejects."""
    named = str(mailbox) if mailbox is not None else "an address that cannot be read"
    return reply_for(Cause.SENDER_NOT_ALLOWED, Phase.MAIL, face.upstream, named)


def _names(people: Sequence[Author]) -> str:
    return ", ".join(str(one.mailbox) for one in people if one.mailbox is not None) or "without an address"


def _joined(members: Sequence[Sequence[bytes]]) -> list[bytes]:
    """The words of a list: a comma behind each member but the last."""
    words: list[bytes] = []
    for number, member in enumerate(members):
        words += member
        if number < len(members) - 1:
            words[-1] += b","
    return words


def _written(mailbox: Mailbox) -> str:
    """An address as a header may have it: a domain of other letters as IDNA, where the local part needs no UTF-8."""
    if mailbox.ascii or not mailbox.local_part.isascii():
        return str(mailbox)
    try:
        return f"{mailbox.local_part}@{mailbox.domain.encode('idna').decode('ascii')}"
    except UnicodeError:
        return str(mailbox)
