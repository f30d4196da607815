"""`relay setup` at a terminal: from nothing to a delivered test message."""

import json
import re
import stat
import time
import tomllib
from pathlib import Path

import pytest

from tests.rig.ports import free_port
from tests.rig.setup import PASSWORD, TENANT, Dialogue, run, unattended
from tests.rig.simulate import SimulateProcess
from tests.rig.toml import toml_text


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
