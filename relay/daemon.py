"""The composition root: everything that `serve` consists of, opened in order, drained and closed in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import NoReturn

from relay import descriptors, logs, memory, state_dir, systemd
from relay.config.load import Loaded, find, load
from relay.config.problems import ConfigError, Problem
from relay.config.seal import SealedStore
from relay.config.secrets import Secrets
from relay.config.settings import Settings
from relay.config.whole import whole
from relay.control.alert_memory import AlertMemory
from relay.control.answers import Answers
from relay.control.changed_files import ChangedFiles
from relay.control.clock_watch import ClockWatch
from relay.control.life import RunningLife
from relay.control.lookout import Lookout
from relay.control.socket import ControlServer
from relay.health import Gauges, Health, HealthServer, bound_sockets
from relay.inbound.listeners import InboundError, Listeners
from relay.journal import Journal
from relay.metrics import Metrics
from relay.spool.contract import SpoolError
from relay.spool.records import Selection
from relay.spool.store import Spool
from relay.transfer.dispatcher import Dispatcher
from relay.transfer.webhook import Webhook
from relay.upstream.construction import upstream_of
from relay.upstream.contract import Upstream
from relay.version import VERSION

_INBOUND_DRAIN = 8.0
_OUTBOUND_DRAIN = 10.0
"""With all else that has to close, within the 25 s that a service manager is promised."""

_SPOOL_PATIENCE = 60.0
"""Seconds after which a spool that nothing writes ends the process: whoever started it may have more luck."""

_RESTART_PAUSE = 5.0
_WATCH_EVERY = 1.0
_NEEDS_RESTART = ("hostname", "state_dir", "queue.url", "queue.password", "metrics.address")


def serve(config: str | None) -> NoReturn:
    """Run until SIGTERM or SIGINT, and end the process. SIGHUP reads the configuration again."""
    environ = dict(os.environ)
    with asyncio.Runner(loop_factory=_new_loop) as runner:
        status = runner.run(_until_signalled(find(config, environ), environ))
        logs.flush()
        # All is closed. The interpreter would wait for threads that nothing can break off, such as one that asks a name
        # server which doesn't answer, for longer than a service manager is promised.
        os._exit(status)


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def _until_signalled(path: Path, environ: Mapping[str, str]) -> int:
    over, hang_up = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    hears = {signal.SIGTERM: over.set, signal.SIGINT: over.set, signal.SIGHUP: hang_up.set}
    for number, heard in hears.items():
        loop.add_signal_handler(number, heard)
    status = await operate(path, environ, over, memory.settle, hang_up)
    # From here on nothing hears them, and one more would make a failure of what ended well.
    signal.pthread_sigmask(signal.SIG_BLOCK, hears)
    return status


async def operate(
    path: Path,
    environ: Mapping[str, str],
    over: asyncio.Event,
    opened: Callable[[], None] = lambda: None,
    hang_up: asyncio.Event | None = None,
) -> int:
    """Run a relay in this loop until `over`; `opened` is called once it is ready. Problems go to standard error."""
    loaded = load(path, environ)
    report = whole(loaded, environ)
    if loaded.settings is None or report.problems:
        _complain(*map(str, report.problems))
        return 2
    log = loaded.settings.log
    logs.configure(log.format, log.level, log.addresses)
    daemon = Daemon(loaded, loaded.settings, environ)
    descriptors.allow_many()
    daemon.warn_of(report.warnings)
    daemon.warn_of_descriptors(loaded.settings)
    try:
        async with contextlib.AsyncExitStack() as exits:
            await daemon.open(exits, over, hang_up or asyncio.Event())
            opened()
            await over.wait()
            daemon.begin_to_stop()
    except (state_dir.StateDirError, SpoolError, InboundError, ConfigError) as error:
        _complain(f"relay serve: {error}")
        return 1
    daemon.journal.told("stopped")
    return daemon.status


def _complain(*texts: str) -> None:
    for text in texts:
        sys.stderr.write(" ".join(text.split()) + "\n")


class Daemon:
    """One running relay: its parts, and what happens to them while it runs."""

    def __init__(self, loaded: Loaded, settings: Settings, environ: Mapping[str, str]) -> None:
        self._path = loaded.path
        self._environ = environ
        self._settings = settings
        self._secrets = Secrets(environ, SealedStore(settings.state_dir, environ))
        self._metrics = Metrics(VERSION)
        self.journal = Journal(self._metrics)
        self.status = 0
        self._upstreams: dict[str, Upstream] = {}
        self._retiring: set[asyncio.Task[None]] = set()
        self._reloading = asyncio.Lock()

    def warn_of(self, warnings: tuple[Problem, ...]) -> None:
        """Tell of what is accepted and has no effect, or is doubtful."""
        for warning in warnings:
            self.journal.warned("configuration", key=warning.key, line=warning.line, text=warning.text)

    def warn_of_descriptors(self, settings: Settings) -> None:
        """Tell where connections may fail for want of open files."""
        text = descriptors.too_few(settings)
        if text is not None:
            self.journal.warned("too_few_descriptors", text=text)

    async def open(self, exits: contextlib.AsyncExitStack, over: asyncio.Event, hang_up: asyncio.Event) -> None:
        """Open everything, in the order in which it is needed. Raises what its parts raise where they can't open."""
        settings = self._settings
        state_dir.prepare(settings.state_dir)
        exits.enter_context(state_dir.locked(settings.state_dir))
        self.journal.prepare(settings.listener, settings.client, settings.upstream)
        self._spool = await self._open_spool()
        exits.push_async_callback(self._spool.aclose)
        self._upstreams = {name: upstream_of(name, settings, self._secrets) for name in settings.upstream}
        exits.push_async_callback(self._close_upstreams)
        webhook = Webhook(lambda: self._settings.alerts.webhook, self._secrets, self.journal)
        await self._keep(exits, "webhook", webhook.run, webhook.close)
        self._dispatcher = Dispatcher(
            settings, self._spool.outgoing, self._upstreams, self.journal, self._spool.intake.put, webhook.put
        )
        self._listeners = Listeners(
            settings,
            self._secrets,
            self._spool.intake,
            self.journal,
            self._dispatcher.direct,
            self._dispatcher.load,
            lambda name: getattr(self._upstreams.get(name), "largest_message", None),
        )
        self._life = RunningLife(
            lambda: self._settings, self._secrets, self._spool, self._listeners, self._dispatcher, self._upstreams
        )
        await self._open_health(exits)
        await self._open_control(exits)
        await self._dispatcher.start()
        exits.push_async_callback(self._dispatcher.drain, _OUTBOUND_DRAIN)
        await self._listeners.start()
        exits.push_async_callback(self._listeners.drain, _INBOUND_DRAIN)
        files = ChangedFiles(lambda: self._settings, self._secrets.store, self._on_changed_files)
        await self._keep(exits, "watch", files.run)
        memory = AlertMemory(settings.state_dir, self.journal)
        lookout = Lookout(lambda: self._settings, self._life, self._dispatcher.alerts, memory)
        await self._keep(exits, "lookout", lookout.run)
        await self._keep(exits, "clock", ClockWatch(self._retry_all, self.journal).run)
        await self._keep(exits, "spool", lambda: self._give_up_on_spool(over))
        await self._keep(exits, "reload", lambda: self._reload_on(hang_up))
        self.journal.told("started", version=VERSION, pid=os.getpid())
        systemd.notify("READY=1", f"STATUS=Relay {VERSION} takes mail")

    def begin_to_stop(self) -> None:
        """Tell everybody; what closes the parts comes after."""
        self._life.draining = True
        self._listeners.stop_accepting()
        self._dispatcher.direct.stop()
        systemd.notify("STOPPING=1")
        self.journal.told("draining")

    # ---- parts -------------------------------------------------------------------------------------

    async def _open_spool(self) -> Spool:
        queue = self._settings.queue
        password = self._secrets.resolve(queue.password) if queue.password else None
        return await Spool.open(
            queue.url,
            self._settings.state_dir,
            password=password,
            reserve=queue.reserve,
            keep_trace=queue.keep_trace,
        )

    async def _open_health(self, exits: contextlib.AsyncExitStack) -> None:
        address = self._settings.metrics.address
        try:
            sockets = bound_sockets(address.bind_host, address.port)
        except OSError as error:
            raise InboundError(f"metrics.address: {address}: {error.strerror}; choose another address") from error
        gauges = Gauges(
            self._metrics,
            self._spool.inspection,
            lambda: tuple(self._upstreams),
            lambda name: self._upstreams[name].connections,
            self._life,
            self._spool,
        )
        health = Health(self._metrics.registry, gauges.refresh, self._life.unready, self.journal)
        server = HealthServer(health, sockets)
        await self._keep(exits, "health", server.serve, server.close)

    async def _open_control(self, exits: contextlib.AsyncExitStack) -> None:
        answers = Answers(
            lambda: self._settings,
            self._spool.inspection,
            self._spool.outgoing,
            self.journal,
            lambda name: self._upstreams[name],
            self._life,
            self.reload,
            self._dispatcher.nudge,
            self._dispatcher.admit,
        )
        control = ControlServer(self._settings.state_dir, answers.answer, self.journal)
        try:
            await control.open()
        except OSError as error:
            raise state_dir.StateDirError(f"{self._settings.state_dir}/control.sock: {error.strerror}") from error
        exits.push_async_callback(control.aclose)

    async def _close_upstreams(self) -> None:
        for task in self._retiring:
            task.cancel()
        await asyncio.gather(*self._retiring, return_exceptions=True)
        await asyncio.gather(*(upstream.aclose() for upstream in self._upstreams.values()))

    async def _keep(
        self,
        exits: contextlib.AsyncExitStack,
        name: str,
        work: Callable[[], Awaitable[None]],
        close: Callable[[], None] | None = None,
    ) -> None:
        """Run a task for as long as the relay runs; one that dies is logged and started again after a pause."""

        async def root() -> None:
            while True:
                try:
                    return await work()
                except Exception as error:  # a task root
                    self.journal.failed(name, error)
                    await asyncio.sleep(_RESTART_PAUSE)

        task = asyncio.create_task(root(), name=name)

        async def end() -> None:
            if close is not None:
                close()
                await asyncio.wait([task], timeout=3)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

        exits.push_async_callback(end)

    # ---- what happens meanwhile --------------------------------------------------------------------

    async def _retry_all(self) -> int:
        changed = await self._spool.inspection.change("retry", Selection())
        for name in self._settings.upstream:
            self._dispatcher.nudge(name)
        return changed

    async def _reload_on(self, hang_up: asyncio.Event) -> None:
        while True:
            await hang_up.wait()
            hang_up.clear()
            await self.reload()

    async def reload(self) -> list[str]:
        """Read the configuration again; return its problems, and then the old one stays in force."""
        async with self._reloading:
            systemd.notify_reloading()
            try:
                problems = await self._reload()
            finally:
                systemd.notify("READY=1")
        for problem in problems:
            self.journal.warned("reload_refused", text=problem)
        if not problems:
            self.journal.told("reloaded")
        return problems

    async def _reload(self) -> list[str]:
        loaded = await asyncio.to_thread(load, self._path, self._environ)
        report = await asyncio.to_thread(whole, loaded, self._environ)
        if loaded.settings is None or report.problems:
            return [str(problem) for problem in report.problems]
        if self._settings.upstream and not (loaded.settings.upstream or loaded.settings.client):
            # What a save to a full disk leaves: it stops all mail, and nobody means it.
            return [f"{self._path}: neither clients nor upstreams are left in it; restart relay if that is meant"]
        self.warn_of(report.warnings)
        self.warn_of_descriptors(loaded.settings)
        new = self._as_far_as_possible(loaded.settings)
        try:
            await self._listeners.apply(new, self._secrets)
        except InboundError as error:
            return [str(error)]
        before, self._settings = self._settings, new
        self._spool.apply(new.queue.reserve, new.queue.keep_trace)
        self.journal.prepare(new.listener, new.client, new.upstream)
        logs.configure(new.log.format, new.log.level, new.log.addresses)
        kept = {
            name: upstream
            for name, upstream in self._upstreams.items()
            if name in new.upstream and new.upstream[name] == before.upstream[name]
        }
        left = [upstream for name, upstream in self._upstreams.items() if name not in kept]
        made = {name: upstream_of(name, new, self._secrets) for name in new.upstream if name not in kept}
        self._upstreams = {name: kept.get(name) or made[name] for name in new.upstream}
        self._life.upstreams = self._upstreams
        self._life.forget_expiries()
        await self._dispatcher.apply(new, self._upstreams)
        for upstream in left:
            self._retiring.add(task := asyncio.create_task(self._retire(upstream)))
            task.add_done_callback(self._retiring.discard)
        return []

    async def _retire(self, upstream: Upstream) -> None:
        """Close an upstream that was replaced or removed, once the messages on their way through it have ended."""
        try:
            await self._dispatcher.finish(upstream)
        finally:
            await upstream.aclose()

    def _as_far_as_possible(self, new: Settings) -> Settings:
        """Return the new settings with what can't change before a restart as it is."""
        old = self._settings
        for key in _NEEDS_RESTART:
            was, wanted = map(attrgetter(key), (old, new))
            if was != wanted:
                self.journal.warned("needs_restart", key=key, text=f"{wanted} comes into force at the next start")
        return new.model_copy(
            update={
                "hostname": old.hostname,
                "state_dir": old.state_dir,
                "queue": new.queue.model_copy(update={"url": old.queue.url, "password": old.queue.password}),
                "metrics": old.metrics,
            }
        )

    def _on_changed_files(self, names: Sequence[str]) -> None:
        """Try at once what waits for a secret or certificate that has just been changed."""
        self.journal.told("files_changed", files=names)
        self._life.forget_expiries()
        self._dispatcher.read_texts()
        for name in self._upstreams:
            self._dispatcher.nudge(name)

    async def _give_up_on_spool(self, over: asyncio.Event) -> None:
        """End the process when nothing writes the spool any more, and can't be started again.

        A disk that is full or read-only, or a server that is away, is no reason: it ends by itself, and until then we
        remember the outcomes that could not be recorded. Without them those messages would be sent twice.
        """
        loop = asyncio.get_running_loop()
        ended_at: float | None = None
        while True:
            await asyncio.sleep(_WATCH_EVERY)
            if self._spool.writes:
                ended_at = None
                continue
            ended_at = ended_at if ended_at is not None else loop.time()
            if loop.time() - ended_at >= _SPOOL_PATIENCE:
                self.journal.failed("spool", SpoolError("nothing writes the spool any more"))
                self.status = 1
                over.set()
                return
