"""Questions put to a person at a terminal: a wrong answer is explained at once, and asked again."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

from relay.cli.setup.questions import Question
from relay.config.problems import ConfigError
from relay.config.secrets import Secret, file_secret

KEEP: Final = "(Enter keeps the one that is there)"


def at_terminal() -> bool:
    """Return whether there is somebody to ask."""
    return sys.stdin.isatty() and sys.stdout.isatty()


class Terminal:
    """Asks on the standard streams. Whatever was typed or comes from a file is shown as it is, never as markup.

    KeyboardInterrupt and EOFError pass through: the person has gone away.
    """

    def __init__(self) -> None:
        self._console = Console(highlight=False, markup=False, soft_wrap=True)

    def say(self, text: str = "", style: str = "") -> None:
        """Print a line."""
        self._console.print(Text(text, style=style))

    def text(self, question: Question, choices: Mapping[str, str], default: str) -> str:
        """Return an answer that will do; empty where an optional question was passed over."""
        self._introduce(question, removable=bool(default) and question.optional)
        for number, (word, meaning) in enumerate(choices.items(), 1):
            self.say(f"  {number}. {word:<{max(map(len, choices))}}  {meaning}")
        while True:
            typed = self._input(question.ask + (f" [{default}]" if default else "")).strip()
            answer = _chosen(typed, choices) or default
            fault = question.fault_in("" if typed == "-" and question.optional else answer, choices)
            if fault is None:
                return "" if typed == "-" and question.optional else answer
            self.say(f"  {fault}", "red")

    def secret(self, question: Question, *, keep: bool) -> Secret | None:
        """Return a secret, which is not shown; None where the present one is kept."""
        self._introduce(question, removable=False)
        hint = f" {KEEP}" if keep else ""
        while True:
            typed = self._input(f"{question.ask}{hint}", hidden=question.kind == "secret")
            if not typed and keep:
                return None
            try:
                secret = file_secret(Path(typed).expanduser()) if question.kind == "file" and typed else Secret(typed)
                fault = question.fault_in(secret, {})
            except ConfigError as error:
                fault = str(error)
            if fault is None and question.kind == "secret" and question.of == "client":
                again = self._input("Once more", hidden=True)
                fault = None if again == typed else "the two differ; type it again"
            if fault is None:
                return secret
            self.say(f"  {fault}", "red")

    def refused(self, question: Question, fault: str) -> None:
        """Say what is wrong with a flag; the question follows."""
        self.say(f"{question.option}: {fault}", "red")

    def agreed(self, text: str, *, default: bool) -> bool:
        """Return whether the answer was yes."""
        while True:
            typed = self._input(f"{text} [{'Y/n' if default else 'y/N'}]").strip().casefold()
            if typed in {"", "y", "yes", "n", "no"}:
                return typed.startswith("y") if typed else default
            self.say("  type y or n", "red")

    def _introduce(self, question: Question, *, removable: bool) -> None:
        self.say()
        if question.help:
            self.say(question.help, "dim")
        if removable:
            self.say("Enter keeps what stands in brackets; - takes it away.", "dim")

    def _input(self, prompt: str, *, hidden: bool = False) -> str:
        try:
            return self._console.input(Text(f"{prompt}: ", style="bold"), password=hidden)
        except UnicodeDecodeError:
            return "\0"


def _chosen(typed: str, choices: Mapping[str, str]) -> str:
    """Return the word that was meant: itself, its number, or a beginning that no other has."""
    if typed in choices or not typed:
        return typed
    if typed.isascii() and typed.isdigit() and 1 <= int(typed[:3]) <= len(choices):
        return list(choices)[int(typed[:3]) - 1]
    begun = [word for word in choices if word.startswith(typed.casefold())]
    return begun[0] if len(begun) == 1 else typed
