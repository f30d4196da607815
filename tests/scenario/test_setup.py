"""`relay setup`, at a terminal and without one: from nothing to a delivered test message."""

import hashlib
import json
import os
import re
import ssl
import stat
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from tests.rig.ports import free_port
from tests.rig.simulate import SimulateProcess
from tests.rig.toml import toml_text
from tests.rig.waiting import wait_until
from tests.unit.cli.setup.powershell_text import literals_of

TENANT = [
    "--tenant",
    "11111111-2222-3333-4444-555555555555",
    "--client-id",
    "66666666-7777-8888-9999-000000000000",
]
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


def test_a_wrong_answer_is_explained_and_asked_again(tmp_path: Path) -> None:
    dialogue = Dialogue(tmp_path, "--state-dir", "state")
    for provider, said in (("exchange", "is no choice"), ("9", "is no choice"), ("s", "is no choice")):
        dialogue.asked("Which provider sends the mail", provider)
        dialogue.terminal.expect_exact(said)
    dialogue.asked("Which provider sends the mail", "mic")
    dialogue.asked("Mailbox that sends", "reception")
    dialogue.terminal.expect_exact("write it like")
    dialogue.asked("Mailbox that sends", "no-reply@clinic.test")
    dialogue.asked("Directory (tenant) ID", "clinic")
    dialogue.terminal.expect_exact("copy the Directory (tenant) ID")
    dialogue.asked("Directory (tenant) ID", "clinic.onmicrosoft.com")
    dialogue.asked("Application (client) ID", "66666666-7777-8888-9999-000000000000")
    dialogue.asked("How Relay proves to be that application")
    dialogue.asked("Client secret", "11111111-2222-3333-4444-555555555555")
    dialogue.terminal.expect_exact("this looks like the Secret ID")
    dialogue.asked("Client secret", "value~of~the~secret")
    dialogue.asked("Day on which it ends", "some day")
    dialogue.asked("Day on which it ends", "")
    dialogue.asked("Which application sends through Relay", "other")
    dialogue.asked("How Relay knows it")
    dialogue.asked("User name for the application")
    dialogue.asked("Password for the application", PASSWORD)
    dialogue.asked("Once more", "something else")
    dialogue.terminal.expect_exact("the two differ")
    dialogue.asked("Password for the application", None)
    dialogue.terminal.sendeof()
    assert dialogue.ended() == 1
    assert "value~of~the~secret" not in dialogue.shown
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("last", ["Which provider", "Password for the application", "Write it [Y/n]"])
def test_ctrl_c_leaves_nothing_behind(tmp_path: Path, simulator: SimulateProcess, last: str) -> None:
    dialogue = rehearsal(tmp_path, simulator)
    answers = {"Which provider": "simulator", "Password for the application": PASSWORD, "Once more": PASSWORD}
    while True:
        dialogue.terminal.expect(r"(?m)^[^\r\n]*: ?(\x1b\[0m)?$")
        question = str(dialogue.terminal.after)
        if last in question:
            break
        dialogue.terminal.sendline(next((answer for asked, answer in answers.items() if asked in question), ""))
    dialogue.terminal.sendintr()
    assert dialogue.ended() == 1
    assert "nothing was changed" in dialogue.shown
    assert "Traceback" not in dialogue.shown
    assert list(tmp_path.iterdir()) == []


def test_no_to_what_is_shown_changes_nothing(tmp_path: Path, simulator: SimulateProcess) -> None:
    (tmp_path / "relay.toml").write_text("# mine\n")
    dialogue = rehearsal(tmp_path, simulator)
    through(dialogue, free_port())
    dialogue.asked("Write it [Y/n]", "n")
    assert dialogue.ended() == 1
    assert "+[client." in dialogue.shown
    assert [path.read_text() for path in tmp_path.iterdir()] == ["# mine\n"]


