"""What a power cut, a hasty stop and a second start do to mail that was answered with 250."""

import socket
import time
from collections.abc import Iterator

import pytest

from tests.rig.script import Answer
from tests.rig.scripted import ScriptedServer
from tests.rig.waiting import wait_until
from tests.scenario.conftest import StartRelay, plain_settings
from tests.scenario.load import Load, digest_in, mark_in
from tests.scenario.test_relays import send


class ServiceManager:
    """The end of $NOTIFY_SOCKET that systemd has."""

    def __init__(self, folder: str) -> None:
        self.address = f"{folder}/notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._socket.settimeout(20)

    def wait_for(self, line: str) -> None:
        """Return once this line was sent."""
        while line not in self._socket.recv(4096).decode().splitlines():
            pass

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()


@pytest.fixture
def service_manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceManager]:
    manager = ServiceManager(str(tmp_path_factory.mktemp("n")))
    yield manager
    manager.close()


def _arrived(provider: ScriptedServer) -> dict[str, str]:
    return {mark_in(transaction.content): digest_in(transaction.content) for transaction in provider.accepted}


@pytest.mark.parametrize("after", [0.3, 1.0, 1.7])
def test_killed_after_250(provider: ScriptedServer, start_relay: StartRelay, after: float) -> None:
    relay = start_relay(plain_settings(provider.port))
    load = Load(relay.port())
    load.start()
    wait_until(lambda: len(load.accepted) > 20, "the load to be under way")
    time.sleep(after)  # a moment that nothing marks is just what is wanted
    relay.kill()
    load.stop()
    assert load.accepted
    relay.start()
    wait_until(lambda: load.accepted.keys() <= _arrived(provider).keys(), "every accepted message to arrive", 60)
    arrived = _arrived(provider)
    assert {mark: arrived[mark] for mark in load.accepted} == load.accepted
    # What nobody was told of may arrive too, but only what was sent to its end.
    assert arrived.keys() - load.accepted.keys() <= load.uncertain


def test_drain(provider: ScriptedServer, start_relay: StartRelay) -> None:
    provider.script.always("BODY", Answer("250 2.0.0 Ok", delay=0.2))
    relay = start_relay(plain_settings(provider.port))
    load = Load(relay.port(), sessions=5)
    load.start()
    wait_until(lambda: len(load.accepted) > 10, "the load to be under way")
    began = time.monotonic()
    assert relay.terminate() == 0
    assert time.monotonic() - began < 25
    load.stop()
    assert [line["event"] for line in relay.log()][-1] == "stopped"
    relay.start()
    wait_until(lambda: load.accepted.keys() <= _arrived(provider).keys(), "what was queued to arrive", 60)
    marks = [mark_in(transaction.content) for transaction in provider.accepted]
    assert len(marks) == len(set(marks)), "a drain must not make a message arrive twice"


def test_drain_with_an_upstream_that_never_answers(provider: ScriptedServer, start_relay: StartRelay) -> None:
    provider.script.always("MAIL", Answer(None))
    relay = start_relay(plain_settings(provider.port))
    send(relay)
    wait_until(lambda: provider.commands, "the conversation to begin")
    began = time.monotonic()
    assert relay.terminate() == 0
    assert time.monotonic() - began < 25
    provider.script.well_again()
    relay.start()
    assert len(provider.wait_for(1)) == 1


def test_second_serve_refused(provider: ScriptedServer, start_relay: StartRelay) -> None:
    relay = start_relay(plain_settings(provider.port))
    assert relay.process is not None
    second = relay.command("serve")
    assert second.returncode == 1
    assert f"pid {relay.process.pid};" in second.stderr
    assert len(second.stderr.splitlines()) == 1
    assert relay.readiness()[0] == 200


def test_a_port_that_is_taken(provider: ScriptedServer, start_relay: StartRelay) -> None:
    relay = start_relay(plain_settings(provider.port))
    relay.terminate()
    settings = plain_settings(provider.port)
    settings["listener"] = {"submission": {"security": "none", "address": f"127.0.0.1:{provider.port}"}}
    relay.write_config(settings)
    refused = relay.command("serve")
    assert refused.returncode == 1
    [line] = refused.stderr.splitlines()
    assert "submission" in line
    assert str(provider.port) in line


def test_a_wrong_configuration_is_not_served(start_relay: StartRelay) -> None:
    relay = start_relay(plain_settings(9))
    relay.terminate()
    settings = plain_settings(9)
    settings["client"] = {"clinic": {"networks": ["127.0.0.0/8"], "upstream": "office"}}
    relay.write_config(settings)
    refused = relay.command("serve")
    assert refused.returncode == 2
    [line] = [line for line in refused.stderr.splitlines() if not line.startswith("{")]
    assert line.startswith(f"{relay.config}:")
    assert "client.clinic.upstream" in line


def test_the_service_manager_is_told(
    provider: ScriptedServer, start_relay: StartRelay, service_manager: ServiceManager
) -> None:
    relay = start_relay(plain_settings(provider.port), {"NOTIFY_SOCKET": service_manager.address})
    service_manager.wait_for("READY=1")
    relay.reload()
    service_manager.wait_for("RELOADING=1")
    relay.terminate()
    service_manager.wait_for("STOPPING=1")


def test_idle_imports(provider: ScriptedServer, start_relay: StartRelay) -> None:
    relay = start_relay(plain_settings(provider.port), {"PYTHONPROFILEIMPORTTIME": "1"})
    loaded = {line.rpartition("|")[2].strip() for line in relay.log_text().splitlines() if "import time:" in line}
    assert "relay.daemon" in loaded
    left_out = {"alembic", "typer", "rich", "fastapi", "starlette", "jinja2", "msal", "requests", "psycopg", "boto3"}
    # "rich" itself is structlog's attempt to import it, which fails.
    assert {name for name in loaded if name.partition(".")[0] in left_out} <= {"rich"}
    assert "cryptography.x509" not in loaded
