"""What an operator types, against a relay that runs and without one."""

import csv
import io
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from tests.rig.relay import RelayProcess
from tests.rig.scripted import ScriptedServer
from tests.rig.waiting import wait_until
from tests.scenario.conftest import StartRelay, plain_settings
from tests.scenario.test_relays import send


@pytest.fixture(params=["running", "stopped"])
def waiting(request: pytest.FixtureRequest, start_relay: StartRelay) -> tuple[RelayProcess, list[str]]:
    """A relay with three messages in its queue, and their IDs; it runs, or has been stopped."""
    relay = start_relay(plain_settings(9))
    ids = [send(relay, f"patient{number}@example.test") for number in range(3)]
    relay.wait_for_event("accepted", count=3)
    wait_until(lambda: relay.log("deferred") or relay.log("probe_failed"), "the upstream to be tried")
    if request.param == "stopped":
        assert relay.terminate() == 0
    return relay, ids


def asked(relay: RelayProcess, *words: str, status: int = 0) -> Any:
    """The JSON that a command prints."""
    found = relay.command(*words, "--json")
    assert found.returncode == status, found.stderr
    return json.loads(found.stdout)


def refused(relay: RelayProcess, *words: str, status: int) -> str:
    """The only line that a refused command prints."""
    found = relay.command(*words)
    assert (found.returncode, found.stdout) == (status, ""), found
    [line] = found.stderr.splitlines()
    return line


def test_queue_list_and_show(waiting: tuple[RelayProcess, list[str]]) -> None:
    relay, ids = waiting
    listed = asked(relay, "queue", "list")
    assert [entry["id"] for entry in listed] == ids
    first = listed[0]
    keys = {"id", "client", "upstream", "state", "sender", "recipients", "size", "attempts", "accepted"}
    assert keys | {"next_attempt", "reply"} <= first.keys()
    assert first["recipients"] == ["patient0@example.test"]
    assert (first["client"], first["upstream"], first["sender"]) == ("clinic", "provider", "no-reply@clinic.test")
    shown = asked(relay, "queue", "show", ids[1])
    assert shown["recipient_details"][0]["recipient"] == "patient1@example.test"
    assert len(relay.command("queue", "list").stdout.splitlines()) == 3


def test_queue_hold_release_and_remove(waiting: tuple[RelayProcess, list[str]]) -> None:
    relay, ids = waiting
    assert asked(relay, "queue", "hold", ids[0]) == {"messages": 1}
    assert asked(relay, "queue", "list")[0]["state"] == "held"
    assert asked(relay, "status")["queue"]["recipients"]["held"] == 1
    assert asked(relay, "queue", "release", ids[0]) == {"messages": 1}
    assert asked(relay, "queue", "list")[0]["state"] in {"queued", "in_flight"}
    assert asked(relay, "queue", "remove", ids[0]) == {"messages": 1}
    wait_until(lambda: len(asked(relay, "queue", "list")) == 2, "the message to be removed")
    assert asked(relay, "trace", ids[0])[0]["events"][-1]["event"] == "removed"
    assert "not waiting" in refused(relay, "queue", "show", ids[0], status=1)
    assert asked(relay, "queue", "remove", "--client", "clinic") == {"messages": 2}
    wait_until(lambda: asked(relay, "queue", "list") == [], "the queue to be empty")


def test_the_record_as_csv(provider: ScriptedServer, start_relay: StartRelay) -> None:
    provider.script.for_recipient("=bad@example.test", '550 5.1.1 =no such user, "really"')
    relay = start_relay(plain_settings(provider.port))
    ids = [send(relay, "good@example.test", "=bad@example.test"), send(relay, "other@example.test")]
    wait_until(
        lambda: (
            {state for entry in asked(relay, "trace") for state in entry["states"].values()} == {"relayed", "failed"}
        ),
        "all to be settled",
    )
    printed = relay.command("trace", "--csv", "--client", "clinic")
    rows = [row for row in csv.DictReader(io.StringIO(printed.stdout)) if row["id"] in ids]
    assert [(row["id"], row["recipient"], row["state"]) for row in rows] == [
        (ids[1], "other@example.test", "relayed"),
        (ids[0], "good@example.test", "relayed"),
        (ids[0], "'=bad@example.test", "failed"),
    ]
    assert rows[2]["reply"] == '550 5.1.1 =no such user, "really"'
    assert all(row["upstream"] == "provider" and row["time"] >= row["accepted"] for row in rows)
    assert len(asked(relay, "trace", "--all")) == len(asked(relay, "trace")) == 3
    assert "one of the two" in refused(relay, "trace", "--csv", "--json", status=2)


