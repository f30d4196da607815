"""What follows upon a written relay.toml: signing in, the doctor, a test message, the application's settings."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from relay.cli.doctor import say_checkup
from relay.cli.link import Link, link_to
from relay.cli.login import sign_in
from relay.cli.output import CommandError, complain, say
from relay.cli.settings import say_card
from relay.cli.setup.answers import Answers
from relay.cli.setup.questions import question_of
from relay.cli.setup.terminal import Terminal
from relay.cli.test import say_outcome
from relay.config.settings import Settings
from relay.state_dir import holder_of

_GUIDED: Final = ("microsoft365", "gmail", "ses")


@dataclass(frozen=True, slots=True)
class Outcome:
    """`doctor` and `test` as their commands' --json; None where that was not tried."""

    doctor: dict[str, Any] | None = None
    test: dict[str, Any] | None = None

    @property
    def ok(self) -> bool:
        """Whether all that was tried went well."""
        return all(found["ok"] for found in (self.doctor, self.test) if found is not None)


def try_out(settings: Settings, answers: Answers, terminal: Terminal | None, test_to: str, *, quiet: bool) -> Outcome:
    """Find out whether mail would go, and send one message where somebody is to get it. Raises CommandError."""
    name = answers["upstream"]
    signs_in = "device_code" in answers["credential"] or answers["gmail_credential"] == "sign_in"
    if signs_in:
        if terminal is None:
            complain(f"{name}: nobody has signed in yet; type: relay login {shlex.quote(name)}")
            return Outcome()
        terminal.say()
        if not terminal.agreed(f"Sign in to {name} now", default=True):
            return Outcome()
        sign_in(settings, name, sys.stdout)
    with link_to(settings) as link:
        _reload(link, settings)
        if not quiet:
            say(f"\nLooking at {name}, with nothing sent:\n")
        checked = link.ask("doctor", upstream=name, to=None)
        if not quiet:
            say_checkup(checked)
        if not checked["ok"]:
            return Outcome(checked)
        recipient = test_to or (terminal.text(question_of("test_to"), {}, "") if terminal is not None else "")
        if not recipient:
            return Outcome(checked)
        tested = link.ask("test", upstream=name, to=recipient, **{"from": _sender(answers)})
        if not quiet:
            say()
            say_outcome(name, tested)
        return Outcome(checked, tested)


def say_rest(settings: Settings, path: Path, answers: Answers, outcome: Outcome) -> None:
    """Print what to type into the application, and what is left to do."""
    say()
    say_card(settings, answers["client"], answers["application"])
    say()
    if outcome.doctor is not None and not outcome.doctor["ok"] and answers["provider"] in _GUIDED:
        steps = f"relay setup {answers['provider']} {shlex.quote(answers['upstream'])}"
        say(f"What the administrator there has to do: {steps}")
    if holder_of(settings.state_dir) is None:
        say(f"Start Relay: relay serve --config {shlex.quote(str(path))}   (as a service: systemctl restart relay)")
    say("Later: relay doctor, relay status; relay setup again changes these answers.")


def _sender(answers: Answers) -> str | None:
    """Return as whom to send: the upstream's own account, or for one without the first address of the application."""
    addresses = [part.strip() for part in (answers["senders"] or answers["ses_senders"]).split(",")]
    known = answers["mailbox"] or answers["gmail_username"] or answers["gmail_mailbox"]
    first = next((address for address in addresses if address and not address.startswith("@")), None)
    return None if known or answers["provider"] == "simulator" else first


def _reload(link: Link, settings: Settings) -> None:
    """Let a relay that runs take the new file, so that it is the new settings that are tried."""
    if holder_of(settings.state_dir) is None:
        return
    told = link.ask("reload")
    if not told["ok"]:
        raise CommandError("the running relay goes on with its old settings:", *map(str, told["problems"]))
