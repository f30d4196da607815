"""`relay doctor`: why mail would or wouldn't go, step by step; nothing is sent."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any, Final

import typer

from relay.cli.invocation import invocation_of, known_upstream
from relay.cli.link import link_to
from relay.cli.output import CommandError, print_json, say
from relay.cli.remedy import printable, say_remedy

_MARKS: Final = {"ok": ("ok", "32"), "failed": ("FAILED", "31"), "not_reached": ("not reached", "2")}
"""How a result is written, and its colour on a terminal (ECMA-48 SGR)."""


def doctor(
    context: typer.Context,
    upstream: Annotated[list[str] | None, typer.Argument(metavar="UPSTREAM", help="default: all of them")] = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="ADDRESS", help="the recipient at RCPT; default: the account itself")
    ] = None,
) -> int:
    """Find out, step by step, why mail would or wouldn't go; connects, and sends nothing."""
    from relay.address import parse_mailbox

    invocation = invocation_of(context)
    settings = invocation.settings()
    names = list(dict.fromkeys(upstream or settings.upstream))
    for name in names:
        known_upstream(settings, name)
    if to is not None and (parse_mailbox(to) is None or "@" not in to):
        raise CommandError(f"--to: {to:.80}: not an e-mail address", status=2)
    found = []
    with link_to(settings) as link:
        for name in names:
            found.append(link.ask("doctor", upstream=name, to=to))
            if not invocation.json:
                say_checkup(found[-1])
    if invocation.json:
        print_json(found[0] if len(found) == 1 else found)
    return 0 if all(each["ok"] for each in found) else 1


def say_checkup(found: dict[str, Any]) -> None:
    """Print what an examination found, step by step."""
    say(f"{found['upstream']}: {'all is well' if found['ok'] else 'something is wrong'}")
    for step in found["steps"]:
        told = ": ".join(part for part in (step["detail"], step["reply"]) if part)
        mark, colour = _MARKS[step["result"]]
        line = f"  {_coloured(f'{mark:<11}', colour)}  {step['name']:<13}  {printable(told)}"
        say(line.rstrip())
    for steps, remedy in _remedies(found["steps"]):
        say()
        say_remedy(steps, remedy)
    for note in found["notes"]:
        say()
        say(f"  {printable(note)}")
    say()


def _remedies(steps: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """Return the diagnoses of what failed, each once, with the steps that it is of."""
    found: dict[str, tuple[list[str], dict[str, Any]]] = {}
    for step in steps:
        if step["result"] == "failed":
            found.setdefault(step["title"], ([], step))[0].append(step["name"])
    return [(", ".join(names), step) for names, step in found.values()]


def _coloured(text: str, colour: str) -> str:
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{colour}m{text}\x1b[0m"
