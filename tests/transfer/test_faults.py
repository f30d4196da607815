"""Everything that can go wrong at each stage of a real conversation: what the trace says of it, and how it ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relay.config.seal import SealedStore
from relay.config.secrets import Secrets
from relay.upstream.construction import upstream_of
from tests.rig.certificate import CertificateAuthority, Leaf
from tests.rig.script import Answer
from tests.rig.scripted import ScriptedServer
from tests.transfer.stage import Stage, settings_of

CLOSED, RESET, SILENT = Answer(None, close=True), Answer(None, reset=True), Answer(None)
GARBLED, HALF = Answer("Hello, this is not SMTP"), Answer("250-half a reply", close=True)
SLOW = Answer("250 2.0.0 Ok", delay=0.4)
RELAYED_LATER = ["deferred", "relayed"]
TIMEOUT = 0.7


@pytest.fixture(scope="module")
def leaf(tmp_path_factory: pytest.TempPathFactory) -> Leaf:
    return CertificateAuthority(tmp_path_factory.mktemp("authority")).leaf()


@pytest.fixture
def server(leaf: Leaf) -> Iterator[ScriptedServer]:
    with ScriptedServer(security="starttls", leaf=leaf, users={"clinic": "secret"}) as running:
        yield running


def _stage(folder: Path, server: ScriptedServer, leaf: Leaf, **table: Any) -> Stage:
    isp = {
        "type": "smtp",
        "host": "127.0.0.1",
        "port": server.port,
        "ca_file": str(leaf.authority),
        "username": "clinic",
        "password": {"env": "PASSWORD"},
        "timeout": TIMEOUT,
    }
    queue = {"retry_first": 0.05, "retry_most": 0.2, "retry_ambiguous": 0.05}
    settings = settings_of(folder, {"isp": isp | table}, queue=queue)
    environ = {"PASSWORD": "secret"}
    secrets = Secrets(environ, SealedStore(settings.state_dir, environ))
    return Stage(folder, settings, upstream_of("isp", settings, secrets))


@pytest.mark.parametrize(
    ("stage", "answer", "events"),
    [
        *[("CONNECT", answer, RELAYED_LATER) for answer in ("554 5.3.2 No service", "421 4.3.2 Busy")],
        *[("CONNECT", answer, RELAYED_LATER) for answer in (CLOSED, RESET, SILENT, GARBLED, HALF)],
        *[("EHLO", answer, RELAYED_LATER) for answer in ("554 5.5.1 No", "421 4.3.2 Busy")],
        *[("EHLO", answer, RELAYED_LATER) for answer in (CLOSED, RESET, SILENT, GARBLED, HALF)],
        *[("STARTTLS", answer, RELAYED_LATER) for answer in ("454 4.7.0 No TLS now", "554 5.7.0 No TLS ever")],
        *[("STARTTLS", answer, RELAYED_LATER) for answer in (CLOSED, RESET, SILENT, GARBLED)],
        *[("AUTH", answer, RELAYED_LATER) for answer in ("454 4.7.0 Not now", "421 4.3.2 Busy", "535 5.7.8 Wrong")],
        *[("AUTH", answer, RELAYED_LATER) for answer in (CLOSED, RESET, SILENT, GARBLED, HALF)],
        *[("MAIL", answer, RELAYED_LATER) for answer in ("451 4.3.0 Later", "421 4.3.2 Busy", "530 5.7.0 Log in")],
        *[("MAIL", answer, RELAYED_LATER) for answer in (CLOSED, RESET, SILENT, GARBLED, HALF)],
        *[("RCPT", answer, RELAYED_LATER) for answer in ("450 4.2.1 Busy", "421 4.3.2 Bye", "552 5.5.3 Too many")],
        *[("RCPT", answer, RELAYED_LATER) for answer in (CLOSED, RESET, GARBLED, HALF)],
        *[("DATA", answer, RELAYED_LATER) for answer in ("451 4.3.0 Later", "421 4.3.2 Busy")],
        *[("DATA", answer, RELAYED_LATER) for answer in (CLOSED, RESET, SILENT, GARBLED, HALF)],
        *[("BODY", answer, RELAYED_LATER) for answer in ("451 4.3.0 Later", "421 4.3.2 Busy")],
        *[("BODY", answer, ["uncertain", "relayed"]) for answer in (CLOSED, RESET, GARBLED)],
        *[("MAIL", "550 5.7.1 Refused", ["failed"]), ("RCPT", "550 5.1.1 Unknown", ["failed"])],
        *[("DATA", "554 5.7.1 Refused", ["failed"]), ("BODY", "554 5.7.1 Refused", ["failed"])],
        *[(stage, SLOW, ["relayed"]) for stage in ("MAIL", "RCPT", "BODY")],
    ],
)
async def test_a_fault_at_each_stage(
    tmp_path: Path, server: ScriptedServer, leaf: Leaf, stage: str, answer: Answer | str, events: list[str]
) -> None:
    server.script.then(stage, answer)
    async with _stage(tmp_path, server, leaf) as running:
        id_ = await running.put("a@far.test")
        await running.settled(id_, "failed" if events == ["failed"] else "relayed")
        assert await running.events(id_) == ["accepted", *events]
        # A refused MAIL that was pipelined ends in a DATA of nothing, which is no message.
        about_it = [one for one in server.accepted if "a@far.test" in str(one.recipients) and one.content]
        assert len(about_it) == (0 if events == ["failed"] else 1)


async def test_silence_after_one_command_of_several(tmp_path: Path, leaf: Leaf) -> None:
    # Without PIPELINING: else the server's next reply would be taken for the one it never gave.
    with ScriptedServer(extensions=("8BITMIME",), users={"clinic": "secret"}) as server:
        server.script.then("RCPT", SILENT)
        async with _stage(tmp_path, server, leaf, security="none") as running:
            id_ = await running.put("a@far.test")
            await running.settled(id_, "relayed")
            assert await running.events(id_) == ["accepted", "deferred", "relayed"]


async def test_silence_after_the_final_dot_is_uncertain(tmp_path: Path, server: ScriptedServer, leaf: Leaf) -> None:
    server.script.then("BODY", SILENT)
    async with _stage(tmp_path, server, leaf, timeout=0.2) as running:
        id_ = await running.put("a@far.test")
        await running.settled(id_, "relayed")
        assert await running.events(id_) == ["accepted", "uncertain", "relayed"]
        first, second = server.transactions
        assert first.content == second.content, "the same message, with the same Message-ID"


async def test_some_recipients_refused(tmp_path: Path, server: ScriptedServer, leaf: Leaf) -> None:
    server.script.for_recipient("unknown@far.test", "550 5.1.1 Unknown")
    server.script.then("RCPT", "450 4.2.1 Busy")
    async with _stage(tmp_path, server, leaf) as running:
        id_ = await running.put("busy@far.test", "unknown@far.test", "fine@far.test")
        await running.settled(id_, "relayed", "failed", "relayed")
        server.wait_for(3)
        offered = [str(one.recipients) for one in server.accepted if "far.test" in str(one.recipients)]
        assert ["fine@far.test" in offered[0], "busy@far.test" in offered[1]] == [True, True]
        assert len(offered) == 2


async def test_an_untrusted_certificate_is_nobodys_fault(tmp_path: Path, leaf: Leaf) -> None:
    stranger = CertificateAuthority(tmp_path / "stranger").leaf()
    with ScriptedServer(security="starttls", leaf=stranger, users={"clinic": "secret"}) as server:
        async with _stage(tmp_path, server, leaf) as running:
            id_ = await running.put("a@far.test", give_up=3600.0)
            await running.settled_event(id_, "deferred")
            (entry,) = await running.queue()
            assert "not trusted" in str(entry.recipients[0].reply)
            assert running.dispatcher.state("isp").state.state == "unreachable"  # type: ignore[union-attr]
            assert server.accepted == []


async def test_an_upstream_that_is_down_and_comes_back(tmp_path: Path, server: ScriptedServer, leaf: Leaf) -> None:
    async with _stage(tmp_path, server, leaf) as running:
        await running.settled(await running.put("a@far.test"), "relayed")
        server.close()
        ids = [await running.put(f"{at}@far.test") for at in range(10)]
        await running.settled_event(ids[0], "deferred")
        server.open()
        back = time.monotonic()
        for id_ in ids:
            await running.settled(id_, "relayed")
        assert time.monotonic() - back < 5
        assert len(server.accepted) == 11
