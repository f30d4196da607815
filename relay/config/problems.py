"""What is said of a configuration that is wrong, or has no effect."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

KeyPath: TypeAlias = tuple[str | int, ...]
"""From the top of the file to a key: `("client", "careright", "upstream", 0)`."""

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


class ConfigError(Exception):
    """What a secret, the sealed store or a file of the configuration lacks; the text names cause and cure, no secret.

    `passing`: a service could not be reached; it may be there later, and is no reason not to start.
    """

    def __init__(self, text: str, *, passing: bool = False) -> None:
        super().__init__(text)
        self.passing = passing


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where (no line: not in the file), which key, what, and what to do."""

    file: str
    line: int | None
    key: str
    text: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return printable(f"{place}: {self.key}: {self.text}" if self.key else f"{place}: {self.text}")


@dataclass(frozen=True, slots=True)
class Fault:
    """A problem before its line is known."""

    path: KeyPath
    text: str


def printable(text: str) -> str:
    """The text on one line: what a terminal would act on, or could not show, is written as an escape."""
    if text.isprintable():
        return text
    shown = (each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
    return "".join(shown)


def key_text(path: Sequence[str | int]) -> str:
    """A key as one would write it in TOML: `client.careright.upstream`; places in a list are left out."""
    parts = [part for part in path if isinstance(part, str)]
    return ".".join(part if _BARE.fullmatch(part) else f'"{part}"' for part in parts)
