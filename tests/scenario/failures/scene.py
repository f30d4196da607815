"""Where failures are played: simulators in one loop, scripted servers, and the upstreams that lead to them."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from relay.simulator.simulator import Simulator
from tests.rig.certificate import CertificateAuthority

T = TypeVar("T")

RECIPIENT = "patient@example.test"


class Scene:
    """All that a section's failures need; each has a simulator of its own, so that what fails there fails alone.

    `environ` is what the relay's environment has to hold; `simulators` are by the failures' names.
    """

    def __init__(self) -> None:
        self.exits = ExitStack()
        self.simulators: dict[str, Simulator] = {}
        self.folder = Path(tempfile.mkdtemp(prefix="relay-failures-"))
        self.authority = CertificateAuthority(self.folder / "authority")
        # The system's authorities are read anew for each of these many upstreams, and play no part.
        self.environ = {"SSL_CERT_FILE": str(self.authority.path), "SSL_CERT_DIR": str(self.folder)}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="failures", daemon=True)

    def __enter__(self) -> Self:
        self.exits.callback(shutil.rmtree, self.folder)
        self._thread.start()
        self.exits.callback(self._end)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.exits.close()

    def simulator(self, directory: str = "simulator", **options: Any) -> Simulator:
        """Start one. Those of one `directory` have the same certificate."""
        simulator = Simulator(directory=self.folder / directory, messages_per_minute=0, **options)
        self._run(simulator.__aenter__())
        self.exits.callback(lambda: self._run(simulator.__aexit__(None, None, None)))
        return simulator

    def do(self, change: Callable[[], T]) -> T:
        """Change something in the simulators' loop."""

        async def changed() -> T:
            return change()

        return self._run(changed())

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
