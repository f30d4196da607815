"""[client.NAME] and [identity.NAME]: the applications, and the faces under which their mail goes out."""

import string
from functools import cached_property
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, StrictBool, Tag

from relay.config.listener_settings import Networks
from relay.config.mistake import mistake
from relay.config.quantities import Duration, Size
from relay.config.secret_reference import SecretPlace
from relay.config.section import Count, FilePath, Line, MailAddress, Section, Sender, one_or_several, several

SenderPolicy = Literal["rewrite", "reject", "keep"]
"""What becomes of a From that the upstream may not send as."""

Priority = Literal["high", "normal", "bulk"]
Delivery = Literal["queue", "direct"]

GIVE_UP: Final = 5 * 86400.0


class TextFile(Section):
    """A text that is read from a file."""

    file: FilePath = Field(description="the file with the text, in UTF-8; watched")


def _text_or_file(value: object) -> object:
    if isinstance(value, str | dict | TextFile):
        return value
    raise mistake("expected a text in quotes or a file", 'write "..." or { file = "..." }')


def _text_kind(value: object) -> str:
    return "text" if isinstance(value, str) else "file"


def _display_name(value: str) -> str:
    try:
        fields = [
            (field, form, change) for _, field, form, change in string.Formatter().parse(value) if field is not None
        ]
    except ValueError:
        raise mistake("the braces don't match", 'write "{name}" for the original name') from None
    if any(field != ("name", "", None) for field in fields):
        raise mistake("only {name} can be filled in", 'write it like "{name} via Clinic"')
    return value


def _upstreams(value: object) -> object:
    """The entries of the list, each a name or a tuple of names that share the load."""
    listed = tuple(_entry(entry) for entry in value) if isinstance(value, tuple) else ()
    if not listed:
        raise mistake("names no upstream", "name at least one table [upstream.NAME]")
    names = [name for entry in listed for name in ((entry,) if isinstance(entry, str) else entry)]
    if len(set(names)) < len(names):
        raise mistake("names an upstream twice", "name each upstream once")
    return listed


def _entry(entry: object) -> str | tuple[str, ...]:
    if isinstance(entry, str):
        return _upstream_name(entry)
    if not isinstance(entry, list | tuple):
        raise mistake("expected names of upstreams", 'write it like ["office365", "ses"]')
    if not entry:
        raise mistake("an inner list names no upstream", "name those that share the load, or remove it")
    if any(isinstance(name, list | tuple) for name in entry):
        raise mistake("a list within an inner list", 'nest once only: [["mailbox-a", "mailbox-b"], "ses"]')
    return tuple(_upstream_name(name) for name in entry)


def _upstream_name(name: object) -> str:
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise mistake("expected names of upstreams", 'write it like ["office365", "ses"]')
    return name


def _senders(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value:
        raise mistake("the client could send nothing", "list addresses, or leave the key out to allow any")
    return value


Text = Annotated[
    Annotated[str, Tag("text")] | Annotated[TextFile, Tag("file")],
    Discriminator(_text_kind),
    BeforeValidator(_text_or_file),
]
MailAddresses = Annotated[tuple[MailAddress, ...], BeforeValidator(several)]


def _plain(value: tuple[str, ...]) -> tuple[str, ...]:
    # An upstream that can't take such an address would refuse the message to everybody.
    odd = next((address for address in value if not address.isascii()), None)
    if odd is not None:
        raise mistake(f'"{odd:.80}" has letters beyond A to Z', "give an address in plain letters")
    return value


class ClientSettings(Section):
    """An application, known by user name and password, by its network, or by both."""

    username: Line | None = Field(default=None, description="the name with which the application logs in")
    password: SecretPlace | None = Field(default=None, description="its password")
    networks: Networks = Field(default=(), description="the networks from which it connects")
    upstream: Annotated[
        tuple[str | tuple[str, ...], ...], BeforeValidator(_upstreams), BeforeValidator(one_or_several)
    ] = Field(
        description="a name or a list of names: tried in this order while one is held or unreachable; the names of an "
        "inner list share the load",
        examples=['"office365"'],
    )
    senders: Annotated[tuple[Sender, ...], BeforeValidator(several), AfterValidator(_senders)] = Field(
        default=(), description="From and MAIL FROM that it may use; default: any"
    )
    sender_policy: SenderPolicy | None = Field(
        default=None,
        description="a From the upstream may not send as; default: rewrite on microsoft365 and gmail, else keep",
    )
    display_name: Annotated[Line, AfterValidator(_display_name)] = Field(
        default="{name}", description="the display name of a rewritten From; {name} is the original one"
    )
    reply_to: MailAddress | None = Field(
        default=None, description="Reply-To where the message has none; default: the original From, when rewritten"
    )
    failures_to: MailAddresses = Field(
        default=(), description="besides the reverse-path: who hears of what could not be sent"
    )
    delivery: Delivery = Field(
        default="queue",
        description="queue: 250 once it is safe on disk; direct: the client waits and gets the upstream's own answer",
    )
    bcc: Annotated[MailAddresses, AfterValidator(_plain)] = Field(
        default=(), description="who gets a copy of everything sent"
    )
    receipts: StrictBool = Field(default=True, description="whether a request for a delivery receipt is honoured")
    disclaimer_text: Text | None = Field(default=None, description="what is added to a plain text: a text or a file")
    disclaimer_html: Text | None = Field(default=None, description="what is added to an HTML text: a text or a file")
    messages_per_minute: Count | None = Field(
        default=None, description="the pace at which its mail leaves: what comes faster is accepted and waits"
    )
    max_waiting: Count = Field(default=10000, description="how many of its messages may wait; beyond: 450 4.7.1")
    max_recipients: Count = Field(default=500, description="recipients of one message; beyond: 452 4.5.3")
    max_message_size: Size | None = Field(
        default=None, gt=0, description="its largest message, where that is less than the listener's"
    )
    priority: Priority = Field(default="normal", description="who goes first when an upstream's limit is reached")
    deadline: Duration | None = Field(
        default=None,
        description="not delivered by then: not delivered at all, whatever the reason; default: queue.give_up",
    )

    @cached_property
    def upstreams(self) -> tuple[str, ...]:
        """All upstreams named, in the order written."""
        # In the lenient form of a table that is being checked there may be none.
        return tuple(name for entry in self.upstream or () for name in ((entry,) if isinstance(entry, str) else entry))

    @cached_property
    def shares(self) -> bool:
        """Whether several upstreams share its load."""
        return any(not isinstance(entry, str) for entry in self.upstream or ())

    @property
    def needs_login(self) -> bool:
        """Whether it must log in; one without user name is admitted by its network alone."""
        return self.username is not None


class IdentitySettings(Section):
    """By its From to an upstream and a face: one client with many locations."""

    match: Annotated[tuple[Sender, ...], BeforeValidator(several), AfterValidator(_senders)] = Field(
        description="the From addresses, or @domains, for which it stands", examples=['["north@clinic.test"]']
    )
    from_: MailAddress | None = Field(default=None, alias="from", description="the From they get; default: unchanged")
    name: Line | None = Field(default=None, description="the display name they get")
    reply_to: MailAddress | None = Field(default=None, description="Reply-To where the message has none")
    upstream: Line | None = Field(default=None, description="the upstream they go by; default: the client's")
