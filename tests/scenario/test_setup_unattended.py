"""`relay setup --yes`, and what administrators are given, without a terminal."""

import hashlib
import json
import smtplib
import socket
import ssl
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.rig.ports import free_port
from tests.rig.setup import ENVIRON, PASSWORD, TENANT, run, unattended
from tests.rig.simulate import SimulateProcess
from tests.rig.waiting import wait_until
from tests.unit.cli.setup.powershell_text import literals_of


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


def answers(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as visitor:
        return visitor.connect_ex(("127.0.0.1", port)) == 0


def test_what_was_written_serves_the_application(tmp_path: Path, simulator: SimulateProcess) -> None:
    port, recipient = free_port(), "reminded@example.test"
    words = [*unattended(simulator, port), "--client-password-env", "APPLICATION"]
    assert run(tmp_path, *words, APPLICATION=PASSWORD).returncode == 0
    config = tmp_path / "relay.toml"
    config.write_text(f'{config.read_text()}\n[metrics]\naddress = "127.0.0.1:{free_port()}"\n')
    with (tmp_path / "log").open("wb") as log:
        serve = subprocess.Popen(
            [sys.executable, "-m", "relay", "serve", "--config", str(config)], env=ENVIRON, stdout=log, stderr=log
        )
    try:
        wait_until(lambda: answers(port), "relay to listen", 60)
        trusted = ssl.create_default_context(cafile=str(tmp_path / "state" / "tls" / "authority.pem"))
        with smtplib.SMTP("127.0.0.1", port, timeout=30) as application:
            application.starttls(context=trusted)
            application.login("rails", PASSWORD)
            application.sendmail("no-reply@clinic.test", recipient, "From: <no-reply@clinic.test>\r\n\r\nTomorrow.\r\n")
        wait_until(lambda: recipient in str(simulator.messages()), "the message at the provider", 60)
    finally:
        serve.terminate()
        serve.wait(30)


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        words = ["--provider", "capture", "--application", "other", "--access", "network", "--state-dir", "state"]
        ran = run(tmp_path, "--yes", *words, "--listen", address)
    assert ran.returncode == 0
    assert ran.stderr.startswith(f'listener "submission": {address}: another program listens there')


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
