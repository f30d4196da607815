"""The name of a table of relay.toml as part of a file's or a secret's name."""

from __future__ import annotations

import re
from typing import Final

_UNUSUAL: Final = re.compile(r"[^A-Za-z0-9._-]+")


def plain_name(name: str) -> str:
    """Return it without what such a name may not have; never empty, a dot in front, nor longer than a name can be."""
    return _UNUSUAL.sub("-", name).strip("._-")[:64] or "relay"