def test_a_person_signs_in_on_the_way(tmp_path: Path, simulator: SimulateProcess) -> None:
    state = simulator.control("state")
    place = {"host": simulator.host, "port": state["microsoft365"]["port"], "ca_file": state["ca_file"]}
    upstream = {"type": "microsoft365", **place, "authority": state["authority"], "mailbox": "no-reply@clinic.test"}
    upstream |= {"tenant": TENANT[1], "client_id": TENANT[3], "credential": "device_code"}
    client = {"networks": ["127.0.0.0/8"], "upstream": "office365"}
    settings = {"state_dir": "state", "client": {"other": client}, "upstream": {"office365": upstream}}
    (tmp_path / "relay.toml").write_text(toml_text(settings))

    dialogue = Dialogue(tmp_path)
    dialogue.asked("Which provider sends the mail [microsoft365]")
    dialogue.asked("Mailbox that sends [no-reply@clinic.test]")
    dialogue.asked(f"Directory (tenant) ID [{TENANT[1]}]")
    dialogue.asked(f"Application (client) ID [{TENANT[3]}]")
    dialogue.asked("How Relay proves to be that application [device_code]")
    dialogue.asked("Which application sends through Relay [other]")
    dialogue.asked("How Relay knows it [network]")
    dialogue.asked("Networks that it connects from [127.0.0.0/8]")
    dialogue.asked("Addresses that it may send as")
    dialogue.asked("Where Relay listens for it")
    dialogue.asked("Encryption between the application and Relay")
    dialogue.asked("Who is told by mail when something is wrong")
    dialogue.asked("Write it [Y/n]")
    dialogue.asked("Sign in to office365 now [Y/n]")
    dialogue.terminal.expect(r"\r\n([A-Z0-9]{9})\r\n")
    code = dialogue.terminal.match
    assert isinstance(code, re.Match)
    simulator.control("device", user_code=code[1])
    dialogue.asked("Who gets a test message", "signed-in@example.test")
    assert dialogue.ended() == 0, dialogue.shown
    assert "office365 took a message" in dialogue.shown


