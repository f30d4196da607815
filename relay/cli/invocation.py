"""What every command starts from: the file it was given, and its settings."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from relay.cli.output import CommandError, complain

if TYPE_CHECKING:
    from relay.config.load import Loaded
    from relay.config.settings import Settings


@dataclass(frozen=True, slots=True)
class Invocation:
    """`--config` and `--json` as typed."""

    config: str | None
    json: bool

    def load(self) -> Loaded:
        """Read the configuration; problems are in it."""
        from relay.config.load import find, load

        return load(find(self.config, os.environ), os.environ)

    def settings(self) -> Settings:
        """Return the settings. Raises CommandError with every problem."""
        loaded = self.load()
        if loaded.settings is None or loaded.problems:
            raise CommandError(*(str(problem) for problem in loaded.problems), status=2)
        return loaded.settings


def invocation_of(context: typer.Context) -> Invocation:
    """Return what the command line's root put there."""
    found = context.find_object(Invocation)
    return found or Invocation(None, json=False)


def known_upstream(settings: Settings, name: str) -> str:
    """Return the name when there is such an upstream. Raises CommandError."""
    if name not in settings.upstream:
        known = ", ".join(settings.upstream) or "none"
        raise CommandError(f"{name}: no such upstream; there are: {known}", status=2)
    return name


def doubt_names(settings: Settings, client: str | None, upstream: str | None = None) -> None:
    """Say which of them there is not. No error: mail of what was removed from relay.toml may wait."""
    for name, kind, known in ((client, "client", settings.client), (upstream, "upstream", settings.upstream)):
        if name is not None and name not in known:
            complain(f"{name}: there is no such {kind} any more, or never was; there are: {', '.join(known) or 'none'}")
