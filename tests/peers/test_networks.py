"""Applications that can't log in are known by the network that they connect from."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers.conftest import Practice
from tests.rig.certificate import Leaf
from tests.rig.clients import CLIENTS, Client, Submission
from tests.rig.message import SENDER, trace_above
from tests.rig.relay import RelayProcess
from tests.rig.scripted import ScriptedServer


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory, leaf: Leaf) -> Iterator[Practice]:
    """A relay whose listener offers neither AUTH nor TLS."""
    with ScriptedServer() as upstream:
        settings = {
            "listener": {"none": {"security": "none", "auth": []}},
            "client": {"lab-analyser": {"networks": ["127.0.0.0/8", "::1/128"], "upstream": "provider"}},
            "upstream": {"provider": {"type": "smtp", "host": "127.0.0.1", "port": upstream.port, "security": "none"}},
        }
        with RelayProcess(tmp_path_factory.mktemp("laboratory"), settings) as relay:
            yield Practice(relay, upstream, leaf)


@pytest.mark.parametrize(
    "client", [pytest.param(c, id=str(c), marks=[] if c.name == "smtplib" else pytest.mark.peer) for c in CLIENTS]
)
def test_delivers_without_login(laboratory: Practice, message: Path, client: Client) -> None:
    recipients = (f"{client.name}@example.test", f"{client.name}-too@example.test")

    submitted = client.submit(
        Submission(message=message, port=laboratory.relay.port("none"), sender=SENDER, recipients=recipients)
    )

    assert submitted.status == 0, submitted.output
    transaction = laboratory.wait_for(recipients[0])
    assert set(transaction.recipients) == {f"<{recipient}>" for recipient in recipients}
    trace_above(transaction.content, submitted.content)
