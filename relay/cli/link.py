"""Who answers a command: the running relay, or where none runs the spool, opened by the command itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

from relay.cli.output import CommandError
from relay.config.settings import Settings
from relay.control.socket import ControlConnection, connect
from relay.state_dir import as_owner, holder_of, prepare

_PATIENCE = 300.0
"""Seconds for an answer: a test message may have to wait for a slow provider."""


class Link:
    """Asks, and raises RefusedError for what can't be met."""

    def __init__(self, ask: Callable[[str, dict[str, Any]], Any]) -> None:
        self._ask = ask

    def ask(self, command: str, **arguments: Any) -> Any:
        """Return the answer to a command."""
        return self._ask(command, arguments)


@contextlib.contextmanager
def link_to(settings: Settings) -> Iterator[Link]:
    """Reach whoever can answer. Raises CommandError, SpoolError, StateDirError."""
    try:
        connection = connect(settings.state_dir, _PATIENCE)
    except PermissionError as error:
        raise CommandError(f"{settings.state_dir}: not yours; run this as root, or as its owner") from error
    if connection is not None:
        with connection:
            yield Link(_asking(connection))
        return
    holder = holder_of(settings.state_dir)
    if holder is not None:
        raise CommandError(
            f"a relay is running (pid {holder}) and not reachable yet, or any more; try again, or see whether "
            f"{settings.state_dir}/control.sock is there: a restart makes it anew"
        )
    with _own_link(settings) as link:
        yield link


def _asking(connection: ControlConnection) -> Callable[[str, dict[str, Any]], Any]:
    def ask(command: str, arguments: dict[str, Any]) -> Any:
        try:
            return connection.ask(command, arguments)
        except OSError as error:
            raise CommandError(f"the running relay did not answer: {error}; its log may say why") from error

    return ask


@contextlib.contextmanager
def _own_link(settings: Settings) -> Iterator[Link]:
    """Open the spool as the folder's owner, lest root leave files that the relay can't open."""
    from relay.cli.own_answers import own_answers

    prepare(settings.state_dir)
    with as_owner(settings.state_dir), asyncio.Runner() as runner:
        opened = own_answers(settings, os.environ)
        answers = runner.run(opened.__aenter__())
        try:
            yield Link(lambda command, arguments: runner.run(answers.answer(command, arguments)))
        finally:
            runner.run(opened.__aexit__(None, None, None))
