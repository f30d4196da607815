"""/metrics, /healthz and /readyz, asked as an ASGI server asks."""

import asyncio
import json
import math
import time
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from relay.control.expiry import Expiry
from relay.health import Gauges, Health
from relay.journal import Journal
from relay.metrics import Metrics
from relay.spool.contract import SpoolError
from relay.spool.records import QueueCounts, RecipientState, Space


class Asked:
    """An application and what it answered."""

    def __init__(self, unready: str | None = None, refresh_error: Exception | None = None, stuck: bool = False) -> None:
        self.metrics = Metrics("1.2.3")
        self.refreshed = 0
        self._error = refresh_error
        self._stuck = stuck
        self._health = Health(self.metrics.registry, self._refresh, lambda: unready, Journal(self.metrics))

    async def _refresh(self) -> None:
        self.refreshed += 1
        if self._stuck:
            await asyncio.Event().wait()
        if self._error:
            raise self._error

    async def get(self, path: str, method: str = "GET", accept: str = "") -> tuple[int, dict[str, str], str]:
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request"}

        async def send(event: Any) -> None:
            sent.append(event)

        headers = [(b"accept", accept.encode())] if accept else []
        await self._health({"type": "http", "method": method, "path": path, "headers": headers}, receive, send)
        names = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return sent[0]["status"], names, sent[1]["body"].decode()


async def test_metrics_are_prometheus_text() -> None:
    asked = Asked()
    status, headers, body = await asked.get("/metrics")
    assert status == 200
    assert headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in text_string_to_metric_families(body)}
    assert families["relay_build_info"].samples[0].labels == {"version": "1.2.3"}
    assert asked.refreshed == 1


async def test_metrics_are_openmetrics_where_asked() -> None:
    _, headers, body = await Asked().get("/metrics", accept="application/openmetrics-text; version=1.0.0")
    assert headers["content-type"].startswith("application/openmetrics-text")
    assert body.endswith("# EOF\n")


async def test_an_accept_that_makes_no_sense_is_answered_with_text() -> None:
    status, headers, _ = await Asked().get("/metrics", accept="application/openmetrics-text; version=new")
    assert (status, headers["content-type"].split(";")[0]) == (200, "text/plain")


async def test_a_broken_refresh_does_not_break_the_scrape() -> None:
    status, _, body = await Asked(refresh_error=RuntimeError("broken")).get("/metrics")
    assert status == 200
    assert "relay_build_info" in body


async def test_a_refresh_that_hangs_does_not_hang_the_scrape(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.health._REFRESH_SECONDS", 0.01)
    assert (await Asked(stuck=True).get("/metrics"))[0] == 200


async def test_readiness_says_why_not() -> None:
    status, _, body = await Asked(unready="listener submission is not open").get("/readyz")
    assert status == 503
    assert json.loads(body) == {"ready": False, "reason": "listener submission is not open"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/readyz", 200),
        ("GET", "/healthz", 200),
        ("HEAD", "/healthz", 200),
        ("POST", "/healthz", 405),
        ("GET", "/", 404),
        ("GET", "/metrics/", 404),
    ],
)
async def test_paths_and_methods(method: str, path: str, status: int) -> None:
    found, headers, body = await Asked().get(path, method)
    assert found == status
    assert (body == "") == (method == "HEAD")
    assert ("allow" in headers) == (status == 405)


class Known:
    """What expires, as a test says it."""

    def __init__(self, tokens: dict[str, int | None], expiring: list[Expiry]) -> None:
        self._tokens = tokens
        self._expiring = expiring

    def tokens(self) -> dict[str, int | None]:
        return self._tokens

    def change(self, expiring: list[Expiry]) -> None:
        self._expiring = expiring

    async def expiring(self) -> list[Expiry]:
        return self._expiring


class Counted:
    """The spool's counts, as a test says them."""

    def __init__(self, counts: QueueCounts) -> None:
        self.found = counts

    async def counts(self) -> QueueCounts:
        return self.found


