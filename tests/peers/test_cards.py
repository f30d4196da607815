"""What `relay settings` prints works: each card is followed to the letter by a client of its kind."""

import json
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.rig.clients import PROGRAMS, Submission, swaks
from tests.rig.message import SENDER, clinic_message
from tests.rig.peers import command, peer_environment
from tests.rig.relay import RelayProcess
from tests.rig.scripted import ScriptedServer
from tests.rig.toml import Value
from tests.rig.waiting import wait_until

PASSWORD = "card pass=word%!"
LOGIN, NETWORK = "app", "device"


@dataclass(frozen=True, slots=True)
class Surgery:
    """A relay with its own authority and one kind of listener, and the upstream behind it."""

    relay: RelayProcess
    upstream: ScriptedServer
    authority: Path

    def card(self, client: str, application: str) -> dict[str, Any]:
        """The card, as the command prints it."""
        ran = self.relay.command("settings", client, "--for", application, "--json")
        assert ran.returncode == 0, ran.stderr
        found: dict[str, Any] = json.loads(ran.stdout)
        return found

    def took(self, recipient: str) -> bool:
        """Whether the upstream has a message for this recipient."""
        return any(f"<{recipient}>" in taken.recipients for taken in self.upstream.accepted)


@pytest.fixture(scope="module")
def surgeries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Surgery]]:
    """One relay for all cards of a kind of listener, started when it is needed first."""
    with ExitStack() as running:

        @cache
        def surgery(security: str) -> Surgery:
            upstream = running.enter_context(ScriptedServer())
            place: dict[str, Value] = {"type": "smtp", "host": "127.0.0.1", "port": upstream.port, "security": "none"}
            settings: dict[str, Value] = {
                "listener": {"only": {"security": security}},
                "client": {
                    LOGIN: {"username": "app-user", "password": {"env": "P"}, "upstream": "provider"},
                    NETWORK: {"networks": ["127.0.0.0/8"], "upstream": "provider"},
                },
                "upstream": {"provider": place},
            }
            folder = tmp_path_factory.mktemp(security)
            relay = running.enter_context(RelayProcess(folder, settings, {"P": PASSWORD}))
            return Surgery(relay, upstream, authority_of(relay, security))

        yield surgery


def authority_of(relay: RelayProcess, security: str) -> Path:
    """The file that `relay certificate` says is to be trusted; without TLS one that isn't there."""
    if security == "none":
        return relay.folder / "nothing"
    ran = relay.command("certificate", "--json")
    assert ran.returncode == 0, ran.stderr
    return Path(json.loads(ran.stdout)["file"])


Follow = Callable[[dict[str, Any], Path, Path, str], subprocess.CompletedProcess[str]]


