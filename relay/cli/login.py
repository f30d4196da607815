"""`relay login`: signing in to an upstream by device code."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from relay.cli.invocation import invocation_of, known_upstream
from relay.cli.output import CommandError, print_json, say
from relay.config.microsoft365_settings import Microsoft365Settings
from relay.config.seal import SealedStore
from relay.config.secrets import Secrets
from relay.config.settings import Settings
from relay.control.socket import RefusedError, connect
from relay.state_dir import prepare

if TYPE_CHECKING:
    from relay.upstream.device_login import DeviceLogin


def login(context: typer.Context, upstream: Annotated[str, typer.Argument(metavar="UPSTREAM")]) -> None:
    """Sign in by device code: open the page that is printed, anywhere, and type the code."""
    from relay.upstream.device_login import DeviceLogin
    from relay.upstream.failures import ConversationEnded

    invocation = invocation_of(context)
    settings = invocation.settings()
    chosen = settings.upstream[known_upstream(settings, upstream)]
    if not isinstance(chosen, Microsoft365Settings) or chosen.credential != "device_code":
        raise CommandError(f'{upstream}: nobody signs in to it; that is for credential = "device_code"', status=2)
    prepare(settings.state_dir)
    secrets = Secrets(os.environ, SealedStore(settings.state_dir, os.environ))
    try:
        _sign_in(DeviceLogin(upstream, chosen, secrets), chosen.mailbox, to_stderr=invocation.json)
    except ConversationEnded as end:
        raise CommandError(f"relay login {upstream}: {end.reply}") from end
    _tell_running(settings, upstream)
    if invocation.json:
        print_json({"ok": True, "upstream": upstream})
    else:
        say(f"Signed in; {upstream} sends as {chosen.mailbox}.")


def _sign_in(signing_in: DeviceLogin, mailbox: str, *, to_stderr: bool) -> None:
    signing_in.begin()
    output = sys.stderr if to_stderr else sys.stdout
    for line in (f"Sign in as {mailbox}, or as somebody who may use it:", signing_in.url, signing_in.user_code):
        print(line, file=output, flush=True)
    deadline = signing_in.expires_at / 1000
    while not signing_in.poll():
        if time.time() > deadline:
            raise CommandError("nobody signed in before the code expired; type the command again")
        time.sleep(signing_in.interval)


def _tell_running(settings: Settings, upstream: str) -> None:
    """Let a relay that runs try the upstream at once, instead of at its next probe."""
    try:
        connection = connect(settings.state_dir)
        if connection is not None:
            with connection:
                connection.ask("upstream.retry", {"upstream": upstream})
    except (OSError, RefusedError):
        return  # the token is kept; it will be found at the next probe
