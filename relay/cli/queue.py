"""`relay queue`: what is not yet sent, and what an operator can do about it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from relay.cli.invocation import Invocation, doubt_names, invocation_of, known_upstream
from relay.cli.link import Link, link_to
from relay.cli.output import CommandError, print_json, print_json_list, print_table, say, size_text

group = typer.Typer(no_args_is_help=True, help="What is not yet sent.")

MessageId = Annotated[str | None, typer.Argument(metavar="[ID]", help="a message's ID")]
All = Annotated[bool, typer.Option("--all", help="every message")]
Client = Annotated[str | None, typer.Option("--client", metavar="NAME", help="the messages of this client")]
OfUpstream = Annotated[str | None, typer.Option("--upstream", metavar="NAME", help="the messages for this upstream")]
Sender = Annotated[
    str | None, typer.Option("--sender", metavar="ADDRESS", help="what is held because this From may not be used")
]
Gate = Annotated[str | None, typer.Option("--upstream", metavar="NAME", help="this upstream itself, not its messages")]


@group.command("list")
def list_(context: typer.Context, client: Client = None, upstream: OfUpstream = None) -> None:
    """List the messages with a recipient that is not yet sent to, oldest first."""
    invocation = invocation_of(context)
    settings = invocation.settings()
    doubt_names(settings, client, upstream)
    with link_to(settings) as link:
        entries = _entries(link, {"client": client, "upstream": upstream})
        if invocation.json:
            print_json_list(entries)
            return
        print_table(
            ("ID", "CLIENT", "UPSTREAM", "STATE", "SENDER", "RECIPIENTS", "SIZE", "ATTEMPTS", "NEXT ATTEMPT", "REPLY"),
            (_row(entry) for entry in entries),
            empty="Nothing waits.",
        )


def _entries(link: Link, selection: dict[str, Any]) -> Iterator[dict[str, Any]]:
    after: str | None = None
    while page := link.ask("queue.list", **selection, after=after):
        yield from page
        after = page[-1]["id"]


def _row(entry: dict[str, Any]) -> list[object]:
    names = ("id", "client", "upstream", "state", "sender", "recipients")
    return [
        *(entry[name] for name in names),
        size_text(entry["size"]),
        entry["attempts"],
        entry["next_attempt"],
        entry["reply"],
    ]


@group.command()
def show(context: typer.Context, message: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Show one waiting message with each of its recipients."""
    invocation = invocation_of(context)
    with link_to(invocation.settings()) as link:
        found = link.ask("queue.show", id=message)
    if invocation.json:
        print_json(found)
        return
    for name in ("id", "client", "sender", "header_from", "message_id", "accepted", "priority"):
        say(f"{name.replace('_', ' ')}: {found[name]}")
    say(f"size: {size_text(found['size'])}")
    names = ("recipient", "state", "upstream", "attempts", "next_attempt", "give_up", "reply")
    print_table(
        [name.replace("_", " ").upper() for name in names],
        ([row[name] for name in names] for row in found["recipient_details"]),
        empty="No recipient waits.",
        whole=True,
    )


@group.command()
def hold(
    context: typer.Context, message: MessageId = None, every: All = False, client: Client = None, upstream: Gate = None
) -> None:
    """Keep messages from being sent until they are released; with --upstream, the upstream itself."""
    _change_or_gate(invocation_of(context), "hold", message, every, client, upstream)


@group.command()
def release(
    context: typer.Context,
    message: MessageId = None,
    every: All = False,
    client: Client = None,
    upstream: Gate = None,
    sender: Sender = None,
) -> None:
    """Let held messages go on; with --upstream, open the upstream itself."""
    invocation = invocation_of(context)
    if sender is None:
        _change_or_gate(invocation, "release", message, every, client, upstream)
        return
    if message or every or client or upstream:
        raise CommandError("--sender: stands alone; leave all else out", status=2)
    with link_to(invocation.settings()) as link:
        _print_changed(invocation, link.ask("queue.release_sender", sender=sender))


@group.command()
def retry(
    context: typer.Context,
    message: MessageId = None,
    every: All = False,
    client: Client = None,
    upstream: OfUpstream = None,
) -> None:
    """Try messages now instead of at their next attempt."""
    invocation = invocation_of(context)
    selection = _selection(message, every, client, upstream)
    settings = invocation.settings()
    doubt_names(settings, client, upstream)
    with link_to(settings) as link:
        if upstream is not None:
            _print_changed(invocation, link.ask("upstream.retry", **selection))
            return
        changed = link.ask("queue.change", change="retry", **selection)
        _print_changed(invocation, changed)
        if message is not None and not any(changed.values()) and not invocation.json:
            say(f"Nothing of it waits for its next attempt; what to type instead: relay explain {message}")


@group.command()
def remove(
    context: typer.Context,
    message: MessageId = None,
    every: All = False,
    client: Client = None,
    upstream: OfUpstream = None,
) -> None:
    """Remove messages for good: they are not sent, and nobody is told."""
    invocation = invocation_of(context)
    selection = _selection(message, every, client, upstream)
    settings = invocation.settings()
    doubt_names(settings, client, upstream)
    with link_to(settings) as link:
        _print_changed(invocation, link.ask("queue.change", change="remove", **selection))


@group.command()
def reroute(
    context: typer.Context,
    words: Annotated[list[str], typer.Argument(metavar="[ID] UPSTREAM", help="a message's ID, and where it is to go")],
    every: All = False,
    client: Client = None,
    upstream: OfUpstream = None,
) -> None:
    """Give messages to another upstream."""
    if len(words) > 2:
        raise CommandError(f"{words[2]}: one word too many; write: relay queue reroute ID UPSTREAM", status=2)
    invocation = invocation_of(context)
    selection = _selection(words[0] if len(words) == 2 else None, every, client, upstream)
    settings = invocation.settings()
    target = known_upstream(settings, words[-1])
    doubt_names(settings, client, upstream)
    with link_to(settings) as link:
        _print_changed(invocation, link.ask("queue.reroute", to=target, **selection))


def _change_or_gate(
    invocation: Invocation, change: str, message: str | None, every: bool, client: str | None, upstream: str | None
) -> None:
    selection = _selection(message, every, client, upstream)
    if upstream is not None and (message or client):
        raise CommandError("--upstream: means the upstream itself; leave the ID and --client out", status=2)
    settings = invocation.settings()
    if upstream is not None:
        known_upstream(settings, upstream)
    doubt_names(settings, client, upstream)
    with link_to(settings) as link:
        if upstream is not None:
            _print_changed(invocation, link.ask(f"upstream.{change}", upstream=upstream))
        else:
            _print_changed(invocation, link.ask("queue.change", change=change, **selection))


def _selection(message: str | None, every: bool, client: str | None, upstream: str | None) -> dict[str, str | None]:
    if not (message or every or client or upstream):
        raise CommandError("which messages? give an ID, --client NAME, --upstream NAME or --all", status=2)
    if every and (message or client or upstream):
        raise CommandError("--all: stands alone; leave the ID, --client and --upstream out, or leave it out", status=2)
    return {"id": message, "client": client, "upstream": upstream}


def _print_changed(invocation: Invocation, changed: dict[str, int]) -> None:
    if invocation.json:
        print_json(changed)
        return
    for what, count in changed.items():
        say(f"{count} {what if count != 1 else what.removesuffix('s')}")
