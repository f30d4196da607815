"""The course of `relay setup`: asks, shows what is to be written, writes it, and tries it."""

from __future__ import annotations

import datetime
import os
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from relay.cli.output import CommandError, print_json, say
from relay.cli.settings import applications
from relay.cli.setup.answers import Answers, Asking, answers_from, unused_flags
from relay.cli.setup.from_flags import FromFlags
from relay.cli.setup.key_pair import key_pair_of, places_of
from relay.cli.setup.placing import difference, place, unbroken
from relay.cli.setup.present import Present
from relay.cli.setup.rehearsal import rehearsal_at
from relay.cli.setup.relay_toml import Draft, draft_of
from relay.cli.setup.terminal import Terminal
from relay.cli.setup.trial import Outcome, say_rest, try_out
from relay.config.document import LARGEST_FILE, document_from, read_document
from relay.config.load import find, loaded_from
from relay.config.microsoft365_settings import Microsoft365Settings
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


def interview(request: Request) -> int:
    """Do it all; return 0, or 1 where what was written does not work yet. Raises CommandError."""
    path = _path(request.config)
    old = _read(path)
    terminal = None if request.yes else Terminal()
    present = Present(tomllib.loads(old) if old is not None else {}, applications())
    if terminal is not None:
        _greet(terminal, path, old)
    answers, more = _rehearsed(_asked(request, present, terminal), request.simulator)
    now = datetime.datetime.now(datetime.UTC)
    try:
        draft = draft_of(old, present, answers, more | _certificate(answers, present, path, now), now.date())
    except ValueError as error:
        raise CommandError(f"{path}: {error}; write it as [table], or move the file away", status=2) from error
    settings = _settings(draft.text, path)
    if not _agreed(old, draft.text, path, terminal, quiet=request.json):
        raise CommandError("nothing was changed")
    backup = _write(path, old, draft, settings, answers, now)
    if not request.json:
        say(f"Written: {path}" + (f"; as it was: {backup}" if backup else ""))
    outcome, trouble = _try(request, settings, path, answers, terminal)
    if request.json:
        shown = {"ok": outcome.ok and not trouble, "file": str(path), "backup": str(backup) if backup else None}
        print_json({**shown, "upstream": answers["upstream"], "client": answers["client"], **asdict(outcome)})
    else:
        say_rest(settings, path, answers, outcome)
    if trouble:
        raise CommandError(trouble)
    return 0 if outcome.ok else 1


def _path(config: str | None) -> Path:
    found = find(config, os.environ)
    named = config or os.environ.get("RELAY_CONFIG")
    if named or found.exists() or os.geteuid() == 0:
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


def _agreed(old: str | None, new: str, path: Path, terminal: Terminal | None, *, quiet: bool) -> bool:
    """Show what is to be written; return whether it may be."""
    if not quiet:
        say()
        say(f"{path}:\n\n{new}" if old is None else difference(old, new, path.name) or f"{path}: nothing changes.")
    return terminal is None or terminal.agreed("Write it", default=True)


def _write(
    path: Path, old: str | None, draft: Draft, settings: Settings, answers: Answers, now: datetime.datetime
) -> Path | None:
    """Seal the secrets and put the file in its place; return the backup. Raises ConfigError, StateDirError."""
    upstream = settings.upstream[answers["upstream"]]
    with unbroken():
        prepare(settings.state_dir)
        with as_owner(settings.state_dir):
            store = SealedStore(settings.state_dir, os.environ)
            for question, name in draft.sealed.items():
                store.set(name, answers.secrets[question])
            if (
                isinstance(upstream, Microsoft365Settings)
                and upstream.certificate
                and not upstream.certificate.exists()
            ):
                key_pair_of(answers["upstream"], upstream.certificate.parent, store, now)
        return place(path, draft.text, settings.state_dir, now) if draft.text != old else None


def _try(
    request: Request, settings: Settings, path: Path, answers: Answers, terminal: Terminal | None
) -> tuple[Outcome, str]:
    """Try what was written; what goes wrong from here on does not undo it."""
    try:
        test_to = request.flags.get("test_to", "")
        return try_out(settings, answers, terminal, test_to, quiet=request.json), ""
    except KeyboardInterrupt:
        return Outcome(), f"stopped; {path} stays as it was written"
    except (CommandError, RefusedError, SpoolError, ConfigError) as error:
        return Outcome(), str(error)