def ran(
    arguments: list[str], recipient: str, folder: Path, environ: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    mail = {"MAIL_FROM": SENDER, "MAIL_TO": recipient, "SMTP_PASSWORD": PASSWORD}
    return subprocess.run(
        arguments,
        env={**peer_environment(), "HOME": str(folder), **mail, **environ},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=90,
        check=False,
    )


def rails(card: dict[str, Any], authority: Path, folder: Path, recipient: str) -> subprocess.CompletedProcess[str]:
    """Ruby trusts what SSL_CERT_FILE names, as `relay certificate` says."""
    environ = {"BLOCK": card["block"], "SSL_CERT_FILE": str(authority)}
    return ran([command("ruby"), str(PROGRAMS / "card.rb")], recipient, folder, environ)


def careright(card: dict[str, Any], authority: Path, folder: Path, recipient: str) -> subprocess.CompletedProcess[str]:
    """The block is the environment; the password is the one that was made up."""
    block = dict(line.split("=", 1) for line in card["block"].splitlines())
    screen = {field["name"]: field["value"] for field in card["fields"]}
    assert (block["SMTP_HOST"], block["SMTP_PORT"]) == (screen["SMTP Host"], screen["SMTP Port"])
    assert block.get("SMTP_AUTH", "(empty)") == screen["SMTP Authentication Method"]
    assert block["SMTP_START_TLS"] == screen["SMTP Start TLS - Enable Start TLS Automatically"]
    if "SMTP_PASSWORD" in block:
        block["SMTP_PASSWORD"] = PASSWORD
    return ran([command("ruby"), str(PROGRAMS / "card_careright.rb")], recipient, folder, block)


def php(card: dict[str, Any], authority: Path, folder: Path, recipient: str) -> subprocess.CompletedProcess[str]:
    """PHP trusts what openssl.cafile names, as the card's note says."""
    assert "openssl.cafile" in " ".join(card["notes"])
    arguments = [command("php"), "-d", f"openssl.cafile={authority}", str(PROGRAMS / "card.php")]
    return ran(arguments, recipient, folder, {"BLOCK": card["block"]})


def python(card: dict[str, Any], authority: Path, folder: Path, recipient: str) -> subprocess.CompletedProcess[str]:
    """The block names relay-ca.pem, which is put where the program runs."""
    if authority.exists():
        (folder / "relay-ca.pem").write_bytes(authority.read_bytes())
    return ran([sys.executable, str(PROGRAMS / "card_python.py")], recipient, folder, {"BLOCK": card["block"]})


def screen_of(server: str, port: str, encryption: str, words: Mapping[str, str], mechanism: str, user: str) -> Follow:
    """Somebody types the fields of a screen, by their labels, into swaks."""

    def follow(card: dict[str, Any], authority: Path, folder: Path, recipient: str) -> subprocess.CompletedProcess[str]:
        screen = {field["name"]: field["value"] for field in card["fields"]}
        security = words[screen[encryption]]
        message = folder / "message.eml"
        message.write_bytes(clinic_message())
        submitted = swaks(
            Submission(
                message=message,
                host=screen[server],
                port=int(screen[port]),
                sender=SENDER,
                recipients=(recipient,),
                security=security,
                mechanism=screen[mechanism].split()[-1] if screen[user] else None,
                username=screen[user],
                password=PASSWORD,
                authority=None if security == "none" else authority,
            )
        )
        return subprocess.CompletedProcess([], submitted.status, submitted.output)

    return follow


INCISIVE = {"TLS": "starttls", "SSL": "implicit", "None": "none"}
SYNAPSE = {"TLS (STARTTLS)": "starttls", "SSL": "implicit", "none": "none"}
OTHER = {"STARTTLS (often called TLS)": "starttls", "TLS from the start (often called SSL)": "implicit", "none": "none"}
SECURITIES = ("starttls", "implicit", "none")
CARDS: dict[str, tuple[Follow, tuple[str, ...]]] = {
    "rails": (rails, SECURITIES),
    "careright": (careright, ("starttls", "none")),
    "php": (php, SECURITIES),
    "python": (python, SECURITIES),
    "incisive": (
        screen_of(
            "SMTP Server Name",
            "SMTP Server Port",
            "SMTP Encryption",
            INCISIVE,
            "Authentication Method",
            "Account Username",
        ),
        SECURITIES,
    ),
    "synapse": (screen_of("SMTP server", "Port", "Encryption", SYNAPSE, "Authentication", "User name"), SECURITIES),
    "other": (screen_of("Server", "Port", "Encryption", OTHER, "Authentication", "User name"), SECURITIES),
}


def cases() -> list[tuple[str, str, str]]:
    """Every card by every kind of listener that its application can use; without a login by the first of them."""
    by_login = [(security, name, LOGIN) for name, (_, securities) in CARDS.items() for security in securities]
    return [*by_login, *(("starttls", name, NETWORK) for name in CARDS)]


@pytest.mark.peer
@pytest.mark.parametrize(("security", "application", "client"), cases())
def test_a_card_that_is_followed_delivers(
    surgeries: Callable[[str], Surgery], security: str, application: str, client: str, tmp_path: Path
) -> None:
    surgery, (follow, _) = surgeries(security), CARDS[application]
    recipient = f"{uuid.uuid4().hex}@example.test"
    followed = follow(surgery.card(client, application), surgery.authority, tmp_path, recipient)
    assert followed.returncode == 0, followed.stdout
    wait_until(lambda: surgery.took(recipient), "the message at the upstream", seconds=60)
