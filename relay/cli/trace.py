"""`relay trace`: what became of each message."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from relay.cli.invocation import invocation_of
from relay.cli.link import link_to
from relay.cli.moment import moment_before
from relay.cli.output import complain, print_json_list, print_table, say
from relay.cli.remedy import say_remedy

_LIMIT = 500


def trace(
    context: typer.Context,
    message: Annotated[str | None, typer.Argument(metavar="[ID]", help="one message")] = None,
    client: Annotated[str | None, typer.Option("--client", metavar="NAME", help="of this client")] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="ADDRESS", help="with this recipient")] = None,
    since: Annotated[str | None, typer.Option("--since", metavar="2h", help="not older than so long")] = None,
) -> None:
    """What became of each message, with times and replies; the newest first, 500 at most."""
    invocation = invocation_of(context)
    arguments = {"id": message, "client": client, "to": to, "since_at": moment_before(since), "limit": _LIMIT}
    with link_to(invocation.settings()) as link:
        found: list[dict[str, Any]] = link.ask("trace", **arguments)
    if len(found) == _LIMIT:
        complain(f"relay trace: the newest {_LIMIT} messages are shown; narrow it down with --client, --to or --since")
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


def _row(entry: dict[str, Any]) -> list[object]:
    last = entry["events"][-1] if entry["events"] else {"event": None, "reply": None}
    names = ("id", "accepted", "client", "sender", "recipients")
    return [*(entry[name] for name in names), last["event"], last["reply"]]


def _print_one(entry: dict[str, Any]) -> None:
    for name in ("id", "client", "sender", "message_id", "accepted"):
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
