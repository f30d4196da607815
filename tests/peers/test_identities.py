"""One login, many locations: each From of an application reaches its own upstream, with its own face."""

import email
import email.policy
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

import pytest

from tests.rig.clients import CLIENTS, Client, Submission
from tests.rig.relay import RelayProcess
from tests.rig.scripted import ScriptedServer
from tests.rig.waiting import wait_until

PROGRAMS = [
    pytest.param(client, id=client.name, marks=[] if client.name == "smtplib" else pytest.mark.peer)
    for client in CLIENTS
    if client.name in {"action_mailer", "php_mailer", "smtplib"}
]
IDENTITIES = {
    "north": {
        "match": ["north@clinic.test"],
        "from": "no-reply@clinic.test",
        "name": "North Clinic",
        "reply_to": "desk@north.test",
        "upstream": "first",
    },
    "south": {"match": ["@south.test"], "name": "Praxis Süd", "upstream": "second"},
    "head": {"match": ["head@south.test"], "upstream": "third"},
}
LOCATIONS = {
    # From of the application: the upstream, From and Reply-To as they arrive, and the reverse-path.
    "north@clinic.test": ("first", "North Clinic <no-reply@clinic.test>", "desk@north.test", "no-reply@clinic.test"),
    "dr.a@south.test": ("second", "Praxis Süd <dr.a@south.test>", None, "dr.a@south.test"),
    "dr.b@south.test": ("second", "Praxis Süd <dr.b@south.test>", None, "dr.b@south.test"),
    "head@south.test": ("third", "Clinic <head@south.test>", None, "head@south.test"),
    "other@clinic.test": ("third", "Clinic <other@clinic.test>", None, "other@clinic.test"),
}


@dataclass(frozen=True, slots=True)
class Clinic:
    """A relay with one client, and three providers by name."""

    relay: RelayProcess
    providers: dict[str, ScriptedServer]

    def reached(self, recipient: str) -> list[tuple[str, str, EmailMessage]]:
        """Where a message for this recipient arrived, its reverse-path, and what arrived."""
        found = []
        for name, provider in self.providers.items():
            for taken in provider.accepted:
                if f"<{recipient}>" in taken.recipients:
                    message = email.message_from_bytes(taken.content, policy=email.policy.default)
                    assert isinstance(message, EmailMessage)
                    found.append((name, taken.sender.partition(">")[0].lstrip("<"), message))
        return found


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    with ExitStack() as running:
        providers = {name: running.enter_context(ScriptedServer()) for name in ("first", "second", "third")}
        settings = {
            "listener": {"submission": {"security": "none", "require_tls": False}},
            "client": {"careright": {"username": "careright", "password": {"env": "PASSWORD"}, "upstream": "third"}},
            "identity": IDENTITIES,
            "upstream": {
                name: {"type": "smtp", "host": "127.0.0.1", "port": provider.port, "security": "none"}
                for name, provider in providers.items()
            },
        }
        folder = tmp_path_factory.mktemp("identities")
        relay = running.enter_context(RelayProcess(folder, settings, {"PASSWORD": "pass word"}))
        yield Clinic(relay, providers)


@pytest.mark.parametrize("sender", LOCATIONS)
@pytest.mark.parametrize("client", PROGRAMS)
def test_each_location_by_its_own_upstream(clinic: Clinic, client: Client, sender: str, tmp_path: Path) -> None:
    recipient = f"{uuid.uuid4().hex}@example.test"
    message = tmp_path / "message.eml"
    fields = f"From: Clinic <{sender}>\r\nTo: <{recipient}>\r\nSubject: x\r\nMessage-ID: <{recipient}>\r\n"
    message.write_bytes(f"{fields}MIME-Version: 1.0\r\n\r\nYour result.\r\n".encode())
    submitted = client.submit(
        Submission(
            message=message,
            port=clinic.relay.port(),
            sender=sender,
            recipients=(recipient,),
            mechanism="PLAIN",
            username="careright",
            password="pass word",
        )
    )
    assert submitted.status == 0, submitted.output
    [(upstream, reverse_path, arrived)] = wait_until(lambda: clinic.reached(recipient), "the message", seconds=60)
    replies = str(arrived["Reply-To"]) if arrived["Reply-To"] else None
    assert (upstream, str(arrived["From"]), replies, reverse_path) == LOCATIONS[sender]
