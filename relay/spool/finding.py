"""What an examination of the spool finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

EXAMPLES: Final = 20
"""IDs named of those affected."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found. `damage` False: worth knowing, nothing is wrong with it.

    `kind` is a fixed word. `messages` says how many are affected, `ids` names the first of them, `clients` counts them
    by client as far as that is known. `actions` are lines to type.
    """

    kind: str
    damage: bool
    what: str
    meaning: str
    actions: tuple[str, ...] = ()
    messages: int = 0
    ids: tuple[str, ...] = ()
    clients: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Holdings:
    """What the spool holds: rows by table, waiting recipients by state."""

    revision: str | None
    rows: Mapping[str, int]
    waiting: Mapping[str, int]
