"""`relay login`: signing in to an upstream, by device code or with a browser."""

from __future__ import annotations

import os
import sys
import time
from typing import Annotated, Final, TextIO

import typer

from relay.cli.invocation import invocation_of, known_upstream
from relay.cli.output import CommandError, print_json, say
from relay.config.microsoft365_settings import Microsoft365Settings
from relay.config.problems import ConfigError
from relay.config.provider_settings import GmailSettings
from relay.config.seal import SealedStore
from relay.config.secrets import Secrets
from relay.config.settings import Settings
from relay.control.socket import RefusedError, connect
from relay.state_dir import prepare

_PATIENCE: Final = 900.0


def login(context: typer.Context, upstream: Annotated[str, typer.Argument(metavar="UPSTREAM")]) -> None:
    """Sign in: open the page that is printed and, for Microsoft 365, type the code there."""
    invocation = invocation_of(context)
    settings = invocation.settings()
    sign_in(settings, upstream, sys.stderr if invocation.json else sys.stdout)
    if invocation.json:
        print_json({"ok": True, "upstream": upstream})
    else:
        say(f"Signed in; {upstream} sends as {settings.upstream[upstream].account}.")


def sign_in(settings: Settings, upstream: str, output: TextIO) -> None:
    """Sign in to an upstream; what is to be opened and typed goes to `output`. Raises CommandError."""
    from relay.upstream.failures import ConversationEnded

    chosen = settings.upstream[known_upstream(settings, upstream)]
    by_code = isinstance(chosen, Microsoft365Settings) and chosen.credential == "device_code"
    by_browser = isinstance(chosen, GmailSettings) and bool(chosen.client_id) and chosen.refresh_token is None
    if not by_code and not by_browser:
        cure = 'that is for credential = "device_code", and for gmail with client_id and no refresh_token'
        raise CommandError(f"{upstream}: nobody signs in to it; {cure}", status=2)
    prepare(settings.state_dir)
    secrets = Secrets(os.environ, SealedStore(settings.state_dir, os.environ))
    try:
        if isinstance(chosen, Microsoft365Settings):
            _by_code(upstream, chosen, secrets, output)
        elif isinstance(chosen, GmailSettings):
            _by_browser(upstream, chosen, secrets, output)
    except ConversationEnded as end:
        raise CommandError(f"relay login {upstream}: {end.reply}") from end
    except ConfigError as error:
        raise CommandError(f"relay login {upstream}: {error}") from error
    _tell_running(settings, upstream)


def _by_browser(name: str, settings: GmailSettings, secrets: Secrets, output: TextIO) -> None:
    from relay.upstream.loopback_login import LoopbackLogin

    signing_in = LoopbackLogin(name, settings, secrets)
    try:
        where = "in a browser on this machine, or on another one, and paste the address of its last page here"
        for line in (f"Sign in as {settings.username}, {where}:", signing_in.url):
            print(line, file=output, flush=True)
        if not signing_in.wait(sys.stdin, _PATIENCE):
            raise CommandError("nobody signed in within a quarter of an hour; type the command again")
    finally:
        signing_in.close()


def _by_code(name: str, settings: Microsoft365Settings, secrets: Secrets, output: TextIO) -> None:
    from relay.upstream.device_login import DeviceLogin

    signing_in = DeviceLogin(name, settings, secrets)
    signing_in.begin()
    lines = (f"Sign in as {settings.mailbox}, or as somebody who may use it:", signing_in.url, signing_in.user_code)
    for line in lines:
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
