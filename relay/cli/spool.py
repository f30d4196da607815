"""`relay spool`: the spool itself, apart from the mail in it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relay.cli.invocation import invocation_of
from relay.cli.output import CommandError, print_json, say
from relay.config.settings import Settings
from relay.spool.finding import Finding, Holdings
from relay.state_dir import as_owner, holder_of

if TYPE_CHECKING:
    from relay.spool.place import Place
    from relay.spool.salvage import Lost

group = typer.Typer(no_args_is_help=True, help="The spool itself, apart from the mail in it.")


@group.command()
def check(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="a copy or backup to look at, instead of the spool in use")
    ] = None,
) -> int:
    """Look for damage in the file, the tables and the messages. Changes nothing; relay may run meanwhile."""
    invocation = invocation_of(context)
    settings = invocation.settings()
    started = time.monotonic()
    place = _place(settings, file)
    findings: list[Finding] = []
    holdings: Holdings | None = None
    with as_owner(place.path.parent if place.path is not None else settings.state_dir):
        for found in _examined(settings, place):
            if isinstance(found, Holdings):
                holdings = found
            else:
                findings.append(found)
            if not invocation.json:
                say(_holdings_text(place, found) if isinstance(found, Holdings) else _finding_text(found))
    damaged = sum(finding.damage for finding in findings)
    if invocation.json:
        print_json(_shape(place, findings, holdings, time.monotonic() - started))
    else:
        say(f"{place}: {f'{damaged} wrong' if damaged else 'in order'}")
    return 1 if damaged else 0


@group.command()
def salvage(
    context: typer.Context,
    target: Annotated[Path, typer.Argument(metavar="NEW_FILE", help="where the new spool is written")],
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="instead of the spool in use")] = None,
) -> int:
    """Write a new spool with every message of a damaged one that can be read whole; name the others."""
    from relay.spool.salvage import salvage as salvaged

    invocation = invocation_of(context)
    settings = invocation.settings()
    place = _place(settings, file)
    new = target.absolute()
    with as_owner(new.parent):
        lost = list(salvaged(place, new))
    if invocation.json:
        print_json({"ok": not lost, "file": str(new), "lost": [_lost_shape(one) for one in lost]})
        return 1 if lost else 0
    for one in lost:
        say(f"LOST {one.id} of {one.client or '?'}: from {one.sender or '?'} to {', '.join(one.recipients) or '?'}")
    say(f"{new}: written; {f'{len(lost)} messages are lost, have them sent again' if lost else 'nothing is lost'}")
    return 1 if lost else 0


def _lost_shape(one: Lost) -> dict[str, Any]:
    return {"id": one.id, "client": one.client, "sender": one.sender, "recipients": list(one.recipients)}


def _place(settings: Settings, file: Path | None) -> Place:
    from relay.config.seal import SealedStore
    from relay.config.secrets import Secrets
    from relay.spool.place import Place, place_of

    holder = holder_of(settings.state_dir)
    if file is not None:
        path = file.absolute()
        if not path.exists():
            raise CommandError(f"{path}: no such file; name a copy or a backup", status=2)
        used = place_of(settings.queue.url, settings.state_dir, None, holder).path
        return Place(f"sqlite:///{path}", path, None, holder if path == used else None)
    secrets = Secrets(os.environ, SealedStore(settings.state_dir, os.environ))
    password = secrets.resolve(settings.queue.password) if settings.queue.password else None
    return place_of(settings.queue.url, settings.state_dir, password, holder)


def _examined(settings: Settings, place: Place) -> Iterator[Finding | Holdings]:
    from relay.spool.examination import examine

    return examine(place, settings.upstream, settings.queue.reserve)


def _holdings_text(place: Place, found: Holdings) -> str:
    waiting = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in found.waiting.items()) or "none"
    rows = found.rows
    return (
        f"{place}: revision {found.revision}, {rows['messages']} messages, {rows['recipients']} recipients "
        f"(waiting: {waiting})"
    )


def _finding_text(found: Finding) -> str:
    about = f"{found.messages}: " if found.messages else ""
    lines = [f"{'DAMAGE' if found.damage else 'note'} {found.kind}: {about}{found.what}"]
    if found.ids:
        more = f" and {found.messages - len(found.ids)} more" if found.messages > len(found.ids) else ""
        lines.append(f"  which: {' '.join(found.ids)}{more}")
    if found.clients:
        lines.append("  of: " + ", ".join(f"{client} {count}" for client, count in found.clients.items()))
    lines.append(f"  means: {found.meaning}")
    lines += [f"  now: {action}" for action in found.actions]
    return "\n".join(lines)


def _shape(place: Place, findings: list[Finding], holdings: Holdings | None, seconds: float) -> dict[str, Any]:
    return {
        "ok": not any(finding.damage for finding in findings),
        "spool": str(place),
        "running": place.holder,
        "revision": holdings.revision if holdings else None,
        "rows": dict(holdings.rows) if holdings else None,
        "waiting": dict(holdings.waiting) if holdings else None,
        "findings": [
            {
                "kind": finding.kind,
                "severity": "damage" if finding.damage else "note",
                "what": finding.what,
                "meaning": finding.meaning,
                "actions": list(finding.actions),
                "messages": finding.messages,
                "ids": list(finding.ids),
                "clients": dict(finding.clients),
            }
            for finding in findings
        ],
        "seconds": round(seconds, 3),
    }