def run(folder: Path, *words: str, text: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    """`relay setup` without a terminal."""
    return subprocess.run(
        [sys.executable, "-m", "relay", "setup", *words, "--config", str(folder / "relay.toml")],
        cwd=folder,
        env=ENVIRON | environ,
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def unattended(simulator: SimulateProcess, port: int) -> list[str]:
    words = ["--yes", "--provider", "simulator", "--simulator-host", simulator.host, "--state-dir", "state"]
    return [*words, "--application", "rails", "--listen", f"127.0.0.1:{port}"]


def test_without_a_terminal_it_says_what_to_do(tmp_path: Path) -> None:
    ran = run(tmp_path)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "relay setup --yes" in ran.stderr
    assert list(tmp_path.iterdir()) == []


def test_yes_says_all_that_is_missing_at_once(tmp_path: Path) -> None:
    ran = run(tmp_path, "--yes", "--mailbox", "reception", "--region", "x")
    assert ran.returncode == 2
    options = [line.split(":")[0] for line in ran.stderr.splitlines()]
    assert options == ["--mailbox", "--tenant", "--client-id", "--secret-file", "--client-password-file", "--region"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["standard input", "file", "variable"])
def test_yes_with_flags_serves_mail_at_once(tmp_path: Path, simulator: SimulateProcess, place: str) -> None:
    port, recipient = free_port(), f"{place.replace(' ', '-')}@example.test"
    (tmp_path / "password").write_text(PASSWORD + "\n")
    option = {
        "standard input": ["--client-password-file", "-"],
        "file": ["--client-password-file", str(tmp_path / "password")],
        "variable": ["--client-password-env", "APPLICATION"],
    }[place]
    words = [*unattended(simulator, port), "--senders", "@clinic.test", *option, "--test-to", recipient, "--json"]
    ran = run(tmp_path, *words, text=PASSWORD + "\n", APPLICATION=PASSWORD)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert (found["ok"], found["doctor"]["ok"], found["test"]["ok"]) == (True, True, True)
    assert (found["upstream"], found["client"], found["backup"]) == ("rehearsal", "rails", None)
    (tmp_path / "password").unlink()
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert PASSWORD.encode() not in written
    assert PASSWORD not in ran.stdout + ran.stderr


def test_a_running_relay_takes_what_was_written(tmp_path: Path, simulator: SimulateProcess) -> None:
    words = [*unattended(simulator, free_port()), "--client-password-env", "APPLICATION", "--json"]
    assert run(tmp_path, *words, APPLICATION=PASSWORD).returncode == 0
    config = tmp_path / "relay.toml"
    config.write_text(f'{config.read_text()}\n[metrics]\naddress = "127.0.0.1:{free_port()}"\n')
    log = (tmp_path / "log").open("wb")
    serve = subprocess.Popen(
        [sys.executable, "-m", "relay", "serve", "--config", str(config)], env=ENVIRON, stdout=log, stderr=log
    )
    try:
        wait_until(lambda: (tmp_path / "state" / "control.sock").exists(), "relay to run")
        again = run(tmp_path, "--yes", "--provider", "capture", "--json")
        assert again.returncode == 0, again.stderr
        found = json.loads(again.stdout)
        assert (found["upstream"], found["doctor"]["ok"]) == ("sandbox", True)
        assert Path(found["backup"]).exists()
        assert '"reloaded"' in (tmp_path / "log").read_text()
    finally:
        serve.terminate()
        serve.wait(30)
        log.close()


def test_what_does_not_work_yet_is_written_and_explained(tmp_path: Path, simulator: SimulateProcess) -> None:
    words = ["--yes", "--provider", "smtp", "--host", simulator.host, "--port", "9", "--state-dir", "state"]
    ran = run(tmp_path, *words, "--application", "other", "--access", "network")
    assert ran.returncode == 1
    assert "FAILED" in ran.stdout
    assert "What to do:" in ran.stdout
    assert (tmp_path / "relay.toml").exists()


def test_without_a_simulator_a_rehearsal_says_how_to_start_one(tmp_path: Path) -> None:
    words = ["--yes", "--provider", "simulator", "--simulator-host", "127.254.254.254", "--client-password-env", "P"]
    ran = run(tmp_path, *words, P=PASSWORD)
    assert (ran.returncode, len(ran.stderr.splitlines())) == (1, 1)
    assert "relay simulate" in ran.stderr
    assert list(tmp_path.iterdir()) == []


def test_line_ends_stay_those_of_windows(tmp_path: Path) -> None:
    config = tmp_path / "relay.toml"
    config.write_bytes(b'# by Jo\r\nstate_dir = "state"\r\n')
    ran = run(tmp_path, "--yes", "--provider", "capture", "--application", "other", "--access", "network")
    assert ran.returncode == 0, ran.stderr
    written = config.read_bytes()
    assert written.startswith(b'# by Jo\r\nstate_dir = "state"\r\n')
    assert written.count(b"\n") == written.count(b"\r\n") > 5


@pytest.mark.parametrize(
    ("text", "said"), [("[client\n", "not TOML"), ("listner = 1\n", "listener"), ("[[client]]\n", "table")]
)
def test_a_file_that_is_wrong_is_left_as_it_is(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "relay.toml").write_text(text)
    ran = run(tmp_path, "--yes", "--provider", "capture", "--client-password-env", "P", P=PASSWORD)
    assert ran.returncode == 2, ran.stdout
    assert said in ran.stderr
    assert [path.read_text() for path in tmp_path.iterdir()] == [text]


def test_a_certificate_is_made_and_only_its_public_half_handed_over(tmp_path: Path) -> None:
    words = [
        "--yes",
        "--provider",
        "microsoft365",
        "--mailbox",
        "no-reply@clinic.test",
        *TENANT,
        "--state-dir",
        "state",
    ]
    words += ["--credential", "certificate", "--application", "other", "--access", "network", "--senders"]
    written = run(tmp_path, *words, "no-reply@clinic.test, lab@clinic.test")
    assert "relay setup microsoft365 office365" in written.stdout
    settings = tomllib.loads((tmp_path / "relay.toml").read_text())["upstream"]["office365"]
    assert settings["private_key"] == {"sealed": "office365-key"}

    handed = run(tmp_path, "microsoft365", "--output", str(tmp_path / "setup.ps1"))
    assert handed.returncode == 0, handed.stderr
    script = (tmp_path / "setup.ps1").read_bytes().decode().replace("\r\n", "\n")
    assert "Add-RecipientPermission -Identity 'lab@clinic.test' -Trustee 'no-reply@clinic.test'" in script
    literals_of(script)
    certificate = (tmp_path / "office365.cer").read_bytes()
    assert certificate == (tmp_path / "state" / "office365.cer").read_bytes()
    der = ssl.PEM_cert_to_DER_cert(certificate.decode())
    assert hashlib.sha1(der, usedforsecurity=False).hexdigest().upper() in handed.stdout
    everything = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"PRIVATE KEY" not in everything
    assert "PRIVATE KEY" not in handed.stdout + written.stdout
    assert run(tmp_path, "microsoft365", "--classic", "--output", str(tmp_path / "setup.ps1")).returncode == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["microsoft365"], "--mailbox, --tenant, --client-id"),
        (["microsoft365", "--mailbox", "x"], "--mailbox: "),
        (["microsoft365", "--mailbox", "a@b.test", *TENANT, "--object-id", "x"], "Enterprise applications"),
        (["microsoft365", "--mailbox", "a@b.test", *TENANT, "--send-as", "x"], "--send-as: "),
        (["microsoft365", "--mailbox", "a@b.test", *TENANT, "--graph", "--classic"], "every mailbox"),
        (["microsoft365", "--credential", "password"], "client_secret, certificate"),
        (["microsoft365", "--cloud", "mine"], "us-gov-high"),
        (["gmail", "--credential", "password"], "app_password"),
        (["gmail", "--key", "nowhere.json"], "--key: "),
        (["ses"], "--region: "),
        (["ses", "--region", "x"], "--region: "),
        (["ses", "--region", "eu-west-1", "--send-as", "a@b.test", "--account", "1"], "12 digits"),
    ],
)
def test_what_an_administrator_s_steps_lack_is_said(tmp_path: Path, words: list[str], said: str) -> None:
    ran = run(tmp_path, *words)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert said in ran.stderr


