"""The part of a relay.toml that points at a simulator, and the secrets it refers to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from relay.simulator.simulator import Simulator

MICROSOFT365_SECRET = "SIMULATOR_CLIENT_SECRET"  # noqa: S105 (the name of a variable)
GMAIL_SECRET = "SIMULATOR_GMAIL_APP_PASSWORD"  # noqa: S105
SES_SECRET = "SIMULATOR_SES_PASSWORD"  # noqa: S105
PROVIDERS = ("microsoft365", "gmail", "ses")


def relay_toml(
    simulator: Simulator,
    *providers: str,
    names: Mapping[str, str] | None = None,
    more: str = "",
    secrets: str = "env",
    graph: bool = False,
) -> str:
    """Return `[upstream.NAME]` tables for `providers` (default: all three); raises KeyError for an unknown one.

    `names`: the upstreams' names (default: office365, gmail, ses). `more`: lines to add to each table, such as
    `messages_per_minute = 600`. Secrets are in environment variables, see `environment`; with secrets="file" in files
    of the simulator's directory. `graph`: Microsoft 365 by Graph in place of SMTP.
    """
    called = {"microsoft365": "office365", "gmail": "gmail", "ses": "ses", **(names or {})}
    tables = [
        f"[upstream.{_string(called[provider])}]\n"
        + "".join(f"{key} = {value}\n" for key, value in _keys(simulator, provider, secrets, graph).items())
        + (more.strip() + "\n" if more else "")
        for provider in providers or PROVIDERS
    ]
    return "\n".join(tables)


def environment(simulator: Simulator) -> dict[str, str]:
    """Return the environment variables that `relay_toml` refers to."""
    return {
        MICROSOFT365_SECRET: simulator.client_secret,
        GMAIL_SECRET: simulator.gmail_app_password,
        SES_SECRET: simulator.ses_password,
    }


def _keys(simulator: Simulator, provider: str, secrets: str, graph: bool) -> dict[str, str]:
    server = {"microsoft365": simulator.microsoft365, "gmail": simulator.gmail, "ses": simulator.ses}[provider]
    place = {
        "type": _string(provider),
        "host": _string(simulator.host),
        "port": str(server.port),
        "ca_file": _string(str(simulator.ca_file)),
    }
    if provider == "microsoft365":
        if graph:
            place |= {"via": _string("graph"), "port": str(simulator.authority.port)}
        senders = ", ".join(_string(sender) for sender in simulator.options.may_send_as)
        return place | {
            "authority": _string(simulator.authority_url),
            "mailbox": _string(simulator.mailbox),
            "may_send_as": f"[{senders}]",
            "tenant": _string(simulator.tenant),
            "client_id": _string(simulator.client_id),
            "credential": _string("client_secret"),
            "client_secret": _reference(simulator, MICROSOFT365_SECRET, secrets),
        }
    if provider == "gmail":
        password = _reference(simulator, GMAIL_SECRET, secrets)
        return place | {"username": _string(simulator.gmail_user), "app_password": password}
    password = _reference(simulator, SES_SECRET, secrets)
    region = _string(simulator.options.ses_region)
    return place | {"region": region, "username": _string(simulator.ses_user), "password": password}


def _reference(simulator: Simulator, name: str, secrets: str) -> str:
    if secrets == "env":
        return f"{{ env = {_string(name)} }}"
    file = Path(simulator.directory) / name.lower()
    file.touch(mode=0o600)
    file.write_text(environment(simulator)[name], "utf-8")
    return f"{{ file = {_string(str(file))} }}"


def _string(text: str) -> str:
    # A JSON string is a TOML basic string.
    return json.dumps(text)
