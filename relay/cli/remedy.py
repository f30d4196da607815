"""A diagnosis as people read it."""

from __future__ import annotations

from typing import Any

from relay.cli.output import say


def say_remedy(about: str, diagnosis: dict[str, Any]) -> None:
    """Print title, cause, who must act, each step on a line of its own to be copied, and the vendor's page."""
    title = _printable(diagnosis["title"])
    say(f"{about}: {title}" if about else title)
    say(f"  Cause: {_printable(diagnosis['cause'])}")
    say(f"  Who must act: {diagnosis['actor']}")
    say("  What to do:")
    for number, action in enumerate(diagnosis["actions"], 1):
        say(f"    {number}. {_printable(action)}")
    if diagnosis["link"]:
        say(f"  See: {diagnosis['link']}")


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)
