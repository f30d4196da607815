"""`relay secret`: the sealed store."""

from __future__ import annotations

import os
import sys
import time
from typing import Annotated

import typer

from relay.cli.invocation import Invocation, invocation_of
from relay.cli.output import CommandError, duration_text, print_json, print_table, say
from relay.config.seal import SealedStore
from relay.control.shapes import instant
from relay.state_dir import prepare

group = typer.Typer(no_args_is_help=True, help="The sealed store: secrets, encrypted in state_dir.")

Name = Annotated[str, typer.Argument(metavar="NAME", help='as in { sealed = "NAME" }')]


@group.command("set")
def set_(context: typer.Context, name: Name) -> None:
    """Keep a secret; it is read from a prompt, or from standard input less one final line end."""
    invocation = invocation_of(context)
    settings = invocation.settings()
    value = _typed(name) if sys.stdin.isatty() else _piped()
    if not value:
        raise CommandError("the secret is empty; nothing was changed")
    prepare(settings.state_dir)
    SealedStore(settings.state_dir, os.environ).set(name, value)
    if invocation.json:
        print_json({"ok": True, "name": name})
    else:
        say(f"{name}: kept. A running relay takes it within seconds.")


@group.command("list")
def list_(context: typer.Context) -> None:
    """List the secrets' names and ages, never the secrets."""
    invocation = invocation_of(context)
    now = time.time()
    names = _store(invocation).names()
    if invocation.json:
        print_json([{"name": each.name, "set": instant(each.set_at)} for each in names])
        return
    print_table(
        ("NAME", "SET", "AGE"),
        ([each.name, instant(each.set_at), duration_text(now - each.set_at / 1000)] for each in names),
        empty="The sealed store is empty.",
    )


@group.command()
def remove(context: typer.Context, name: Name) -> None:
    """Forget a secret."""
    invocation = invocation_of(context)
    settings = invocation.settings()
    removed = SealedStore(settings.state_dir, os.environ).remove(name)
    if not removed:
        raise CommandError(f"{name:.60}: the sealed store has no such secret; relay secret list shows what it has")
    if invocation.json:
        print_json({"ok": True, "name": name})
    else:
        say(f"{name}: removed.")


def _store(invocation: Invocation) -> SealedStore:
    return SealedStore(invocation.settings().state_dir, os.environ)


def _typed(name: str) -> str:
    import getpass

    value = getpass.getpass(f"Secret for {name} (not shown): ")
    if getpass.getpass("Once more: ") != value:
        raise CommandError("the two differ; nothing was changed")
    return value


def _piped() -> str:
    try:
        # Not sys.stdin's own decoding: in some locales it lets any octet through.
        text = sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise CommandError("standard input is not UTF-8; nothing was changed") from error
    text = text.removesuffix("\n")
    return text.removesuffix("\r")
