"""The `relay` command: all command groups in one application, and the exit status of what they do."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException

from relay.cli import (
    capture,
    certificate,
    check,
    clients,
    demo,
    doctor,
    explain,
    login,
    queue,
    secret,
    serve,
    settings,
    simulate,
    spool,
    status,
    test,
    trace,
)
from relay.cli.arguments import Arguments
from relay.cli.invocation import Invocation
from relay.cli.output import CommandError, complain
from relay.cli.setup import group as setup
from relay.config.problems import ConfigError
from relay.control.socket import RefusedError
from relay.spool.contract import SpoolError
from relay.state_dir import StateDirError
from relay.version import VERSION

_STATUSES = (0, 1, 2)

app = typer.Typer(
    name="relay",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Takes mail from applications and sends it through Microsoft 365, Gmail, Amazon SES or any SMTP server.",
    epilog="--config and --json may stand before the command or after its arguments.",
)

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


@app.callback()
def root(
    config: ConfigOption = None,
    json: JsonOption = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    """Say what all commands have in common; the values were taken out before Typer saw them."""


app.command("serve")(serve.serve)
app.command("demo")(demo.demo)
app.add_typer(setup.group, name="setup")
app.command("check")(check.check)
app.command("status")(status.status)
app.add_typer(queue.group, name="queue")
app.add_typer(spool.group, name="spool")
app.command("trace")(trace.trace)
app.add_typer(capture.group, name="capture")
app.add_typer(clients.group, name="clients")
app.command("explain")(explain.explain)
app.command("doctor")(doctor.doctor)
app.command("test")(test.send_test)
app.command("login")(login.login)
app.add_typer(secret.group, name="secret")
app.command("settings")(settings.settings)
app.command("certificate")(certificate.certificate)
app.command("simulate")(simulate.simulate)


def run(arguments: Arguments) -> int:
    """Run a command; return its exit status. Every failure that is not a defect becomes lines on standard error."""
    if arguments.problem is not None:
        complain(arguments.problem)
        return 2
    try:
        answered: Any = typer.main.get_command(app)(
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
