"""`relay test`: one message straight through an upstream."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from relay.cli.invocation import invocation_of, known_upstream
from relay.cli.link import link_to
from relay.cli.output import CommandError, print_json, say

_MOMENTS = {
    "secret": "the secret, before anything was said",
    "token": "the token, before the server was called",
    "connect": "the connection",
    "greeting": "the greeting",
    "content": "the content",
    "final_dot": "the final dot",
    "done": "the end: the whole message had been sent",
}
"""Where a conversation ended, for people; the others are SMTP's own words."""


def send_test(
    context: typer.Context,
    upstream: Annotated[str, typer.Argument(metavar="UPSTREAM")],
    to: Annotated[str, typer.Option("--to", metavar="ADDRESS", help="who gets it")],
    sender: Annotated[str | None, typer.Option("--from", metavar="ADDRESS", help="default: the account")] = None,
) -> int:
    """Send one message straight through an upstream, and print what came of it."""
    from relay.address import parse_mailbox

    invocation = invocation_of(context)
    settings = invocation.settings()
    known_upstream(settings, upstream)
    for option, address in (("--to", to), ("--from", sender)):
        if address is not None and (parse_mailbox(address) is None or "@" not in address):
            raise CommandError(f"{option}: {address:.80}: not an e-mail address", status=2)
    with link_to(settings) as link:
        found = link.ask("test", upstream=upstream, to=to, **{"from": sender})
    if invocation.json:
        print_json(found)
    else:
        say_outcome(upstream, found)
    return 0 if found["ok"] else 1


def say_outcome(upstream: str, found: dict[str, Any]) -> None:
    """Print what came of a test message."""
    outcome = "took" if found["ok"] else "did not take"
    say(f"{upstream} {outcome} a message from {found['sender']} to {found['recipient']}.")
    say(f"It said: {found['reply'] or 'nothing after the final dot'}")
    if not found["ok"]:
        cause = f" ({found['cause'].replace('_', ' ')})" if found["cause"] else ""
        say(f"That was at {_MOMENTS.get(found['phase'], found['phase'].upper())}{cause}.")
