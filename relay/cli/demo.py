"""`relay demo`: Relay with nothing to configure, against a simulated Microsoft 365 in the same process."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import shutil
import signal
import socket
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from relay.cli.output import CommandError, say

if TYPE_CHECKING:
    from relay.simulator.mailbox import ReceivedMessage
    from relay.simulator.simulator import Simulator

_HOST = "127.0.0.1"
_USER = "demo"
_TRAINING = "training"
_PASSWORD = "demo-password"  # noqa: S105 - opens nothing but the demo
_PATIENT = "patient@example.test"


@dataclass(frozen=True, slots=True)
class Place:
    """Where this demo is: its folder and its ports."""

    folder: Path
    starttls: int
    implicit: int
    metrics: int

    @property
    def config(self) -> Path:
        """Its relay.toml."""
        return self.folder / "relay.toml"

    @property
    def state_dir(self) -> Path:
        """Its state directory."""
        return self.folder / "state"


def demo() -> int:
    """Run with nothing to configure: a simulated Microsoft 365, a sandbox, and lines to paste. Leaves no files."""
    with (
        contextlib.ExitStack() as held,
        tempfile.TemporaryDirectory(prefix="relay-demo-", ignore_cleanup_errors=True) as folder,
    ):
        place = Place(Path(folder), *(_free_port(wanted, held) for wanted in (2525, 2465, 9225)))
        return asyncio.run(_demo(place))


async def _demo(place: Place) -> int:
    from relay.daemon import operate
    from relay.simulator.simulator import Simulator

    over = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    async with Simulator(directory=place.folder) as simulator:
        simulator.received.listeners.append(_tell)
        place.config.write_text(config_text(place, simulator), "utf-8")
        status = await operate(place.config, {}, over, lambda: _say(guide(place)))
    if status == 0:
        _say("Ended; nothing is left behind.")
    return status


def config_text(place: Place, simulator: Simulator) -> str:
    """Return the demo's relay.toml."""
    from relay.simulator.relay_toml import relay_toml

    password = place.folder / "password"
    password.write_text(_PASSWORD, "utf-8")
    return f"""\
hostname = "relay.clinic.test"
state_dir = "{place.state_dir}"

[listener."submission"]
address = "{_HOST}:{place.starttls}"

[listener."smtps"]
address = "{_HOST}:{place.implicit}"
security = "implicit"

[client."{_USER}"]
username = "{_USER}"
password = {{ file = "{password}" }}
upstream = "office365"

[client."{_TRAINING}"]
username = "{_TRAINING}"
password = {{ file = "{password}" }}
upstream = "sandbox"

[upstream."sandbox"]
type = "capture"

{relay_toml(simulator, "microsoft365", secrets="file")}
[metrics]
address = "{_HOST}:{place.metrics}"

[log]
format = "text"
level = "warning"
"""


def guide(place: Place) -> str:
    """Return what to type into an application, and lines to paste."""
    relay = _command()
    config = shlex.quote(str(place.config))
    authority = shlex.quote(str(place.state_dir / "tls" / "authority.pem"))
    port = place.starttls
    return f"""
Relay is running, and sends through a simulated Microsoft 365 (XOAUTH2, tokens by msal). Nothing leaves this machine.

Type into an application:

  Server       {_HOST}
  Port         {port} with STARTTLS, {place.implicit} with TLS from the start (SSL)
  User name    {_USER}          (or {_TRAINING}: its mail is kept in files, {place.state_dir}/capture/sandbox)
  Password     {_PASSWORD}
  Sender       no-reply@clinic.test
  Certificate  signed by {place.state_dir}/tls/authority.pem

Or paste into another terminal:

curl --silent --show-error --url smtp://{_HOST}:{port} --ssl-reqd --cacert {authority} --user {_USER}:{_PASSWORD} \
--mail-from no-reply@clinic.test --mail-rcpt {_PATIENT} --header 'From: <no-reply@clinic.test>' \
--header 'To: <{_PATIENT}>' --header 'Subject: by curl' --form '=Hello from curl.'

{_swaks()} --server {_HOST} --port {port} -tls --auth --auth-user {_USER} --auth-password {_PASSWORD} \
--from no-reply@clinic.test --to {_PATIENT} --header 'Subject: by swaks' --body 'Hello from swaks.'

What became of it:

{relay} status --config {config}
{relay} trace --config {config}

Metrics: http://{_HOST}:{place.metrics}/metrics    Ctrl-C ends it all.
"""


def _tell(message: ReceivedMessage) -> None:
    recipients = ", ".join(message.forward_paths)
    _say(f"Microsoft 365 (simulated) took a message from {message.reverse_path or '<>'} to {recipients}.")


def _command() -> str:
    """Return how this program was called, so that the line works where it isn't on the path."""
    called = Path(sys.argv[0])
    if called.name == "relay" and called.exists() and shutil.which("relay") != str(called):
        return shlex.quote(str(called.absolute()))
    return "relay" if called.name == "relay" else f"{shlex.quote(sys.executable)} -m relay"


def _swaks() -> str:
    """Return swaks: the machine's, else the one that `make peers` unpacked into the checkout."""
    unpacked = Path(__file__).parents[2] / ".peers" / "bin" / "swaks"
    return "swaks" if shutil.which("swaks") or not unpacked.exists() else shlex.quote(str(unpacked))


def _free_port(wanted: int, held: contextlib.ExitStack) -> int:
    """Return the port wanted, or the next that is free; no other demo gets it. Raises CommandError."""
    for port in range(wanted, wanted + 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((_HOST, port))
                _claim(port, held)
            except OSError:
                continue
            return port
    raise CommandError(f"relay demo: no port from {wanted} to {wanted + 99} is free; end what uses them")


def _claim(port: int, held: contextlib.ExitStack) -> None:
    """Keep other demos, which may start at this moment, off a port. Raises OSError where one has it."""
    if sys.platform == "linux":
        # A name of Linux's abstract kind: it is no file, and ends with the process.
        held.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)).bind(f"\0relay-demo-{port}")


def _say(text: str) -> None:
    say(text)
    sys.stdout.flush()
