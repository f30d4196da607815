"""Nothing of a connection to a provider outlives it: TLS holds a third of a MiB for each."""

import asyncio
import gc
import ssl

import pytest

from relay.upstream.connection import Connection
from relay.upstream.protocol import UpstreamProtocol
from tests.rig.certificate import CertificateAuthority, Leaf
from tests.rig.collection import no_collection
from tests.rig.script import Answer
from tests.rig.scripted import ScriptedServer
from tests.upstream.offering import MESSAGE, Cleared, envelope, smarthost


def left() -> list[str]:
    """What is alive of connections, on our side of them."""
    return sorted(
        type(one).__name__
        for one in gc.get_objects()
        if isinstance(one, Connection | UpstreamProtocol) or (isinstance(one, ssl.SSLObject) and not one.server_side)
    )


async def nothing_is_left() -> None:
    for _ in range(500):
        if not left():
            return
        await asyncio.sleep(0.02)
    assert not left()


@pytest.fixture(scope="module")
def leaf(tmp_path_factory: pytest.TempPathFactory) -> Leaf:
    return CertificateAuthority(tmp_path_factory.mktemp("authority")).leaf()


@pytest.mark.parametrize("security", ["none", "starttls", "implicit"])
@pytest.mark.parametrize(("stage", "answer"), [
    ("BODY", "250 2.0.0 Ok"),
    ("BODY", Answer("250 2.0.0 Ok", close=True)),
    ("DATA", Answer(None, reset=True)),
    ("MAIL", Answer(None)),
    ("EHLO", "garbled"),
    ("CONNECT", "554 5.7.1 No"),
], ids=["sent", "sent_and_closed", "reset", "silent", "garbled", "refused"])  # fmt: skip
async def test_nothing_waits_for_a_collection(security: str, stage: str, answer: Answer | str, leaf: Leaf) -> None:
    with ScriptedServer(security=security, leaf=None if security == "none" else leaf) as server, no_collection():
        server.script.always(stage, answer)
        async with smarthost(server, ca_file=leaf.authority, timeout=0.3) as upstream:
            await upstream.send(envelope(), MESSAGE, Cleared())
        await nothing_is_left()


@pytest.mark.parametrize("security", ["starttls", "implicit"])
async def test_nothing_of_an_untrusted_server_waits_for_a_collection(security: str, leaf: Leaf) -> None:
    with ScriptedServer(security=security, leaf=leaf) as server, no_collection():
        async with smarthost(server) as upstream:
            await upstream.send(envelope(), MESSAGE, Cleared())
        await nothing_is_left()
