"""`relay explain`: a reply, an error's text, an upstream or a message in; cause, who must act and what to type out."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relay.cli.invocation import Invocation, invocation_of
from relay.cli.output import complain, print_json
from relay.cli.remedy import say_remedy

if TYPE_CHECKING:
    from relay.config.settings import Settings

_ID = re.compile(r"(?=.*\d)[0-9A-Za-z-]{8,32}")
_UNKNOWN: dict[str, Any] = {"known": False, "title": "", "cause": "", "actor": "", "actions": [], "link": ""}
_WELL: dict[str, Any] = {"known": True, "actor": "nobody", "actions": [], "link": ""}


def explain(
    context: typer.Context,
    text: Annotated[
        list[str],
        typer.Argument(metavar="TEXT", help="a reply or error as it was said, an AADSTS code, an upstream, an ID"),
    ],
) -> int:
    """Say why: cause, who must act, what to type. Of a text nothing is asked of anybody: it works offline."""
    invocation = invocation_of(context)
    found = _found(" ".join(text), _settings(invocation))
    if invocation.json:
        print_json(found[0])
    else:
        for each in found:
            _say(each)
    return 0 if all(each["known"] for each in found) else 1


def explained(text: str, settings: Settings | None) -> dict[str, Any] | None:
    """Return what `--json` says of a text, with the names of the upstream that it is about; None for an unknown one."""
    from relay.diagnosis.names import names_of
    from relay.transfer.pasted import explanation_of_text, upstream_meant

    upstreams = dict(settings.upstream) if settings is not None else {}
    found = explanation_of_text(text, upstreams.values(), {})
    name = upstream_meant(text, found.diagnosis, upstreams) if found is not None else None
    if name is not None:
        found = explanation_of_text(text, (upstreams[name],), names_of(name, upstreams[name]))
    return {"known": found.known, **found.diagnosis.shape()} if found is not None else None


def _found(text: str, settings: Settings | None) -> list[dict[str, Any]]:
    if settings is not None and text in settings.upstream:
        return [_of_upstream(text, settings)]
    found = explained(text, settings)
    if found is None and settings is not None and _ID.fullmatch(text):
        return _of_message(text, settings)
    return [found or _UNKNOWN]


def _of_upstream(name: str, settings: Settings) -> dict[str, Any]:
    from relay.cli.link import link_to

    with link_to(settings) as link:
        upstreams = link.ask("status")["upstreams"]
    row = next(one for one in upstreams if one["name"] == name)
    if row["diagnosis"] is None:
        return _WELL | {"title": f"{name} is open", "cause": "Nothing is known to stand in the way of its mail."}
    return {"known": True, **row["diagnosis"]}


def _of_message(message_id: str, settings: Settings) -> list[dict[str, Any]]:
    from relay.cli.link import link_to

    with link_to(settings) as link:
        entry = link.ask("trace", id=message_id)[0]
    if entry["reasons"]:
        return [{"known": True, **reason} for reason in entry["reasons"]]
    states = ", ".join(sorted(set(entry["states"].values())))
    cause = f"No upstream has refused it. Its recipients: {states.replace('_', ' ')}."
    return [_WELL | {"title": f"{message_id}: nothing to explain", "cause": cause}]


def _settings(invocation: Invocation) -> Settings | None:
    """Return the settings where there are any that can be used; an explanation needs none."""
    from relay.config.load import PLACES

    named = invocation.config or os.environ.get("RELAY_CONFIG")
    if not named and not any(os.path.exists(place) for place in PLACES):
        return None
    if named:
        return invocation.settings()
    return invocation.load().settings


def _say(found: dict[str, Any]) -> None:
    if found["cause"]:
        say_remedy(", ".join(found.get("recipients", ())), found)
    if found["cause"] and not found["known"]:
        complain("relay explain: nothing more is known of this text; the provider's own words and page may say more")
    elif not found["known"]:
        complain(
            "relay explain: this text is not known; paste the provider's whole reply, from its three digits on, or the"
            " error's first line; relay doctor UPSTREAM  goes step by step, relay trace ID  shows what was said"
        )
