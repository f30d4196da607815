"""`relay check`: everything that is wrong with the configuration, at once, without connecting anywhere."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from relay.cli.invocation import invocation_of
from relay.cli.output import CommandError, complain, print_json, say
from relay.config.problems import Problem


def check(
    context: typer.Context,
    file: Annotated[str | None, typer.Argument(metavar="[FILE]", help="instead of --config FILE")] = None,
    form: Annotated[bool, typer.Option("--form", help="the form only, not what it refers to")] = False,
) -> int:
    """Read the configuration, and the variables, files and sealed names that it refers to."""
    from relay.config.load import find
    from relay.config.whole import check as report_on

    invocation = invocation_of(context)
    if file is not None and invocation.config not in {None, file}:
        raise CommandError(f"relay check: which, {file:.80} or --config {invocation.config}? name one", status=2)
    path = find(file or invocation.config, os.environ)
    report = report_on(path, os.environ, form_only=form)
    if invocation.json:
        print_json(
            {
                "ok": report.ok,
                "problems": [_shape(problem) for problem in report.problems],
                "warnings": [_shape(warning) for warning in report.warnings],
            }
        )
    else:
        complain(*(f"{warning} (warning)" for warning in report.warnings), *map(str, report.problems))
        if report.ok:
            say(f"{path if path.exists() else 'SMTP_* variables'}: in order")
    return 0 if report.ok else 2


def _shape(problem: Problem) -> dict[str, object]:
    return {"key": problem.key, "line": problem.line, "text": problem.text, "file": problem.file}
