"""The door by which others see `inbound`: all listeners, opened, changed and drained together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from relay.config.settings import Settings
from relay.inbound.certificates import Certificates
from relay.inbound.error import InboundError
from relay.inbound.listener import Listener, ListenerStatus
from relay.inbound.passwords import SecretSource
from relay.inbound.premises import Premises
from relay.inbound.protocol import Protocol
from relay.journal import Journal
from relay.spool.contract import Carrier, Intake
from relay.spool.records import Load

__all__ = ["InboundError", "ListenerStatus", "Listeners"]


class Listeners:
    """Mail comes in while these are open. One event loop; nothing here blocks it.

    `Listeners(...)`, `await start()`, any number of `await apply(...)`, `await drain(seconds)`.
    """

    def __init__(
        self,
        settings: Settings,
        secrets: SecretSource,
        intake: Intake,
        journal: Journal,
        carrier: Carrier | None = None,
        load_of: Callable[[str], Load] = lambda upstream: Load(),
        largest_of: Callable[[str], int | None] = lambda upstream: None,
    ) -> None:
        self._premises = Premises(
            settings, secrets, intake, journal, carrier=carrier, load_of=load_of, largest_of=largest_of
        )
        self._listeners: list[Listener] = []
        self._closed: list[Listener] = []
        self._watcher: asyncio.Task[None] | None = None
        self._learner: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open all. Raises InboundError, which names listener and address or the certificate; then none is open."""
        settings = self._premises.settings
        self._premises.use(await self._certificates(settings, self._premises.secrets))
        opened = [Listener(name, own, self._premises) for name, own in settings.listener.items()]
        _bind(opened)
        for listener in opened:
            await listener.open()
        self._listeners = opened
        self._watcher = asyncio.get_running_loop().create_task(self._watch())
        self._learner = asyncio.get_running_loop().create_task(self._learn())

    @property
    def ready(self) -> bool:
        """True while all listeners are open."""
        return bool(self._listeners) and not self._premises.draining

    def status(self) -> Sequence[ListenerStatus]:
        """Return every listener as `relay status` shows it."""
        return [listener.status() for listener in self._listeners]

    @property
    def certificate_expires_at(self) -> int | None:
        """When the certificate in force expires, in milliseconds; None where no listener uses TLS."""
        return self._premises.certificates.expires_at

    async def apply(self, settings: Settings, secrets: SecretSource) -> None:
        """Go by other settings: listeners open and close, connections live on.

        New clients and passwords count from the next command of each. Raises InboundError: then all stays as it was.
        """
        premises = self._premises
        certificates = await self._certificates(settings, secrets, premises.settings)
        open_now = {listener.name: listener for listener in self._listeners}
        kept = [
            open_now[name]
            for name, own in settings.listener.items()
            if name in open_now and open_now[name].serves(name, own)
        ]
        kept_names = {listener.name for listener in kept}
        fresh = [Listener(name, own, premises) for name, own in settings.listener.items() if name not in kept_names]
        before = premises.settings, premises.secrets, premises.certificates
        # First, for whoever comes in by a fresh listener is to find them.
        premises.put_in_force(settings, secrets)
        premises.use(certificates)
        try:
            await self._exchange([listener for listener in self._listeners if listener not in kept], fresh)
        except InboundError:
            premises.put_in_force(before[0], before[1])
            premises.use(before[2])
            raise
        for listener in kept:
            listener.settings = settings.listener[listener.name]
        self._listeners = kept + fresh

    def stop_accepting(self) -> None:
        """Close the doors; those who are in may finish what they are sending, then hear 421 4.3.2."""
        self._premises.draining = True
        for listener in self._listeners:
            listener.close()
        for connection in self._connections():
            connection.drain()

    async def drain(self, seconds: float) -> None:
        """Stop accepting, and return when all connections have ended, at the latest after `seconds`.

        What was being put into the spool is put in any case.
        """
        self.stop_accepting()
        for task in (self._watcher, self._learner):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        endings = [connection.ending() for connection in self._connections()]
        if endings:
            await asyncio.wait(endings, timeout=seconds)
        for _ in ("with a goodbye", "without"):
            late = [connection.ending() for connection in self._connections()]
            for connection in self._connections():
                connection.abort()
            if late:
                await asyncio.wait(late, timeout=1)
        await self._premises.acceptance.settled()
        self._premises.devices.close()

    # ---- within

    async def _certificates(self, settings: Settings, secrets: SecretSource, *also: Settings) -> Certificates:
        used = [own for one in (settings, *also) for own in one.listener.values() if own.uses_tls]
        versions = (
            {own.minimum_tls for own in used} if any(own.uses_tls for own in settings.listener.values()) else set()
        )
        certificates = Certificates(settings, secrets, versions)
        await certificates.load()
        return certificates

    async def _exchange(self, old: list[Listener], new: list[Listener]) -> None:
        """Close the old, open the new; where that fails the old are opened again."""
        addresses = [listener.settings.address for listener in old]
        waiting = [one for one in new if any(one.settings.address.overlaps(address) for address in addresses)]
        at_once = [one for one in new if one not in waiting]
        _bind(at_once)
        for listener in old:
            listener.close()
        try:
            _bind(waiting)
        except InboundError:
            for listener in at_once:
                listener.close()
            _bind(old)
            for listener in old:
                await listener.open()
            raise
        for listener in new:
            await listener.open()
        self._closed = [listener for listener in [*self._closed, *old] if listener.connections]

    def _connections(self) -> list[Protocol]:
        return [connection for listener in [*self._listeners, *self._closed] for connection in listener.connections]

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._premises.certificates.every)
            try:
                await self._premises.certificates.refresh()
            except Exception as error:  # task root: the certificate in force stays
                self._premises.journal.failed("inbound.certificates", error)

    async def _learn(self) -> None:
        try:
            await self._premises.devices.run()
        except Exception as error:  # task root: mail goes on without the record
            self._premises.journal.failed("inbound.devices", error)


def _bind(listeners: list[Listener]) -> None:
    """Bind all or none."""
    try:
        for listener in listeners:
            listener.bind()
    except InboundError:
        for listener in listeners:
            listener.close()
        raise
