"""What the stories share: an upstream that answers by script, and a relay in front of it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.rig.relay import RelayProcess
from tests.rig.scripted import ScriptedServer
from tests.rig.simulate import SimulateProcess
from tests.rig.simulated import SimulatorThread
from tests.rig.toml import Value

StartRelay = Callable[..., RelayProcess]


@pytest.fixture
def provider() -> Iterator[ScriptedServer]:
    """The upstream."""
    with ScriptedServer() as server:
        yield server


@pytest.fixture
def cloud() -> Iterator[SimulatorThread]:
    """Microsoft 365 and its authority, as the simulator plays them."""
    running = SimulatorThread()
    yield running
    running.close()


def plain_settings(port: int, **queue: Value) -> dict[str, Value]:
    """A listener without TLS, a client known by its network, one upstream; short pauses."""
    return {
        "listener": {"submission": {"security": "none", "max_message_size": "160MiB"}},
        "client": {"clinic": {"networks": ["127.0.0.0/8"], "upstream": "provider"}},
        "upstream": {"provider": {"type": "smtp", "host": "127.0.0.1", "port": port, "security": "none"}},
        "queue": {"retry_first": "200ms", "retry_most": "1s", "jitter": 0.0, **queue},
    }


@pytest.fixture
def start_relay(tmp_path: Path) -> Iterator[StartRelay]:
    """Starts relays of this test; all end with it."""
    with ExitStack() as running:

        def start(settings: dict[str, Value], environ: dict[str, str] | None = None) -> RelayProcess:
            return running.enter_context(RelayProcess(tmp_path / "relay", settings, environ))

        yield start


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulateProcess]:
    """`relay simulate`, for all tests of a module."""
    with SimulateProcess(tmp_path_factory.mktemp("simulate")) as running:
        yield running
