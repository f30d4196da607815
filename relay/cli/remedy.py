"""A diagnosis as people read it."""

from __future__ import annotations

from typing import Any

from relay.cli.output import say
from relay.diagnosis.diagnosis import lines_of


def say_remedy(about: str, diagnosis: dict[str, Any]) -> None:
    """Print title, cause, who must act, each step on a line of its own to be copied, and the vendor's page."""
    title = printable(diagnosis["title"])
    say(f"{about}: {title}" if about else title)
    for line in lines_of(diagnosis):
        say(f"  {printable(line)}")


def printable(text: str) -> str:
    """Return the text on one line, without what a terminal would act on."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
