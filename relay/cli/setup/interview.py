"""The course of `relay setup`: asks, shows what is to be written, writes it, and tries it."""

from __future__ import annotations

import datetime
import os
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from relay.cli.output import CommandError, complain, print_json, say
from relay.cli.settings import applications
from relay.cli.setup.answers import Answers, Asking, answers_from, unused_flags
from relay.cli.setup.from_flags import FromFlags
from relay.cli.setup.key_pair import key_pair_of, places_of
from relay.cli.setup.listening import troubles_of
from relay.cli.setup.placing import difference, place, unbroken
from relay.cli.setup.present import Present
from relay.cli.setup.rehearsal import rehearsal_at
from relay.cli.setup.relay_toml import Draft, draft_of
from relay.cli.setup.terminal import Terminal
from relay.cli.setup.trial import Outcome, say_rest, try_out
from relay.config.document import LARGEST_FILE, document_from, read_document
from relay.config.load import find, loaded_from
from relay.config.problems import ConfigError, Problem
from relay.config.seal import SealedStore
from relay.config.secrets import Secret
from relay.config.settings import Settings, default_state_dir
from relay.control.socket import RefusedError
from relay.spool.contract import SpoolError
from relay.state_dir import as_owner, prepare


@dataclass(frozen=True, slots=True)
class Request:
    """What was typed: the flags' answers and secrets by flag, and how to go about it."""

    config: str | None
    json: bool
    yes: bool
    flags: Mapping[str, str]
    secrets: Mapping[str, Secret]
    simulator: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be written, and where; `old` is what stands there. `certificate` is one that is to be made."""

    path: Path
    old: str | None
    draft: Draft
    settings: Settings
    answers: Answers
    made_at: datetime.datetime
    certificate: Path | None


def interview(request: Request) -> int:
    """Do it all; return 0, or 1 where what was written does not work yet. Raises CommandError."""
    terminal = None if request.yes else Terminal()
    try:
        plan = _plan(request, terminal)
    except (KeyboardInterrupt, EOFError) as error:
        say()
        raise CommandError("stopped; nothing was changed") from error
    try:
        return _carry_out(plan, request, terminal)
    except (KeyboardInterrupt, EOFError) as error:
        say()
        raise CommandError(f"stopped; {plan.path} is written, and stays") from error


def _plan(request: Request, terminal: Terminal | None) -> Plan:
    path = _path(request.config)
    old = _read(path)
    present = Present(tomllib.loads(old) if old is not None else {}, applications())
    if terminal is not None:
        _greet(terminal, path, old)
    answers, more = _rehearsed(_asked(request, present, terminal), request.simulator)
    now = datetime.datetime.now(datetime.UTC)
    try:
        made = _certificate(answers, present, path, now)
        draft = draft_of(old, present, answers, more | made, now.date())
    except ValueError as error:
        raise CommandError(f"{path}: {error}; write it as [table], or move the file away", status=2) from error
    certificate = Path(made["certificate"]) if made else None
    plan = Plan(path, old, draft, _settings(draft.text, path), answers, now, certificate)
    if not _agreed(plan, terminal, quiet=request.json):
        raise CommandError("nothing was changed")
    return plan


def _carry_out(plan: Plan, request: Request, terminal: Terminal | None) -> int:
    backup = _write(plan)
    if not request.json:
        say(f"Written: {plan.path}" + (f"; as it was: {backup}" if backup else ""))
    try:
        test_to = request.flags.get("test_to", "")
        outcome, trouble = try_out(plan.settings, plan.answers, terminal, test_to, quiet=request.json), ""
    except (CommandError, RefusedError, SpoolError, ConfigError) as error:
        outcome, trouble = Outcome(), str(error)
    if request.json:
        shown = {"ok": outcome.ok and not trouble, "file": str(plan.path), "backup": str(backup) if backup else None}
        names = {"upstream": plan.answers["upstream"], "client": plan.answers["client"]}
        print_json({**shown, **names, **asdict(outcome)})
    else:
        say_rest(plan.settings, plan.path, plan.answers, outcome)
    if trouble:
        raise CommandError(trouble)
    return 0 if outcome.ok else 1


def _path(config: str | None) -> Path:
    found = find(config, os.environ)
    named = config or os.environ.get("RELAY_CONFIG")
    if named or os.path.exists(found) or os.geteuid() == 0:
        return found.absolute()
    return Path("relay.toml").absolute()


def _read(path: Path) -> str | None:
    """Return the text of the file; None where there is none. Raises CommandError where it is no TOML."""
    if not os.path.lexists(path):
        return None
    read = read_document(path)
    if isinstance(read, Problem):
        raise CommandError(
            str(read), "setup changes only what it can read: correct the file, or move it away", status=2
        )
    return path.read_bytes()[:LARGEST_FILE].decode("utf-8-sig").replace("\r\n", "\n")


def _greet(terminal: Terminal, path: Path, old: str | None) -> None:
    terminal.say("Relay takes mail from your applications, and sends it through your provider.", "bold")
    if old is None:
        terminal.say(f"A few questions, and {path} is written. Ctrl-C ends it, with nothing changed.")
    else:
        terminal.say(f"{path} is there already: Enter keeps what it says. Nothing is changed before you have seen it.")


def _asked(request: Request, present: Present, terminal: Terminal | None) -> Answers:
    unasked = FromFlags()
    asking: Asking = terminal if terminal is not None else unasked
    answers = answers_from(request.flags, request.secrets, present, asking, applications())
    unused = unused_flags(request.flags, request.secrets, answers)
    problems = [*unasked.problems, *(f"{option}: has no meaning with these answers; leave it out" for option in unused)]
    if problems:
        raise CommandError(*problems, status=2)
    return answers


def _rehearsed(answers: Answers, host: str) -> tuple[Answers, dict[str, Any]]:
    """Return the answers with the simulator's secret, and the keys that lead to it."""
    if answers["provider"] != "simulator":
        return answers, {}
    rehearsal = rehearsal_at(host)
    return replace(answers, secrets={**answers.secrets, "client_secret": rehearsal.client_secret}), rehearsal.keys


