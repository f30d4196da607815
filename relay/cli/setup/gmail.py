"""`relay setup gmail`: what has to be clicked at Google, with this account's names."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from relay.cli.invocation import invocation_of
from relay.cli.output import CommandError, print_json, say
from relay.cli.setup.configured import Configured, check_now, configured, sound
from relay.cli.setup.guidance import guidance_of, say_steps, texts_of
from relay.cli.setup.options import Check, UpstreamName
from relay.cli.setup.questions import question_of
from relay.config.problems import ConfigError
from relay.config.provider_settings import GmailSettings
from relay.config.seal import SealedStore
from relay.config.secrets import Secrets, file_secret
from relay.config.service_account import service_account_in
from relay.diagnosis.names import names_of

_SCOPE = "https://mail.google.com/"


def gmail(
    context: typer.Context,
    upstream: UpstreamName = None,
    mailbox: Annotated[str | None, typer.Option("--mailbox", metavar="ADDRESS", help="the account that sends")] = None,
    credential: Annotated[
        str | None, typer.Option("--credential", help="app_password, service_account or sign_in")
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--key", metavar="FILE", help="the service account's JSON key, to read its client ID")
    ] = None,
    check: Check = False,
) -> int:
    """Say step by step what has to be done at Google, for an app password, a service account or a sign-in."""
    invocation = invocation_of(context)
    found = configured(invocation, upstream, GmailSettings, "gmail")
    way = credential or ("service_account" if key else _way_of(found.upstream))
    words = question_of("gmail_credential").choices
    if way not in words:
        raise CommandError(f"--credential: {way:.40}: not known; there are: {', '.join(words)}", status=2)
    account = (
        sound("--mailbox", "mailbox", mailbox) if mailbox else (found.upstream.account if found.upstream else None)
    )
    known = dict(names_of(found.name, found.upstream))
    names = {**known, "username": account or "", "mailbox": account or ""}
    names["secret"] = known.get("secret") or f"relay secret set {found.name}"
    shown = f"Client ID:  {_client_id(found, key) or 'the Unique ID on the service account page'}"
    steps = guidance_of(texts_of("gmail")["step"], {way}, names, {"delegation": (shown, f"Scope:      {_SCOPE}")})
    if invocation.json and not check:
        print_json({"upstream": found.name, "steps": [step.shape() for step in steps]})
        return 0
    if not invocation.json:
        say(f"Upstream {found.name}, {way}: {words[way]}.")
        say()
        say_steps("Steps:", steps)
    return check_now(context, found, asked=check)


def _way_of(upstream: GmailSettings | None) -> str:
    if upstream is None:
        return "app_password"
    return "service_account" if upstream.service_account else "sign_in" if upstream.client_id else "app_password"


def _client_id(found: Configured[GmailSettings], key: Path | None) -> str:
    """Return the service account's numeric ID, from its key; empty where that isn't at hand. Raises CommandError."""
    place = found.upstream.service_account if found.upstream else None
    try:
        if key is not None:
            text = file_secret(key)
        elif place is not None and place.aws is None and found.settings is not None:
            text = Secrets(os.environ, SealedStore(found.settings.state_dir, os.environ)).resolve(place)
        else:
            return ""
        service_account_in(text)
        return str(json.loads(text).get("client_id", ""))
    except ConfigError as error:
        if key is None:
            return ""
        raise CommandError(f"--key: {error}", status=2) from error
