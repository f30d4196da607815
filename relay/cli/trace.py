"""`relay trace`: what became of each message."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from relay.cli.invocation import doubt_names, invocation_of
from relay.cli.link import Link, link_to
from relay.cli.moment import moment_before
from relay.cli.output import CommandError, complain, print_json_list, print_table, say
from relay.cli.record import print_record
from relay.cli.remedy import say_remedy

_LIMIT = 500


def trace(
    context: typer.Context,
    message: Annotated[str | None, typer.Argument(metavar="[ID]", help="one message")] = None,
    client: Annotated[str | None, typer.Option("--client", metavar="NAME", help="of this client")] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="ADDRESS", help="with this recipient")] = None,
    since: Annotated[str | None, typer.Option("--since", metavar="2h", help="not older than so long")] = None,
    every: Annotated[bool, typer.Option("--all", help="more than the newest 500, too")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="all, as CSV: a row for each recipient of each message")] = False,
) -> None:
    """What became of each message, with times and replies; the newest first, 500 unless --all."""
    invocation = invocation_of(context)
    if csv and invocation.json:
        raise CommandError("--csv and --json: one of the two", status=2)
    arguments = {"id": message, "client": client, "to": to, "since_at": moment_before(since), "limit": _LIMIT}
    settings = invocation.settings()
    doubt_names(settings, client)
    with link_to(settings) as link:
        if csv or (every and invocation.json):
            entries = _all(link, arguments)
            if csv:
                print_record(entries)
            else:
                print_json_list(entries)
            return
        found: list[dict[str, Any]] = list(_all(link, arguments)) if every else link.ask("trace", **arguments)
    if not every and len(found) == _LIMIT:
        complain(f"relay trace: the newest {_LIMIT} messages are shown; narrow it down, or use --all")
    if invocation.json:
        print_json_list(found)
        return
    if message is not None:
        _print_one(found[0])
        return
    print_table(
        ("ID", "ACCEPTED", "CLIENT", "SENDER", "RECIPIENTS", "LAST EVENT", "REPLY"),
        (_row(entry) for entry in found),
        empty="No message is on record.",
    )


def _all(link: Link, arguments: dict[str, Any]) -> Iterator[dict[str, Any]]:
    before: str | None = None
    while page := link.ask("trace", **arguments, before=before):
        yield from page
        if len(page) < _LIMIT:
            return
        before = page[-1]["id"]


def _row(entry: dict[str, Any]) -> list[object]:
    last = entry["events"][-1] if entry["events"] else {"event": None, "reply": None}
    names = ("id", "accepted", "client", "sender", "recipients")
    return [*(entry[name] for name in names), last["event"], last["reply"]]


def _print_one(entry: dict[str, Any]) -> None:
    for name in ("id", "client", "sender", "from", "message_id", "accepted"):
        say(f"{name.replace('_', ' ')}: {entry[name]}")
    for recipient, state in entry["states"].items():
        say(f"{recipient}: {state}")
    names = ("time", "event", "recipient", "upstream", "reply")
    print_table(
        [name.upper() for name in names],
        ([event[name] for name in names] for event in entry["events"]),
        empty="Nothing has happened to it yet.",
        whole=True,
    )
    for reason in entry["reasons"]:
        say_remedy(", ".join(reason["recipients"]), reason)
