"""The answers of a command line: no person is asked, and all that is missing or wrong is said at once."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from relay.cli.output import CommandError
from relay.cli.setup.questions import Question
from relay.config.problems import ConfigError
from relay.config.secrets import Secret, file_secret

STANDARD_INPUT = "-"


class FromFlags:
    """Answers with what is usual or stands there already; `problems` are the questions that are left."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def text(self, question: Question, choices: Mapping[str, str], default: str) -> str:
        """Return the default."""
        fault = question.fault_in(default, choices)
        if fault is not None and not self._told(question):
            self.problems.append(f"{question.option}: {question.ask}? {fault if default else 'add it'}")
        return default

    def secret(self, question: Question, *, keep: bool) -> Secret | None:
        """Keep the present one."""
        if not keep and not self._told(question):
            env = question.option.removesuffix("-file") + "-env NAME"
            self.problems.append(
                f"{question.option}: {question.ask}? add {question.option} FILE (- is standard input) or {env}"
            )
        return None

    def refused(self, question: Question, fault: str) -> None:
        """Remember what is wrong with a flag."""
        self.problems.append(f"{question.option}: {fault}")

    def _told(self, question: Question) -> bool:
        return any(problem.startswith(f"{question.option}: ") for problem in self.problems)


def secrets_from(
    files: Mapping[str, str | None], variables: Mapping[str, str | None], environ: Mapping[str, str]
) -> dict[str, Secret]:
    """Read the secrets that flags name, by flag: from files, from standard input (a line each, in order), or variables.

    Raises CommandError; no secret is quoted.
    """
    found: dict[str, Secret] = {}
    lines = _standard_input()
    for flag, place in files.items():
        variable = variables.get(flag)
        option = "--" + flag.replace("_", "-")
        if place is not None and variable is not None:
            raise CommandError(f"{option}-file and {option}-env: which of the two? leave one out", status=2)
        if variable is not None:
            if not environ.get(variable):
                raise CommandError(f"{option}-env: the variable {variable:.60} is not set", status=2)
            found[flag] = Secret(environ[variable])
        elif place == STANDARD_INPUT:
            found[flag] = Secret(next(lines, ""))
        elif place is not None:
            try:
                found[flag] = file_secret(Path(place))
            except ConfigError as error:
                raise CommandError(f"{option}-file: {error}", status=2) from error
    return found


def _standard_input() -> Iterator[str]:
    for octets in sys.stdin.buffer:
        try:
            yield octets.decode("utf-8").removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError as error:
            raise CommandError("standard input is not UTF-8; nothing was changed") from error
