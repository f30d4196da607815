"""The upstream of relay.toml that an administrator's steps are about, where there is one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Generic, TypeVar

import typer

from relay.cli.invocation import Invocation
from relay.cli.output import CommandError, complain, say
from relay.cli.setup.questions import question_of
from relay.cli.setup.terminal import Terminal, at_terminal
from relay.config.settings import Settings
from relay.config.upstream_settings import UpstreamSettings

Kind = TypeVar("Kind", bound=UpstreamSettings)


@dataclass(frozen=True, slots=True)
class Configured(Generic[Kind]):
    """What relay.toml says: nothing, where there is none, or it has no such upstream."""

    name: str
    settings: Settings | None = None
    upstream: Kind | None = None


def configured(invocation: Invocation, wanted: str | None, kind: type[Kind], usual: str) -> Configured[Kind]:
    """Find the upstream: the one that is wanted, else the only one of its kind. Raises CommandError."""
    loaded = invocation.load()
    settings = loaded.settings
    if settings is None:
        if os.path.exists(loaded.path):
            complain(f"{loaded.path}: has mistakes, so its names aren't used; relay check names them")
        return Configured(wanted or usual)
    found = {name: one for name, one in settings.upstream.items() if isinstance(one, kind)}
    if wanted is not None and wanted not in found and (found or wanted in settings.upstream):
        others = f"there are: {', '.join(found)}" if found else "there is none"
        raise CommandError(f"{wanted:.60}: no such upstream of this provider; {others}", status=2)
    if wanted is None and len(found) > 1:
        raise CommandError(f"which upstream? There are: {', '.join(found)}; name one", status=2)
    name = wanted or next(iter(found), usual)
    return Configured(name, settings, found.get(name))


def sound(option: str, question: str, text: str) -> str:
    """Return what a flag gave, where it will do as the answer to a question. Raises CommandError."""
    fault = question_of(question).fault_in(text, {})
    if fault is not None:
        raise CommandError(f"{option}: {fault}", status=2)
    return text


def senders_of(found: Configured[Kind]) -> tuple[str, ...]:
    """Return every address and @domain as which the upstream's clients may send, and the account; each once."""
    if found.settings is None or found.upstream is None:
        return ()
    from relay.doctor.senders import clients_of, senders_for

    known = [*map(str, senders_for(found.name, found.settings, ())), *getattr(found.upstream, "may_send_as", ())]
    for client in clients_of(found.name, found.settings):
        known += found.settings.client[client].senders
    # Where nothing is known, the doctor sends as an address of this machine.
    told = (address for address in known if address != f"relay@{found.settings.hostname}")
    return tuple({address.casefold(): address for address in told}.values())


def check_now(context: typer.Context, found: Configured[Kind], *, asked: bool) -> int:
    """See whether it works, as `relay doctor` does, where that was asked for or a person wants it."""
    from relay.cli.doctor import doctor

    if found.upstream is None:
        if asked:
            raise CommandError("--check: relay.toml has no such upstream yet; relay setup asks for what it needs")
        return 0
    if not asked:
        if not at_terminal():
            return 0
        say()
        if not Terminal().agreed("Is it done? See whether it works", default=False):
            return 0
    return doctor(context, [found.name])