def test_an_upstream_is_held_and_released(waiting: tuple[RelayProcess, list[str]]) -> None:
    relay, _ = waiting
    assert asked(relay, "queue", "hold", "--upstream", "provider") == {"upstreams": 1}
    [upstream] = asked(relay, "status")["upstreams"]
    assert (upstream["state"], upstream["reason"], upstream["next_probe"]) == ("held", "operator", None)
    assert asked(relay, "queue", "release", "--upstream", "provider") == {"upstreams": 1}
    assert asked(relay, "status")["upstreams"][0]["state"] != "held"


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("queue show NOSUCHID", 1),
        ("queue retry NOSUCHID", 1),
        ("trace NOSUCHID", 1),
        ("queue remove", 2),
        ("queue remove --all --client x", 2),
        ("queue reroute --all nowhere", 2),
        ("queue hold --upstream nowhere", 2),
        ("trace --since soon", 2),
        ("settings nobody", 2),
        ("settings clinic --for wordperfect", 2),
        ("test nowhere --to a@b.test", 2),
        ("test provider --to nonsense", 2),
        ("test provider", 2),
        ("login provider", 2),
        ("secret remove nothing", 1),
        ("secret set office", 1),
        ("nonsense", 2),
        ("queue nonsense", 2),
        ("status --nonsense", 2),
        ("status more words", 2),
        ("serve quickly", 2),
    ],
)
def test_what_is_wrong_is_said_in_one_line(words: str, status: int, stopped: RelayProcess) -> None:
    line = refused(stopped, *words.split(), status=status)
    assert "Traceback" not in line
    assert "defect" not in line


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> RelayProcess:
    """A configuration whose relay doesn't run, and never did."""
    return RelayProcess(tmp_path_factory.mktemp("stopped"), plain_settings(9))


@pytest.mark.parametrize("words", ["queue list --client clinc", "queue retry --upstream clinc", "trace --client clinc"])
def test_a_name_that_nothing_has_is_doubted(words: str, stopped: RelayProcess) -> None:
    found = stopped.command(*words.split())
    kind, known = ("upstream", "provider") if "--upstream" in words else ("client", "clinic")
    assert found.returncode == 0
    assert found.stderr == f"clinc: there is no such {kind} any more, or never was; there are: {known}\n"


def test_everything_is_empty_at_first(stopped: RelayProcess) -> None:
    assert asked(stopped, "queue", "list") == []
    assert asked(stopped, "trace") == []
    assert asked(stopped, "secret", "list") == []
    found = asked(stopped, "status")
    assert (found["ready"], found["uptime_seconds"], found["listeners"]) == (False, 0, [])
    assert found["queue"] == {"recipients": {"queued": 0, "in_flight": 0, "held": 0}, "oldest_seconds": None}


def test_status(provider: ScriptedServer, start_relay: StartRelay) -> None:
    settings = plain_settings(provider.port)
    settings["upstream"]["provider"] |= {"messages_per_minute": 60}
    relay = start_relay(settings)
    send(relay)
    provider.wait_for(1)
    relay.wait_for_event("relayed")
    found = asked(relay, "status")
    assert found["ready"] is True
    assert found["listeners"] == [
        {"name": "submission", "address": f"127.0.0.1:{relay.port()}", "security": "none", "connections": 0}
    ]
    [upstream] = found["upstreams"]
    assert (upstream["name"], upstream["type"], upstream["state"]) == ("provider", "smtp", "open")
    assert upstream["quotas"] == {"messages_per_minute": {"used": 1, "limit": 60}}
    assert {"reason", "since", "next_probe", "connections"} <= upstream.keys()
    assert found["recent"][0]["event"] == "relayed"
    assert "is running" in relay.command("status").stdout


def test_a_command_takes_effect_within_a_second(provider: ScriptedServer, start_relay: StartRelay) -> None:
    provider.script.then("BODY", "451 4.3.0 Later")
    relay = start_relay(plain_settings(provider.port, retry_first="1h", retry_most="1h"))
    message_id = send(relay)
    relay.wait_for_event("deferred")
    began = time.monotonic()
    assert relay.command("queue", "retry", message_id).returncode == 0
    answered = time.monotonic()
    provider.wait_for(1)
    assert time.monotonic() - answered < 1
    assert answered - began < 10


def test_retry_of_what_is_held_says_what_to_type(provider: ScriptedServer, start_relay: StartRelay) -> None:
    provider.script.then("BODY", "451 4.3.0 Later")
    relay = start_relay(plain_settings(provider.port, retry_first="1h", retry_most="1h"))
    message_id = send(relay)
    relay.wait_for_event("deferred")
    assert relay.command("queue", "hold", message_id).returncode == 0
    told = relay.command("queue", "retry", message_id).stdout.splitlines()
    assert told[0] == "0 messages"
    assert told[1].endswith(f"relay explain {message_id}")
    assert f"relay queue release {message_id}" in relay.command("explain", message_id).stdout


def test_a_test_message(provider: ScriptedServer, start_relay: StartRelay) -> None:
    relay = start_relay(plain_settings(provider.port))
    words = ("test", "provider", "--to", "it@clinic.test", "--from", "relay@clinic.test")
    found = asked(relay, *words)
    assert found["ok"] is True
    assert found["reply"].startswith("250")
    assert provider.wait_for(1)[0].sender.startswith("<relay@clinic.test>")
    provider.script.for_recipient("it@clinic.test", "550 5.1.1 No such user")
    found = asked(relay, *words, status=1)
    assert (found["ok"], found["reply"]) == (False, "550 5.1.1 No such user")
    told = relay.command(*words)
    assert (told.returncode, "That was at RCPT." in told.stdout) == (1, True), told.stdout
    assert relay.terminate() == 0
    provider.script.well_again()
    assert asked(relay, *words)["ok"] is True


