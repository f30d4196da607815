"""Our simulator of Microsoft, Google and Amazon for tests that block, and an upstream's table that leads to it."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from relay.simulator.simulator import Simulator
from tests.rig.credential_kinds import Cloud
from tests.rig.toml import Value

T = TypeVar("T")


class SimulatorThread:
    """The simulator in a loop of its own."""

    def __init__(self, **options: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.simulator = Simulator(**{"messages_per_minute": 0, **options})
        self._run(self.simulator.__aenter__())

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def do(self, change: Callable[[Simulator], object]) -> None:
        """Change something in the simulator's own loop."""

        async def changed() -> None:
            change(self.simulator)

        self._run(changed())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for something that the simulator does in its own loop."""
        return self._run(work)

    def wait_for(self, count: int) -> None:
        """Return once so many messages have come in all."""
        self._run(self.simulator.wait_for(count, 30))

    def close(self) -> None:
        """End it."""
        self._run(self.simulator.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def cloud_of(simulator: Simulator) -> Cloud:
    """What gives tokens in the simulator, and what takes them."""
    return Cloud(
        simulator.entra,
        simulator.google,
        simulator.managed_identity,
        simulator.options,
        simulator.ca_file,
        simulator.host,
        simulator.microsoft365.port,
        simulator.gmail.port,
    )


def microsoft365_upstream(simulator: Simulator, **keys: Value) -> dict[str, Value]:
    """An [upstream.NAME] for the simulator's mailbox and application; the credential is among `keys`."""
    return cloud_of(simulator).microsoft365(**keys)


def graph_upstream(simulator: Simulator, **keys: Value) -> dict[str, Value]:
    """The same by Microsoft Graph."""
    return microsoft365_upstream(simulator, **{"via": "graph", "port": simulator.authority.port, **keys})
