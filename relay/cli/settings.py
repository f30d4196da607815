"""`relay settings`: what to type into an application so that it sends through us."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Annotated, Any

import typer

from relay.cli.invocation import invocation_of
from relay.cli.output import CommandError, print_json, print_table, say
from relay.config.client_settings import ClientSettings
from relay.config.listener_settings import ListenerSettings
from relay.config.settings import Settings

_EVERYWHERE = frozenset({"*", "0.0.0.0", "::"})  # noqa: S104 - compared, not bound


@dataclass(frozen=True, slots=True)
class Advice:
    """What one application is to be told: where, labels with values, a block to paste, and what to mind."""

    application: str
    where: str
    fields: tuple[tuple[str, str], ...]
    block_title: str
    block: str
    notes: tuple[str, ...]


def applications() -> dict[str, dict[str, Any]]:
    """Return the texts for each application."""
    return tomllib.loads(files("relay.cli").joinpath("applications.toml").read_text("utf-8"))


def settings(
    context: typer.Context,
    client: Annotated[str, typer.Argument(metavar="CLIENT", help="a client of the configuration")],
    application: Annotated[
        str, typer.Option("--for", metavar="APPLICATION", help="careright, incisive, synapse, rails, dotnet, java, ...")
    ] = "other",
) -> None:
    """What to type into an application."""
    invocation = invocation_of(context)
    known = applications()
    if application not in known:
        raise CommandError(f"--for: {application:.40}: not known; there are: {', '.join(known)}", status=2)
    configured = invocation.settings()
    if client not in configured.client:
        names = ", ".join(configured.client) or "none"
        raise CommandError(f"{client:.60}: no such client; there are: {names}", status=2)
    if not invocation.json:
        say_card(configured, client, application)
        return
    texts = known[application]
    name = listener_for(configured, configured.client[client], texts)
    facts = facts_of(configured, client, name)
    print_json({**facts, "application": application, **_shape(advice_for(configured, client, name, texts))})


def say_card(configured: Settings, client: str, application: str) -> None:
    """Print what to type into an application. Raises CommandError where it can use no listener."""
    texts = applications()[application]
    name = listener_for(configured, configured.client[client], texts)
    advice = advice_for(configured, client, name, texts)
    facts = facts_of(configured, client, name)
    say(f"{advice.application}, for client {client}, by listener {name} ({facts['address']})")
    say(f"Where: {advice.where}")
    if advice.fields:
        print_table(("FIELD", "VALUE"), advice.fields, empty="", whole=True)
    if advice.block:
        say(f"{advice.block_title}:\n")
        say(advice.block)
    say(f"Password: {facts['password']}")
    say(f"Certificate: {facts['certificate']}")
    for note in advice.notes:
        say(f"Note: {note}")


def listener_for(configured: Settings, client: ClientSettings, texts: Mapping[str, Any]) -> str:
    """Return the listener that suits best, encrypted ones first. Raises CommandError."""
    order = {"starttls": 0, "implicit": 1, "none": 2}
    usable = [
        name
        for name, listener in configured.listener.items()
        if listener.security in texts["encryption"] and (listener.auth or not client.needs_login)
    ]
    if not usable:
        wanted = " or ".join(f'"{each}"' for each in texts["encryption"])
        raise CommandError(f"{texts['title']} can use no listener; add one with security = {wanted} to relay.toml")
    return min(usable, key=lambda name: order[configured.listener[name].security])


def facts_of(configured: Settings, client: str, listener: str) -> dict[str, Any]:
    """Return host, port, encryption, mechanism, user and trust, in the words of the configuration."""
    chosen = configured.client[client]
    opened = configured.listener[listener]
    return {
        "client": client,
        "listener": listener,
        "address": str(opened.address),
        "host": _host(configured, opened),
        "port": opened.address.port,
        "encryption": opened.security,
        "mechanism": opened.auth[0] if chosen.needs_login and opened.auth else None,
        "user": chosen.username,
        "password": f"the one in {chosen.password}" if chosen.password else "none: known by its network",
        "certificate": _certificate(configured, opened),
    }


def advice_for(configured: Settings, client: str, listener: str, texts: Mapping[str, Any]) -> Advice:
    """Fill in the application's texts."""
    facts = facts_of(configured, client, listener)
    opened = configured.listener[listener]
    login = configured.client[client].needs_login
    mechanism = next((word for name, word in texts["mechanisms"].items() if name in opened.auth), None)
    own = configured.tls is None and opened.security != "none"
    values = {
        "host": facts["host"],
        "port": facts["port"],
        "user": facts["user"] or "",
        "password": facts["password"],
        "hostname": configured.hostname,
        "mechanism": mechanism if login and mechanism else texts["no_mechanism"],
        "authenticated": "true" if login else "false",
        "encryption": texts["encryption"][opened.security],
        "verify": texts.get("verify", {}).get("own" if own else "public", ""),
        "verify_word": "none" if own else "peer",
        "certificate": facts["certificate"],
        **_python_words(opened.security, facts["user"], own),
    }
    return Advice(
        texts["title"],
        texts["where"],
        tuple((label, value.format(**values)) for label, value in texts["fields"]),
        texts.get("block_title", ""),
        _lines_for(texts.get("block", ""), login=login).format(**values),
        tuple(texts["notes"]),
    )


def _lines_for(block: str, *, login: bool) -> str:
    lines = (line.removeprefix("?") for line in block.strip("\n").split("\n") if login or not line.startswith("?"))
    return "\n".join(lines)


def _python_words(security: str, user: str | None, own: bool) -> dict[str, str]:
    return {
        "trust": '\ncontext.load_verify_locations("relay-ca.pem")  # relay certificate says where it is' if own else "",
        "context_argument": ", context=context" if security == "implicit" else "",
        "starttls_line": "\n    smtp.starttls(context=context)" if security == "starttls" else "",
        "login_line": f'\n    smtp.login("{user}", os.environ["SMTP_PASSWORD"])' if user else "",
    }


def _host(configured: Settings, listener: ListenerSettings) -> str:
    return configured.hostname if listener.address.host in _EVERYWHERE else listener.address.host


def _certificate(configured: Settings, listener: ListenerSettings) -> str:
    if listener.security == "none":
        return "none is shown"
    if configured.tls is None:
        return "signed by the relay's own authority; relay certificate says how to trust it"
    return f"the one in {configured.tls.certificate}"


def _shape(advice: Advice) -> dict[str, Any]:
    return {
        "where": advice.where,
        "fields": [{"name": name, "value": value} for name, value in advice.fields],
        "block": advice.block,
        "notes": list(advice.notes),
    }
