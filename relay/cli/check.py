"""`relay check`: everything that is wrong with the configuration, at once, without connecting anywhere."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from relay.cli.invocation import invocation_of
from relay.cli.output import complain, print_json, say
from relay.config.problems import Problem


def check(
    context: typer.Context,
    form: Annotated[bool, typer.Option("--form", help="the form only, not what it refers to")] = False,
) -> int:
    """Read the configuration, and the variables, files and sealed names that it refers to."""
    invocation = invocation_of(context)
    loaded = invocation.load()
    problems = list(loaded.problems)
    if not form and loaded.document is not None:
        from relay.config.whole import lacking

        problems += lacking(loaded, os.environ)
    if invocation.json:
        print_json(
            {
                "ok": not problems,
                "problems": [_shape(problem) for problem in problems],
                "warnings": [_shape(warning) for warning in loaded.warnings],
            }
        )
    else:
        complain(*(f"{warning} (warning)" for warning in loaded.warnings), *(str(problem) for problem in problems))
        if not problems:
            say(f"{loaded.path}: in order")
    return 2 if problems else 0


def _shape(problem: Problem) -> dict[str, object]:
    return {"key": problem.key, "line": problem.line, "text": problem.text, "file": problem.file}
