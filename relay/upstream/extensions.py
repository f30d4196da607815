"""What a server offers in its reply to EHLO (RFC 5321 §4.1.1.1)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from aiosmtplib.esmtp import parse_esmtp_extensions

from relay.reply import Reply

_MASKED: Final = re.compile(r"X{3,}[A-Z]?")


@dataclass(frozen=True, slots=True)
class Extensions:
    """`keywords` in upper case; `mechanisms` of AUTH in upper case; `size_limit` in octets, None without one."""

    keywords: frozenset[str] = frozenset()
    mechanisms: tuple[str, ...] = ()
    size_limit: int | None = None

    def __contains__(self, keyword: str) -> bool:
        return keyword in self.keywords

    @property
    def masked(self) -> bool:
        """True where a firewall that looks into SMTP has overwritten keywords it does not know (XXXXXXXA)."""
        return any(_MASKED.fullmatch(keyword) for keyword in self.keywords)

    def up_to(self, largest: int | None) -> Extensions:
        """Return the same for messages of at most `largest` octets; None: as many as the server takes."""
        if largest is None or (self.size_limit is not None and self.size_limit <= largest):
            return self
        return Extensions(self.keywords, self.mechanisms, largest)

    @classmethod
    def of(cls, said: Reply) -> Extensions:
        """Read the reply to EHLO; the old `AUTH=LOGIN` form is understood too."""
        known, mechanisms = parse_esmtp_extensions(said.text)
        limit = known.get("size", "").strip()
        # RFC 1870 §4: SIZE alone and SIZE 0 tell of no limit.
        size_limit = int(limit) if limit.isascii() and limit.isdigit() and len(limit) <= 18 and int(limit) else None
        distinct = tuple(dict.fromkeys(mechanism.upper() for mechanism in mechanisms))
        return cls(frozenset(keyword.upper() for keyword in known), distinct, size_limit)
