"""`relay setup` and what belongs to it; every question has a flag, so that it can be answered without asking."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from relay.cli.invocation import invocation_of
from relay.cli.output import CommandError
from relay.cli.setup.gmail import gmail
from relay.cli.setup.microsoft365 import microsoft365
from relay.cli.setup.questions import questions
from relay.cli.setup.ses import ses

group = typer.Typer(
    invoke_without_command=True,
    help="Ask a handful of questions, write relay.toml, seal the secrets, and try it.",
    epilog="Secrets are asked for, or come from a file, standard input (-) or a variable: never from the command line.",
)
group.command("microsoft365")(microsoft365)
group.command("gmail")(gmail)
group.command("ses")(ses)


def _flag(name: str) -> typer.models.OptionInfo:
    """Return the option of a question, with the question as its help."""
    asked = next(question for question in questions() if question.flag == name)
    words = f" ({', '.join(asked.choices)})" if asked.choices else ""
    option: typer.models.OptionInfo = typer.Option("--" + name.replace("_", "-"), help=asked.ask + words)
    return option


def _place(name: str, what: str) -> typer.models.OptionInfo:
    source = "from a file; - is a line of standard input" if what == "file" else "from a variable"
    metavar = "FILE" if what == "file" else "NAME"
    option: typer.models.OptionInfo = typer.Option(
        f"--{name.replace('_', '-')}-{what}", metavar=metavar, help=f"{_SECRETS[name]}, {source}"
    )
    return option


_SECRETS = {
    "secret": "The provider's secret: client secret, app password, SMTP password or key",
    "client_password": next(question for question in questions() if question.key == "client_password").ask,
}
Text = str | None


@group.callback()
def setup(
    context: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", help="ask nothing: flags, and what is usual or there already")] = False,
    provider: Annotated[Text, _flag("provider")] = None,
    upstream: Annotated[Text, _flag("upstream")] = None,
    mailbox: Annotated[Text, _flag("mailbox")] = None,
    tenant: Annotated[Text, _flag("tenant")] = None,
    client_id: Annotated[Text, _flag("client_id")] = None,
    credential: Annotated[Text, _flag("credential")] = None,
    secret_expires: Annotated[Text, _flag("secret_expires")] = None,
    may_send_as: Annotated[Text, _flag("may_send_as")] = None,
    region: Annotated[Text, _flag("region")] = None,
    username: Annotated[Text, _flag("username")] = None,
    host: Annotated[Text, _flag("host")] = None,
    port: Annotated[Text, _flag("port")] = None,
    upstream_security: Annotated[Text, _flag("upstream_security")] = None,
    application: Annotated[Text, _flag("application")] = None,
    client: Annotated[Text, _flag("client")] = None,
    access: Annotated[Text, _flag("access")] = None,
    client_username: Annotated[Text, _flag("client_username")] = None,
    networks: Annotated[Text, _flag("networks")] = None,
    senders: Annotated[Text, _flag("senders")] = None,
    listen: Annotated[Text, _flag("listen")] = None,
    security: Annotated[Text, _flag("security")] = None,
    hostname: Annotated[Text, _flag("hostname")] = None,
    state_dir: Annotated[Text, _flag("state_dir")] = None,
    alerts_to: Annotated[Text, _flag("alerts_to")] = None,
    test_to: Annotated[Text, _flag("test_to")] = None,
    secret_file: Annotated[Text, _place("secret", "file")] = None,
    secret_env: Annotated[Text, _place("secret", "env")] = None,
    client_password_file: Annotated[Text, _place("client_password", "file")] = None,
    client_password_env: Annotated[Text, _place("client_password", "env")] = None,
    simulator_host: Annotated[
        str, typer.Option("--simulator-host", metavar="ADDRESS", help="where relay simulate runs")
    ] = "127.0.0.1",
) -> int | None:
    """Ask a handful of questions, write relay.toml, seal the secrets, and try it."""
    if context.invoked_subcommand is not None:
        return None
    files = {"secret": secret_file, "client_password": client_password_file}
    variables = {"secret": secret_env, "client_password": client_password_env}
    return _interview(context, files, variables, simulator_host, yes=yes)


def _interview(
    context: typer.Context, files: dict[str, Text], variables: dict[str, Text], simulator: str, *, yes: bool
) -> int:
    from relay.cli.setup.from_flags import secrets_from
    from relay.cli.setup.interview import Request, interview
    from relay.cli.setup.terminal import at_terminal

    invocation = invocation_of(context)
    if not yes and not at_terminal():
        raise CommandError(
            "no terminal to ask at; answer by flags: relay setup --yes --provider ..., see --help", status=2
        )
    if invocation.json and not yes:
        raise CommandError("--json is for programs, of which nothing is asked; add --yes", status=2)
    given = {name: str(value) for name, value in context.params.items() if value is not None and name in _FLAGS}
    secrets = secrets_from(files, variables, os.environ)
    return interview(Request(invocation.config, invocation.json, yes, given, secrets, simulator))


_FLAGS = frozenset(question.flag for question in questions() if not question.secret)