def test_secrets(stopped: RelayProcess, tmp_path: Path) -> None:
    assert stopped.command("secret", "set", "office", text="geheim ü\n").returncode == 0
    [entry] = asked(stopped, "secret", "list")
    assert entry["name"] == "office"
    files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in stopped.state_dir.iterdir() if path.is_file()}
    assert {mode & 0o077 for mode in files.values()} == {0}
    assert stat.S_IMODE(stopped.state_dir.stat().st_mode) == 0o700
    assert stopped.command("secret", "remove", "office").returncode == 0
    refused_name = stopped.command("secret", "set", "../../etc/passwd", text="x")
    assert refused_name.returncode == 2
    assert "no name for a secret" in refused_name.stderr


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_a_secret_that_is_not_utf8_is_refused(stopped: RelayProcess, locale: str) -> None:
    words = [sys.executable, "-m", "relay", "secret", "set", "office", "--config", str(stopped.config)]
    environ = stopped.environ | {"LC_ALL": locale}
    found = subprocess.run(words, input=b"gehe\xefm\n", env=environ, capture_output=True, check=False)
    assert (found.returncode, found.stderr) == (1, b"standard input is not UTF-8; nothing was changed\n")


def test_check(stopped: RelayProcess, tmp_path: Path) -> None:
    assert asked(stopped, "check") == {"ok": True, "problems": [], "warnings": []}
    wrong = tmp_path / "relay.toml"
    wrong.write_text('[client.x]\nnetworks = ["10.0.0.0/8"]\nupstream = "isp"\n[queue]\nretry_first = 30\n')
    found = subprocess.run(
        [sys.executable, "-m", "relay", "--json", "check", "--config", str(wrong)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 2
    problems = json.loads(found.stdout)["problems"]
    assert {(problem["key"], problem["line"]) for problem in problems} == {
        ("client.x.upstream", 3),
        ("queue.retry_first", 5),
    }


def test_check_takes_the_file_without_config_too(stopped: RelayProcess) -> None:
    assert stopped.command("check", str(stopped.config)).returncode == 0
    assert "name one" in refused(stopped, "check", "/etc/another.toml", status=2)


def test_the_example_is_in_order() -> None:
    example = Path(__file__).parents[2] / "docs" / "relay.example.toml"
    found = subprocess.run(
        [sys.executable, "-m", "relay", "check", "--form", "--config", str(example)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr


def test_nothing_to_trust_where_no_listener_uses_tls(start_relay: StartRelay) -> None:
    relay = start_relay(plain_settings(9))
    assert refused(relay, "certificate", status=1).startswith("no listener uses TLS")


def test_certificate_and_settings(start_relay: StartRelay) -> None:
    settings = plain_settings(9)
    settings["listener"] = {"submission": {}}
    relay = start_relay(settings)
    found = asked(relay, "certificate")
    assert Path(found["file"]).read_text() == found["pem"]
    assert found["own_authority"] is True
    openssl = subprocess.run(
        ["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", found["file"]],
        capture_output=True,
        text=True,
        check=False,
    )
    if openssl.returncode == 0:
        assert openssl.stdout.strip().endswith(found["sha256"])
    told = relay.command("certificate").stdout
    assert "Import-Certificate" in told
    assert "keytool" in told
    typed = asked(relay, "settings", "clinic", "--for", "careright")
    assert {"name": "SMTP Port", "value": str(relay.port())} in typed["fields"]


def test_help_is_there_for_every_command() -> None:
    def told(*words: str) -> str:
        found = subprocess.run(
            [sys.executable, "-m", "relay", *words, "--help"], capture_output=True, text=True, check=False
        )
        assert (found.returncode, found.stderr) == (0, "")
        return found.stdout

    commands = ["serve", "demo", "check", "status", "queue", "trace", "test", "login", "secret", "settings"]
    everything = told()
    for command in [*commands, "certificate", "simulate"]:
        assert command in everything
        assert told(command)
    assert "reroute" in told("queue")


@pytest.mark.parametrize("reachable", [True, False])
def test_what_root_does_stays_the_owner_s(reachable: bool) -> None:
    folder = Path(tempfile.mkdtemp(prefix="relay-owner-"))
    folder.chmod(0o755 if reachable else 0o700)
    relay = RelayProcess(folder, plain_settings(9))
    relay.state_dir.mkdir(mode=0o700)
    # Only root can give the folder away; anybody else's own must stay their own.
    owner = 65534 if os.geteuid() == 0 else os.geteuid()
    os.chown(relay.state_dir, owner, -1)
    assert relay.command("secret", "set", "office", text="x").returncode == 0
    assert relay.command("queue", "list").returncode == 0
    assert relay.command("test", "provider", "--to", "a@b.test").returncode == 1
    owners = {path.name: path.stat().st_uid for path in relay.state_dir.rglob("*")}
    assert "queue.db" in owners
    assert set(owners.values()) == {owner}
    shutil.rmtree(folder)
