"""`relay capture`: the mail that upstreams of type `capture` have kept instead of sending it."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relay.cli.invocation import Invocation, invocation_of
from relay.cli.mail_files import Form, export_eml, export_mbox
from relay.cli.moment import moment_before
from relay.cli.output import CommandError, print_json, print_json_list, print_table, say, size_text
from relay.state_dir import as_owner

if TYPE_CHECKING:
    from relay.upstream.captured import Captured

group = typer.Typer(no_args_is_help=True, help="The mail that was kept instead of sent.")

OfUpstream = Annotated[str | None, typer.Option("--upstream", metavar="NAME", help="kept by this upstream")]
To = Annotated[str | None, typer.Option("--to", metavar="ADDRESS", help="with this recipient")]
Since = Annotated[str | None, typer.Option("--since", metavar="2h", help="not older than so long")]


@group.command("list")
def list_(context: typer.Context, upstream: OfUpstream = None, to: To = None, since: Since = None) -> None:
    """List what is kept, oldest first."""
    invocation = invocation_of(context)
    found = _kept(invocation, upstream, to, since)
    if invocation.json:
        print_json_list(map(_shape, found))
        return
    print_table(
        ("ID", "KEPT", "UPSTREAM", "SENDER", "RECIPIENTS", "SIZE"),
        (
            (
                one.id or one.name,
                _shape(one)["kept"],
                one.upstream,
                one.reverse_path,
                one.recipients,
                size_text(one.size),
            )
            for one in found
        ),
        empty="Nothing is kept.",
    )


@group.command()
def show(
    context: typer.Context,
    message: Annotated[str, typer.Argument(metavar="ID", help="as `list` shows it")],
    upstream: OfUpstream = None,
) -> None:
    """Show one message as the recipient would have got it, below its envelope."""
    invocation = invocation_of(context)
    found = [one for one in _kept(invocation, upstream) if message in {one.id, one.name}]
    if not found:
        raise CommandError(f"{message:.60}: not kept here, or not any more; see: relay capture list")
    if invocation.json:
        print_json([_shape(one) | {"content": _content(invocation, one).decode("utf-8", "replace")} for one in found])
        return
    for one in found:
        say(f"{one.upstream}: from <{one.reverse_path}> to {', '.join(one.recipients) or 'nobody'}; {one.path}")
        say()
        _print_message(_content(invocation, one))


@group.command()
def export(
    context: typer.Context,
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="a folder for eml, a new file for mbox")],
    form: Annotated[Form | None, typer.Option("--form", help="default: mbox where TARGET ends in it")] = None,
    upstream: OfUpstream = None,
    to: To = None,
    since: Since = None,
) -> None:
    """Write copies that mail programs open: a file each (eml), or one with all of them (mbox)."""
    invocation = invocation_of(context)
    found = list(_kept(invocation, upstream, to, since))
    chosen = form or (Form.MBOX if target.suffix == ".mbox" else Form.EML)
    write = export_mbox if chosen is Form.MBOX else export_eml
    try:
        written = write(((one, _content(invocation, one)) for one in found), target)
    except OSError as error:
        raise CommandError(f"{error.filename or target}: {error.strerror}; name another place") from error
    if invocation.json:
        print_json({"messages": written, "target": str(target)})
    else:
        say(f"{written} message{'' if written == 1 else 's'} in {target}")


def _kept(
    invocation: Invocation, upstream: str | None, to: str | None = None, since: str | None = None
) -> Iterator[Captured]:
    from relay.upstream.captured import captured
    from relay.upstream.construction import capture_directory

    settings = invocation.settings()
    names = [name for name, table in settings.upstream.items() if table.type == "capture"]
    if upstream is not None and upstream not in names:
        raise CommandError(
            f"{upstream:.60}: no upstream that captures; there are: {', '.join(names) or 'none'}", status=2
        )
    since_at = moment_before(since)
    for name in names if upstream is None else [upstream]:
        with _readable(invocation):
            found = list(captured(name, capture_directory(settings.state_dir, name)))
        for one in found:
            if to is not None and to.casefold() not in map(str.casefold, one.recipients):
                continue
            if since_at is None or one.kept_at >= since_at:
                yield one


@contextlib.contextmanager
def _readable(invocation: Invocation) -> Iterator[None]:
    """Read as the folder's owner: what is made on the way is never root's."""
    with as_owner(invocation.settings().state_dir):
        try:
            yield
        except PermissionError as error:
            raise CommandError(f"{error.filename}: not yours; run this as root, or as its owner") from error


def _content(invocation: Invocation, one: Captured) -> bytes:
    with _readable(invocation):
        try:
            return one.path.read_bytes()
        except FileNotFoundError as error:
            raise CommandError(f"{one.id or one.name}: its time was over meanwhile, it is not kept any more") from error


def _shape(one: Captured) -> dict[str, Any]:
    from relay.control.shapes import instant

    return {
        "id": one.id,
        "name": one.name,
        "upstream": one.upstream,
        "kept": instant(one.kept_at),
        "sender": one.reverse_path,
        "recipients": list(one.recipients),
        "size": one.size,
        "path": str(one.path),
    }


def _print_message(octets: bytes) -> None:
    if not sys.stdout.isatty():
        sys.stdout.flush()
        sys.stdout.buffer.write(octets)
        sys.stdout.buffer.flush()
        return
    text = octets.decode("utf-8", "replace").replace("\r\n", os.linesep)
    # What somebody wrote must not steer the terminal.
    say("".join(letter if letter.isprintable() or letter in "\n\t" else "\N{REPLACEMENT CHARACTER}" for letter in text))
