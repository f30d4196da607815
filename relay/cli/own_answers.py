"""The answers of a command that opens the spool itself, because no relay runs."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Mapping

from relay import logs
from relay.config.seal import SealedStore
from relay.config.secrets import Secrets
from relay.config.settings import Settings
from relay.control.answers import Answers
from relay.journal import Journal
from relay.metrics import Metrics
from relay.spool.store import Spool
from relay.upstream.construction import upstream_of
from relay.upstream.contract import Upstream
from relay.version import VERSION


@contextlib.asynccontextmanager
async def own_answers(settings: Settings, environ: Mapping[str, str]) -> AsyncIterator[Answers]:
    """Open the spool beside whoever else has it open, and close it. Raises SpoolError, ConfigError."""
    # The answer says what happened; the log is that of a running relay.
    logging.disable(logging.CRITICAL)
    logs.configure("text", "warning", settings.log.addresses)
    secrets = Secrets(environ, SealedStore(settings.state_dir, environ))
    password = secrets.resolve(settings.queue.password) if settings.queue.password else None
    spool = await Spool.open(
        settings.queue.url, settings.state_dir, password=password, reserve=settings.queue.reserve, serving=False
    )
    used: list[Upstream] = []

    def upstream(name: str) -> Upstream:
        used.append(upstream_of(name, settings, secrets))
        return used[-1]

    try:
        yield Answers(lambda: settings, spool.inspection, spool.outgoing, Journal(Metrics(VERSION)), upstream)
    finally:
        for each in used:
            await each.aclose()
        await spool.aclose()
