"""Real listeners on loopback before a real spool, in the test's own event loop."""

import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from relay.config.secret_reference import SecretReference
from relay.config.settings import Settings
from relay.inbound.listeners import Listeners
from relay.journal import Journal
from relay.metrics import Metrics
from relay.spool.records import QueueEntry, Selection
from relay.spool.store import Spool
from tests.dialogue.visitor import PASSWORD, leave_all

DEFAULTS: Mapping[str, object] = {
    "hostname": "relay.test",
    "upstream": {"isp": {"type": "smtp", "host": "isp.test", "port": 25}},
    "listener": {"door": {"address": "127.0.0.1:0", "security": "none"}},
    "client": {"careright": {"username": "careright", "password": {"env": "P"}, "upstream": "isp"}},
}


class KnownSecrets:
    """Every secret is the same word, but for variables given."""

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self.values = dict(values or {})

    def resolve(self, reference: SecretReference) -> str:
        return self.values.get(str(reference.env), PASSWORD)

    def text_of(self, place: Path | SecretReference) -> str:
        return place.read_text() if isinstance(place, Path) else self.resolve(place)


@dataclass
class Entrance:
    """What a test needs: where to connect, and what came of it."""

    listeners: Listeners
    spool: Spool
    metrics: Metrics
    secrets: KnownSecrets

    def port(self, listener: str = "") -> int:
        found = [status for status in self.listeners.status() if listener in ("", status.name)]
        return int(found[0].address.rpartition(":")[2])

    async def messages(self) -> list[tuple[QueueEntry, bytes]]:
        entries = await self.spool.inspection.queue(Selection(), None, 1000)
        return [(entry, await self._content(entry.message.id)) for entry in entries]

    async def _content(self, name: str) -> bytes:
        content = await self.spool.inspection.content(name)
        assert content is not None
        return b"".join([chunk async for chunk in content.chunks()])

    def counted(self, metric: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(metric, labels) or 0.0


def merged(below: Mapping[str, object], above: Mapping[str, object]) -> dict[str, object]:
    """One table over another; a table named in both is merged, but clients and listeners given replace the default."""
    result = dict(below)
    for key, value in above.items():
        lower = below.get(key)
        replaced = key in {"client", "listener", "upstream"}
        result[key] = (
            merged(lower, value) if isinstance(lower, dict) and isinstance(value, dict) and not replaced else value
        )
    return result


def settings_from(tables: Mapping[str, object], folder: Path) -> Settings:
    return Settings.model_validate(merged({**DEFAULTS, "state_dir": str(folder)}, tables))


@contextlib.asynccontextmanager
async def entrance(
    folder: Path, tables: Mapping[str, object], secrets: KnownSecrets | None = None
) -> AsyncIterator[Entrance]:
    settings = settings_from(tables, folder)
    spool = await Spool.open("", folder)
    metrics = Metrics("test")
    known = secrets or KnownSecrets()
    listeners = Listeners(settings, known, spool.intake, Journal(metrics))
    try:
        await listeners.start()
        yield Entrance(listeners, spool, metrics, known)
    finally:
        await leave_all()
        await listeners.drain(5)
        await spool.aclose()


def client_context() -> ssl.SSLContext:
    """A client that believes any certificate and speaks any version, as old software does."""
    import warnings

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
    return context
