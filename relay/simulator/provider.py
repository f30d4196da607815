"""One provider's SMTP service as data: what it is called, offers, allows, and says; and the face of its rules."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import resources
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Provider:
    """`ehlo` and `ehlo_in_tls` are the whole replies; `texts` every other one by name; `size` octets a message."""

    name: str
    host: str
    mechanisms: tuple[str, ...]
    size: int
    recipients_per_message: int
    ehlo: str
    ehlo_in_tls: str
    texts: Mapping[str, str]

    def without(self, keyword: str) -> Provider:
        """Return the same provider that doesn't offer `keyword`."""
        return replace(self, ehlo=_without(self.ehlo, keyword), ehlo_in_tls=_without(self.ehlo_in_tls, keyword))

    def offered(self, *, tls: bool) -> frozenset[str]:
        """Return the keywords of the EHLO reply."""
        lines = (self.ehlo_in_tls if tls else self.ehlo).splitlines()[1:]
        return frozenset(line[4:].split(" ")[0] for line in lines)


@dataclass(frozen=True, slots=True)
class Allowance:
    """How much one login may do: connections at once, messages within `period` seconds, recipients in 24 hours.

    0 is no limit. `delays`: what is above the messages' limit waits instead of being refused. `connections` and
    `messages` are said no to at `stage`, "mail" or "final"; `too_many` names the reply to a message above the limit.
    """

    connections: int = 0
    messages: int = 0
    period: float = 60.0
    recipients_per_day: int = 0
    delays: bool = False
    stage: str = "final"
    too_many: str = "rate"


class Rules(Protocol):
    """Who may do what with one provider. Every method returns the name of the reply that refuses, or None."""

    @property
    def allowance(self) -> Allowance:
        """The limits of each login."""
        ...

    @property
    def bearer_challenge(self) -> Mapping[str, str]:
        """What the 334 after a refused token says, as JSON."""
        ...

    def refuse_password(self, mechanism: str, login: str, password: str) -> str | None:
        """Judge a password."""
        ...

    def refuse_token(self, login: str, token: str) -> str | None:
        """Judge an access token."""
        ...

    def refuse_reverse_path(self, login: str, reverse_path: str) -> str | None:
        """Judge MAIL's address; empty is `<>`."""
        ...

    def refuse_message(self, reverse_path: str, login: str, authors: tuple[str, ...]) -> str | None:
        """Judge a whole message by the addresses in its From."""
        ...


@functools.cache
def provider_named(name: str) -> Provider:
    """Read a provider's data file."""
    common = _data("texts")
    own = _data(name)
    return Provider(
        name=name,
        host=own["host"],
        mechanisms=tuple(own["mechanisms"]),
        size=own["size"],
        recipients_per_message=own["recipients_per_message"],
        ehlo=own["ehlo"].strip(),
        ehlo_in_tls=own["ehlo_in_tls"].strip(),
        texts=common | own["texts"],
    )


def wire(text: str, fields: Mapping[str, object]) -> bytes:
    """Return a reply as sent: fields filled in, CRLF, a hyphen after the code of each line but the last."""
    lines = (text.format_map(fields) if "{" in text else text).split("\n")
    last = len(lines) - 1
    said = (f"{line[:3]}{' ' if at == last else '-'}{line[4:]}\r\n" for at, line in enumerate(lines))
    return "".join(said).encode()


def _data(name: str) -> dict[str, Any]:
    text = resources.files("relay.simulator").joinpath(f"{name}.toml").read_text("utf-8")
    return tomllib.loads(text)


def _without(ehlo: str, keyword: str) -> str:
    lines = [line for line in ehlo.splitlines() if line[4:].split(" ")[0] != keyword]
    return "\n".join(lines)
