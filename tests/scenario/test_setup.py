"""`relay setup`, at a terminal and without one: from nothing to a delivered test message."""

import os
import stat
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from tests.rig.ports import free_port
from tests.rig.simulate import SimulateProcess

PASSWORD = "a pass word's \"%"
ENVIRON = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "PYTHONPATH") if name in os.environ}


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulateProcess]:
    """A simulator for all tests of the module."""
    with SimulateProcess(tmp_path_factory.mktemp("simulate")) as running:
        yield running


class Dialogue:
    """A person at a terminal, who waits for each question."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.folder = folder
        self.config = folder / "relay.toml"
        arguments = ["-m", "relay", "setup", "--config", str(self.config), *words]
        environ: dict[str, str] = {**ENVIRON, "TERM": "xterm", "NO_COLOR": "1"}
        self.terminal = pexpect.spawn(
            sys.executable,
            arguments,
            cwd=str(folder),
            env=environ,
            encoding="utf-8",
            timeout=30,
            dimensions=(50, 200),
        )
        self.shown = ""

    def asked(self, question: str, answer: str | None = "") -> None:
        """Wait for a question and type the answer; None types nothing."""
        self.terminal.expect_exact(question)
        self.shown += f"{self.terminal.before}{question}"
        self.terminal.expect(r": ?(\x1b\[0m)?$")
        if answer is not None:
            self.terminal.sendline(answer)

    def ended(self) -> int:
        """Wait for the end; the exit status."""
        self.terminal.expect(pexpect.EOF)
        self.shown += str(self.terminal.before)
        self.terminal.close()
        return int(self.terminal.exitstatus or 0)


def rehearsal(folder: Path, simulator: SimulateProcess) -> Dialogue:
    return Dialogue(folder, "--state-dir", "state", "--simulator-host", simulator.host)


def through(dialogue: Dialogue, port: int) -> None:
    """Answer every question, the first time."""
    dialogue.asked("Which provider sends the mail", "simulator")
    dialogue.asked("Which application sends through Relay", "1")
    dialogue.asked("How Relay knows it")
    dialogue.asked("User name for the application [careright]")
    dialogue.asked("Password for the application", PASSWORD)
    dialogue.asked("Once more", PASSWORD)
    dialogue.asked("Addresses that it may send as", "no-reply@clinic.test")
    dialogue.asked("Where Relay listens for it [127.0.0.1:2525]", f"127.0.0.1:{port}")
    dialogue.asked("Encryption between the application and Relay [starttls]")
    dialogue.asked("Who is told by mail when something is wrong")


def test_from_nothing_to_a_delivered_message_and_again(tmp_path: Path, simulator: SimulateProcess) -> None:
    started, port = time.monotonic(), free_port()
    first = rehearsal(tmp_path, simulator)
    through(first, port)
    first.asked("Write it [Y/n]")
    first.asked("Who gets a test message", "first@example.test")
    assert first.ended() == 0, first.shown
    assert time.monotonic() - started < 120

    assert "all is well" in first.shown
    assert "rehearsal took a message from no-reply@clinic.test to first@example.test" in first.shown
    assert "SMTP Authentication Method" in first.shown
    assert "relay certificate says how to trust it" in first.shown
    assert PASSWORD not in first.shown
    received = [recipient["forward_path"] for message in simulator.messages() for recipient in message["recipients"]]
    assert received.count("first@example.test") == 1
    assert stat.S_IMODE(first.config.stat().st_mode) == 0o600

    # A person adds to it by hand, and runs setup again.
    by_hand = "# by hand\n" + first.config.read_text() + '\n[queue]\nretry_first = "10s" # Jo\n'
    first.config.write_text(by_hand)
    again = rehearsal(tmp_path, simulator)
    again.asked("Which provider sends the mail [simulator]")
    again.asked("Which application sends through Relay [careright]")
    again.asked("How Relay knows it [login]")
    again.asked("User name for the application [careright]")
    again.asked("Password for the application (Enter keeps the one that is there)")
    again.asked("Addresses that it may send as [no-reply@clinic.test]")
    again.asked(f"Where Relay listens for it [127.0.0.1:{port}]")
    again.asked("Encryption between the application and Relay [starttls]")
    again.asked("Who is told by mail when something is wrong", "it@clinic.test")
    again.asked("Write it [Y/n]")
    again.asked("Who gets a test message")
    assert again.ended() == 0, again.shown
    assert '+to = ["it@clinic.test"]' in again.shown.replace("\r", "")
    [backup] = tmp_path.glob("relay.toml.before-*")
    assert backup.read_text() == by_hand
    assert again.config.read_text().startswith(by_hand)
    assert tomllib.loads(again.config.read_text())["alerts"] == {"to": ["it@clinic.test"]}
