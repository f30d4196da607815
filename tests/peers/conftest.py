"""What the tests with peers share: certificates, the message, a relay with a listener of each kind."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.rig.certificate import CertificateAuthority, Leaf
from tests.rig.clients import CLIENTS
from tests.rig.message import clinic_message
from tests.rig.relay import RelayProcess
from tests.rig.script import Transaction
from tests.rig.scripted import ScriptedServer
from tests.rig.waiting import wait_until

LISTENERS = ("none", "starttls", "implicit")


@dataclass(frozen=True, slots=True)
class Practice:
    """A relay and the upstream behind it. Each client program has an account named after it."""

    relay: RelayProcess
    upstream: ScriptedServer
    leaf: Leaf

    def arrived(self, recipient: str) -> list[Transaction]:
        """The messages that the upstream took for this recipient."""
        return [taken for taken in self.upstream.accepted if f"<{recipient}>" in taken.recipients]

    def wait_for(self, recipient: str) -> Transaction:
        """The one message for this recipient, once it has arrived."""
        [transaction] = wait_until(lambda: self.arrived(recipient), "the message at the upstream", seconds=60)
        return transaction

    def authority(self, security: str) -> Path | None:
        """What a client must trust on this kind of listener."""
        return None if security == "none" else self.leaf.authority


@pytest.fixture(scope="session")
def leaf(tmp_path_factory: pytest.TempPathFactory) -> Leaf:
    """A certificate for localhost."""
    return CertificateAuthority(tmp_path_factory.mktemp("certificates")).leaf()


@pytest.fixture
def message(tmp_path: Path) -> Path:
    """The message that clients send, as a file."""
    path = tmp_path / "message.eml"
    path.write_bytes(clinic_message())
    return path


@pytest.fixture(scope="module")
def practice(tmp_path_factory: pytest.TempPathFactory, leaf: Leaf) -> Iterator[Practice]:
    """One relay for all tests of a module."""
    names = [client.name for client in CLIENTS]
    with ScriptedServer() as upstream:
        settings = {
            "tls": {"certificate": leaf.certificate, "private_key": leaf.private_key},
            "listener": {kind: {"security": kind, "require_tls": kind != "none"} for kind in LISTENERS},
            "client": {
                name: {"username": f"{name}-user", "password": {"env": name.upper()}, "upstream": "provider"}
                for name in names
            },
            "upstream": {"provider": {"type": "smtp", "host": "127.0.0.1", "port": upstream.port, "security": "none"}},
        }
        environ = {name.upper(): password_of(name) for name in names}
        with RelayProcess(tmp_path_factory.mktemp("practice"), settings, environ) as relay:
            yield Practice(relay, upstream, leaf)


def password_of(client: str) -> str:
    """The password of a client program's account: a blank and signs that a shell could trip over."""
    return f"{client} pass=word%!"
