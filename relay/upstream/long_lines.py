"""Whether a refusal is about lines that are too long (RFC 5321 §4.5.3.1.6 allows 998 octets and the CRLF)."""

from __future__ import annotations

import re

from relay.reply import Reply

_LONG = re.compile(
    r"\b(text )?lines?\b.{0,24}\b(too long|length|limit)|\b(overlong|too long|long) lines?\b|\b998\b", re.IGNORECASE
)


def speaks_of_long_lines(said: Reply) -> bool:
    """Tell whether a permanent refusal of the message may be mended by re-encoding its long lines."""
    return said.permanent and _LONG.search(said.text.replace("\n", " ")) is not None