def test_steps_as_json(tmp_path: Path) -> None:
    found = json.loads(run(tmp_path, "ses", "--region", "eu-west-1", "--send-as", "@clinic.test", "--json").stdout)
    assert found["policy"]["Statement"]
    assert any("_dmarc.clinic.test" in line for step in found["steps"] for line in step["copy"])
    found = json.loads(run(tmp_path, "microsoft365", "--mailbox", "a@b.test", *TENANT, "--json").stdout)
    assert "New-ServicePrincipal" in found["script"]
    assert found["certificate"] is None


def test_the_administrator_s_steps_ask_for_names_and_then_look(tmp_path: Path, simulator: SimulateProcess) -> None:
    asked = Dialogue(tmp_path, "microsoft365")
    asked.asked("Mailbox that sends", "reception")
    asked.terminal.expect_exact("is not an e-mail address")
    asked.asked("Mailbox that sends", "no-reply@clinic.test")
    asked.asked("Directory (tenant) ID", TENANT[1])
    asked.asked("Application (client) ID", TENANT[3])
    assert asked.ended() == 0
    assert "Set-CASMailbox -Identity 'no-reply@clinic.test'" in asked.shown

    words = [*unattended(simulator, free_port()), "--client-password-env", "APPLICATION"]
    assert run(tmp_path, *words, APPLICATION=PASSWORD).returncode == 0
    configured = Dialogue(tmp_path, "microsoft365")
    configured.asked("Is it done? See whether it works [y/N]", "y")
    assert configured.ended() == 0
    assert "Upstream rehearsal: application" in configured.shown
    assert "all is well" in configured.shown
    checked = run(tmp_path, "microsoft365", "--check", "--json")
    assert json.loads(checked.stdout)["ok"] is True
