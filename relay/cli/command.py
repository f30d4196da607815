"""The `relay` command: all command groups in one application, and the exit status of what they do."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Annotated, Any, Final

import typer
from typer.exceptions import TyperException

from relay.cli.arguments import Arguments
from relay.cli.invocation import Invocation
from relay.cli.output import CommandError, complain
from relay.config.problems import ConfigError
from relay.control.socket import RefusedError
from relay.spool.contract import SpoolError
from relay.state_dir import StateDirError
from relay.version import VERSION

_STATUSES = (0, 1, 2)

_COMMANDS: Final[Mapping[str, str]] = {
    "serve": "serve:serve",
    "demo": "demo:demo",
    "setup": "setup.group:group",
    "check": "check:check",
    "status": "status:status",
    "queue": "queue:group",
    "spool": "spool:group",
    "trace": "trace:trace",
    "capture": "capture:group",
    "clients": "clients:group",
    "explain": "explain:explain",
    "doctor": "doctor:doctor",
    "test": "test:send_test",
    "login": "login:login",
    "secret": "secret:group",
    "settings": "settings:settings",
    "certificate": "certificate:certificate",
    "simulate": "simulate:simulate",
}
"""Where each is, in the order of the help. All together take half a second to load, of which one needs a tenth."""

ConfigOption = Annotated[
    str | None,
    typer.Option(
        "--config", metavar="FILE", help="default: $RELAY_CONFIG, else ./relay.toml, else /etc/relay/relay.toml"
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="print data as JSON")]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"relay {VERSION}")
        raise typer.Exit


def root(
    config: ConfigOption = None,
    json: JsonOption = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    """Say what all commands have in common; the values were taken out before Typer saw them."""


def application(names: Iterable[str] = _COMMANDS) -> typer.Typer:
    """Relay's command line with the commands named."""
    app = typer.Typer(
        name="relay",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        help="Takes mail from applications and sends it through Microsoft 365, Gmail, Amazon SES or any SMTP server.",
        epilog="--config and --json may stand before the command or after its arguments.",
    )
    app.callback()(root)
    for name in names:
        module, _, member = _COMMANDS[name].partition(":")
        command = getattr(import_module(f"relay.cli.{module}"), member)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name)(command)
    return app


def run(arguments: Arguments) -> int:
    """Run a command; return its exit status. Every failure that is not a defect becomes lines on standard error."""
    if arguments.problem is not None:
        complain(arguments.problem)
        return 2
    first = arguments.rest[:1]
    try:
        answered: Any = typer.main.get_command(application(first if set(first) & _COMMANDS.keys() else _COMMANDS))(
            args=list(arguments.rest),
            prog_name="relay",
            standalone_mode=False,
            obj=Invocation(arguments.config, arguments.json),
        )
    except TyperException as wrong:
        return _wrong_usage(wrong)
    except typer.Abort:
        complain("relay: stopped; nothing was changed")
        return 1
    except CommandError as failed:
        complain(*failed.texts)
        return failed.status
    except ConfigError as failed:
        complain(str(failed))
        return 2
    except (RefusedError, SpoolError, StateDirError) as failed:
        complain(str(failed))
        return 1
    # Typer says 130 for Ctrl-C; whatever isn't a status of ours is "not well".
    return answered if answered in _STATUSES else 0 if answered is None else 1


def _wrong_usage(wrong: TyperException) -> int:
    context = getattr(wrong, "ctx", None)
    text = wrong.format_message()
    if type(wrong).__name__ == "NoArgsIsHelpError":
        # The message is the help of a group that was named without a command.
        sys.stderr.write(text if text.endswith("\n") else text + "\n")
        return 2
    command = context.command_path if context is not None else "relay"
    if command == "relay secret set" and type(wrong).__name__ != "MissingParameter":
        # What is too much may be the secret.
        text = "takes the name alone; the secret is read from a prompt, or from standard input"
    complain(f"{command}: {text.rstrip('.')}; see: {command} --help")
    return 2
