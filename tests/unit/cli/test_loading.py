"""What a command loads before it is needed: people type them one after the other, and scripts by the hundred."""

import subprocess
import sys

import pytest

from relay.cli.command import application

HEAVY = ("alembic", "cryptography", "prometheus_client", "relay.cli.setup", "rich.console", "sqlalchemy", "structlog")


@pytest.mark.parametrize("command", ["status", "queue", "secret", "explain"])
def test_a_command_loads_what_it_needs(command: str) -> None:
    program = (
        "import sys; from relay.cli.command import application; "
        f"application(['{command}']); print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_command_is_where_it_is_said_to_be() -> None:
    app = application()
    names = {command.name for command in app.registered_commands} | {group.name for group in app.registered_groups}
    assert {"serve", "setup", "status", "simulate"} <= names