def _certificate(answers: Answers, present: Present, path: Path, now: datetime.datetime) -> dict[str, Any]:
    """Return the keys of a certificate that is to be made; nothing where none is wanted, or one is there."""
    there = present.upstream(answers["upstream"])
    if answers["credential"] != "certificate" or "certificate" in there or "pfx" in there:
        return {}
    given = os.environ.get("RELAY__STATE_DIR") or answers["state_dir"]
    state_dir = path.parent / given if given else default_state_dir()
    certificate, sealed = places_of(answers["upstream"], state_dir, SealedStore(state_dir, os.environ), now)
    return {"certificate": str(certificate), "private_key": {"sealed": sealed}}


def _settings(text: str, path: Path) -> Settings:
    """Return what the text will mean. Raises CommandError with all that is wrong with it."""
    document = document_from(text.encode(), str(path))
    if isinstance(document, Problem):
        raise CommandError(str(document), status=2)
    loaded = loaded_from(document, os.environ)
    if loaded.settings is None or loaded.problems:
        raise CommandError(*map(str, loaded.problems), "nothing was changed; correct this by hand first", status=2)
    return loaded.settings


def _agreed(plan: Plan, terminal: Terminal | None, *, quiet: bool) -> bool:
    """Show what is to be written; return whether it may be."""
    if not quiet:
        new, path = plan.draft.text, plan.path
        say()
        if plan.old is None:
            say(f"{path}:\n\n{new}")
        else:
            say(difference(plan.old, new, path.name) or f"{path}: nothing changes.")
    complain(*(f"{trouble} (warning)" for trouble in troubles_of(plan.settings)))
    return terminal is None or terminal.agreed("Write it", default=True)


def _write(plan: Plan) -> Path | None:
    """Seal the secrets and put the file in its place; return the backup. Raises ConfigError, StateDirError."""
    state_dir = plan.settings.state_dir
    with unbroken():
        prepare(state_dir)
        with as_owner(state_dir):
            store = SealedStore(state_dir, os.environ)
            for question, sealed in plan.draft.sealed.items():
                store.set(sealed, plan.answers.secrets[question])
            if plan.certificate is not None:
                key_pair_of(plan.answers["upstream"], plan.certificate.parent, store, plan.made_at)
        if plan.draft.text == plan.old:
            return None
        return place(plan.path, _as_in(plan.path, plan.draft.text), state_dir, plan.made_at)


def _as_in(path: Path, text: str) -> str:
    """Return the text with the line ends of the file that is there."""
    return text.replace("\n", "\r\n") if path.exists() and b"\r\n" in path.read_bytes() else text