class Disk:
    """The spool's room, as a test says it."""

    def __init__(self, reason: str | None, space: Space | None) -> None:
        self.reason = reason
        self.found = space

    def health(self) -> str | None:
        return self.reason

    def space(self) -> Space | None:
        return self.found


ROOMY = Disk(None, Space(7000, 5000))


async def test_gauges_show_what_waits_and_what_expires() -> None:
    metrics = Metrics("1")
    now = time.time_ns() // 1_000_000
    waiting = {("isp", RecipientState.QUEUED): 2, ("gone", RecipientState.HELD): 1}
    counted = Counted(QueueCounts(waiting, {"isp": now - 5000, "gone": now - 9000}))
    known = Known({"isp": now + 60_000, "new": None}, [Expiry("tls", "certificate", now + 86_400_000)])
    gauges = Gauges(metrics, counted, lambda: ["isp", "new"], lambda name: {"isp": 3}.get(name, 0), known, ROOMY)
    await gauges.refresh()

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(name, labels)

    assert value("relay_queue_recipients", upstream="isp", state="queued") == 2
    assert value("relay_queue_recipients", upstream="new", state="queued") == 0
    assert value("relay_queue_recipients", upstream="gone", state="held") == 1
    assert value("relay_queue_oldest_seconds", upstream="isp") == pytest.approx(5, abs=1)
    assert value("relay_upstream_connections", upstream="isp") == 3
    assert value("relay_token_expires_seconds", upstream="isp") == pytest.approx(60, abs=1)
    assert math.isnan(value("relay_token_expires_seconds", upstream="new") or 0)
    assert value("relay_secret_expires_seconds", what="tls") == pytest.approx(86400, abs=1)
    # What has been sent since no longer waits, though nothing is counted any more.
    counted.found = QueueCounts()
    await gauges.refresh()
    assert value("relay_queue_recipients", upstream="isp", state="queued") == 0
    assert value("relay_queue_oldest_seconds", upstream="gone") == 0


@pytest.mark.parametrize(
    ("disk", "writable", "free", "reserve"),
    [
        (ROOMY, 1, 7000, 5000),
        (Disk("full", Space(10, 5000)), 0, 10, 5000),
        (Disk(None, None), 1, math.nan, math.nan),
    ],
)
async def test_gauges_show_the_spool_though_it_can_count_nothing(
    disk: Disk, writable: float, free: float, reserve: float
) -> None:
    class Broken:
        async def counts(self) -> QueueCounts:
            raise SpoolError("gone")

    metrics = Metrics("1")
    with pytest.raises(SpoolError):
        await Gauges(metrics, Broken(), list, lambda _: 0, Known({}, []), disk).refresh()
    names = ("writable", "free_bytes", "reserve_bytes")
    found = [metrics.registry.get_sample_value(f"relay_spool_{name}") for name in names]
    assert found == pytest.approx([writable, free, reserve], nan_ok=True)


async def test_what_no_longer_ends_on_a_known_day_has_no_gauge() -> None:
    metrics = Metrics("1")
    now = time.time_ns() // 1_000_000
    known = Known({}, [Expiry("a", "client_secret", now + 5000, "a"), Expiry("b", "app_password", None, "b")])
    gauges = Gauges(metrics, Counted(QueueCounts({}, {})), list, lambda _: 0, known, ROOMY)

    def value(what: str) -> float | None:
        return metrics.registry.get_sample_value("relay_secret_expires_seconds", {"what": what})

    await gauges.refresh()
    assert value("a") == pytest.approx(5, abs=1)
    assert value("b") is None
    known.change([Expiry("a", "client_secret", None, "a"), Expiry("b", "certificate", now - 9000, "b")])
    await gauges.refresh()
    assert value("a") is None
    assert value("b") == pytest.approx(-9, abs=1)
