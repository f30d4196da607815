"""Alerts posted to a real HTTP server: what it gets, what is tried again, and what the log says of what fails."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from relay.config.seal import SealedStore
from relay.config.secret_reference import SecretReference
from relay.config.secrets import Secrets
from relay.config.webhook_url import webhook_url
from relay.journal import Journal
from relay.metrics import Metrics
from relay.transfer import webhook as module
from relay.transfer.webhook import Webhook, posted
from tests.rig.certificate import CertificateAuthority
from tests.rig.webhook import PATH, WebhookServer
from tests.transfer.stage import until

SHAPE = {"event": "held", "upstream": "isp", "text": "Grüße"}


class Lines(Journal):
    """A journal that a test can read."""

    def __init__(self) -> None:
        super().__init__(Metrics("0"))
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def told(self, event: str, **values: object) -> None:
        self.lines.append((event, dict(values)))

    def warned(self, event: str, **values: object) -> None:
        self.lines.append((event, dict(values)))

    def of(self, event: str) -> list[dict[str, Any]]:
        return [values for name, values in self.lines if name == event]


@contextlib.asynccontextmanager
async def hooked(
    url: str, folder: Path, pauses: tuple[float, ...] = (0.05, 0.05)
) -> AsyncIterator[tuple[Webhook, Lines, asyncio.Task[None]]]:
    secrets = Secrets({"HOOK": url}, SealedStore(folder, {}))
    lines = Lines()
    hook = Webhook(lambda: SecretReference(env="HOOK"), secrets, lines, pauses)
    task = asyncio.create_task(hook.run())
    try:
        yield hook, lines, task
    finally:
        hook.close()
        await asyncio.wait([task], timeout=5)
        task.cancel()


async def test_an_alert_is_posted_as_json(tmp_path: Path) -> None:
    with WebhookServer() as server:
        async with hooked(server.url, tmp_path) as (hook, lines, _):
            hook.put(SHAPE)
            hook.put(SHAPE | {"event": "over"})
            await until(lambda: len(lines.of("webhook_posted")) == 2, "both")
        first, second = server.posts
        assert (first.shape, second.shape["event"]) == (SHAPE, "over")
        assert first.path == PATH
        assert first.headers["Content-Type"] == "application/json; charset=utf-8"
        assert PATH not in repr(lines.lines)


async def test_over_tls_from_a_trusted_authority_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = CertificateAuthority(tmp_path / "ca")
    with WebhookServer(authority.leaf()) as server:
        async with hooked(server.url, tmp_path) as (hook, lines, _):
            hook.put(SHAPE)
            await until(lambda: lines.of("webhook_given_up"), "the end of it")
            assert "is not trusted" in lines.of("webhook_given_up")[0]["text"]
            monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
            hook.put(SHAPE)
            await until(lambda: lines.of("webhook_posted"), "the post")
        assert len(server.posts) == 1
    with WebhookServer(authority.leaf("hook.test")) as server:
        assert "for another name" in (await asyncio.to_thread(posted, webhook_url(server.url), b"{}")).trouble


@pytest.mark.parametrize(
    ("answers", "posts", "tries"),
    [
        ([(500, "", ""), (503, "", "")], 1, 3),
        ([(429, "Retry-After", "0")], 1, 2),
        ([(500, "", "")] * 3, 0, 3),
        ([(404, "", "")], 0, 1),
        ([(302, "Location", "http://127.0.0.1:1/")], 0, 1),
        ([(400, "", "")], 0, 1),
    ],
)
async def test_what_is_tried_again(tmp_path: Path, answers: list[tuple[int, str, str]], posts: int, tries: int) -> None:
    with WebhookServer() as server:
        server.answers.extend(answers)
        async with hooked(server.url, tmp_path) as (hook, lines, _):
            hook.put(SHAPE)
            await until(lambda: lines.of("webhook_posted") or lines.of("webhook_given_up"), "the end of it")
        assert (len(server.posts), server.tries) == (posts, tries)
        said = [line["text"] for name, line in lines.lines if "text" in line]
        assert all("; " in text and "HTTP" in text for text in said)
        assert len(lines.of("webhook_given_up")) == 1 - posts


async def test_a_retry_after_is_heeded_up_to_the_longest_pause(tmp_path: Path) -> None:
    with WebhookServer() as server:
        server.answers.append((429, "Retry-After", "3600"))
        async with hooked(server.url, tmp_path, (0.01, 0.5)) as (hook, lines, _):
            began = time.monotonic()
            hook.put(SHAPE)
            await until(lambda: lines.of("webhook_posted"), "the post")
            assert 0.5 <= time.monotonic() - began < 5


async def test_one_that_is_never_taken_keeps_no_other_back(tmp_path: Path) -> None:
    with WebhookServer() as server:
        server.answers.extend([(404, "", "")])
        async with hooked(server.url, tmp_path) as (hook, lines, _):
            hook.put(SHAPE)
            hook.put(SHAPE | {"event": "over"})
            await until(lambda: lines.of("webhook_posted"), "the second")
        assert [post.shape["event"] for post in server.posts] == ["over"]


def _silent() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def _garbled() -> socket.socket:
    listening = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        connected, _ = listening.accept()
        with connected, contextlib.suppress(OSError):
            connected.recv(1024)
            connected.sendall(b"220 mail.clinic.test ESMTP\r\n")
            connected.shutdown(socket.SHUT_WR)
            while connected.recv(1024):
                pass

    threading.Thread(target=answer, daemon=True).start()
    return listening


@pytest.mark.parametrize(
    ("server", "scheme", "part"),
    [
        (_silent, "http", "did not answer in"),
        (_garbled, "http", "no HTTP"),
        (_garbled, "https", "speaks no TLS"),
    ],
)
def test_what_is_said_of_a_server_that_is_none(
    monkeypatch: pytest.MonkeyPatch, server: Callable[[], socket.socket], scheme: str, part: str
) -> None:
    monkeypatch.setattr(module, "_SECONDS", 0.3)
    with server() as listening:
        port = listening.getsockname()[1]
        answer = posted(webhook_url(f"{scheme}://127.0.0.1:{port}/SECRET"), b"{}")
    assert (answer.status, answer.taken, answer.lasting) == (0, False, False)
    assert part in answer.trouble
    assert "SECRET" not in answer.trouble


def test_what_is_said_where_nobody_listens_or_has_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    assert "cannot be reached: Connection refused; " in posted(webhook_url(f"http://127.0.0.1:{port}/"), b"").trouble

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    for scheme in ("http", "https"):
        assert "has no address; " in posted(webhook_url(f"{scheme}://nobody.test/"), b"").trouble


def test_no_clear_text_over_the_open_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(*_: object, **__: object) -> list[tuple[Any, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", 80))]

    monkeypatch.setattr(socket, "getaddrinfo", found)
    assert "write https://" in posted(webhook_url("http://hook.test/"), b"{}").trouble


async def test_nothing_waits_for_one_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_WAITING", 3)
    with _silent() as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        async with hooked(url, tmp_path) as (hook, lines, task):
            began = time.monotonic()
            for number in range(6):
                hook.put(SHAPE | {"event": f"number {number}"})
                await asyncio.sleep(0)
            assert time.monotonic() - began < 0.5
            assert [line["alert"] for line in lines.of("webhook_given_up")] == ["number 1", "number 2"]
            hook.close()
            task.cancel()


async def test_what_is_left_at_the_end_is_tried_once(tmp_path: Path) -> None:
    with WebhookServer() as server:
        server.answers.append((500, "", ""))
        async with hooked(server.url, tmp_path, (60.0,)) as (hook, lines, task):
            hook.put(SHAPE)
            hook.put(SHAPE | {"event": "over"})
            await until(lambda: lines.of("webhook_failed"), "the first try")
            hook.close()
            await asyncio.wait_for(task, 5)
        assert [post.shape["event"] for post in server.posts] == ["held", "over"]


async def test_without_a_webhook_nothing_is_kept(tmp_path: Path) -> None:
    lines = Lines()
    hook = Webhook(lambda: None, Secrets({}, SealedStore(tmp_path, {})), lines)
    hook.put(SHAPE)
    hook.close()
    await asyncio.wait_for(hook.run(), 5)
    assert lines.lines == []


async def test_a_secret_that_is_missing_is_told_with_its_cure(tmp_path: Path) -> None:
    lines = Lines()
    secrets = Secrets({}, SealedStore(tmp_path, {}))
    hook = Webhook(lambda: SecretReference(sealed="hook"), secrets, lines, (0.01,))
    task = asyncio.create_task(hook.run())
    hook.put(SHAPE)
    await until(lambda: lines.of("webhook_given_up"), "the end of it")
    assert "relay secret set hook" in lines.of("webhook_given_up")[0]["text"]
    hook.close()
    await task
