"""`relay spool check` and `salvage` as an operator runs them, beside a relay and without one."""

import hashlib
import json
import os
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.rig.relay import RelayProcess
from tests.rig.scripted import ScriptedServer
from tests.rig.waiting import wait_until
from tests.scenario.conftest import StartRelay, plain_settings
from tests.scenario.load import Load, digest_in, mark_in
from tests.scenario.test_disk import answer
from tests.scenario.test_relays import send
from tests.soak.audit import copied, faults_of


@pytest.fixture
def relay(provider: ScriptedServer, start_relay: StartRelay) -> RelayProcess:
    """A relay with mail that waits."""
    provider.close()
    relay = start_relay(plain_settings(provider.port))
    for _ in range(3):
        send(relay)
    return relay


def _checked(relay: RelayProcess, *arguments: str) -> tuple[int, dict[str, Any]]:
    done = relay.command("spool", "check", *arguments, "--json")
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


def _kinds(found: dict[str, Any]) -> list[str]:
    return [finding["kind"] for finding in found["findings"] if finding["kind"] != "little_room"]


def _state(relay: RelayProcess) -> dict[str, tuple[int, str]]:
    """Mode and content of the files that are the spool."""
    return {
        path.name: (path.stat().st_mode, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in relay.state_dir.iterdir()
        if path.is_file() and not path.name.endswith("-shm")
    }


def test_beside_a_running_relay(relay: RelayProcess) -> None:
    code, found = _checked(relay)
    assert relay.process is not None
    assert (code, found["ok"], found["running"]) == (0, True, relay.process.pid)
    assert _kinds(found) == [], found["findings"]
    assert found["rows"]["messages"] == 3
    # One of them may be tried just then.
    assert sum(found["waiting"].values()) == 3
    send(relay)
    done = relay.command("spool", "check")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == f"{relay.state_dir / 'queue.db'}: in order"


@pytest.mark.parametrize("end", ["terminate", "kill"])
def test_without_one_nothing_is_touched(relay: RelayProcess, end: str) -> None:
    getattr(relay, end)()
    before, names = _state(relay), set(os.listdir(relay.state_dir))
    code, found = _checked(relay)
    assert (code, found["running"], _kinds(found)) == (0, None, [])
    assert found["rows"]["messages"] == 3
    assert _state(relay) == before
    assert set(os.listdir(relay.state_dir)) == names


def test_damage_is_named_salvaged_and_served(provider: ScriptedServer, relay: RelayProcess, tmp_path: Path) -> None:
    load = Load(relay.port(), sessions=4, size=1000)
    load.start()
    relay.wait_for_event("accepted", 300)
    load.stop()
    assert relay.terminate() == 0
    path = relay.state_dir / "queue.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("VACUUM")
        [(one,)] = connection.execute("SELECT octets FROM chunks ORDER BY content LIMIT 1 OFFSET 100").fetchall()
    octets = bytearray(path.read_bytes())
    page = octets.index(mark_in(one).encode() + b"\r\n") // 4096 * 4096
    octets[page : page + 4096] = os.urandom(4096)
    path.write_bytes(octets)

    done = relay.command("spool", "check")
    assert done.returncode == 1
    assert "DAMAGE tables_damaged: the tables chunks are damaged" in done.stdout
    assert "\n  of: clinic " in done.stdout
    code, found = _checked(relay)
    assert (code, found["ok"], _kinds(found)) == (1, False, ["tables_damaged", "messages_damaged"])
    lost = found["findings"][1]["messages"]
    assert 0 < lost < 50

    # What it says to type, but for the service manager.
    actions = found["findings"][0]["actions"]
    assert (actions[0], actions[-1]) == ("systemctl stop relay", "systemctl start relay")
    assert actions[1] == f"relay spool salvage {path}.salvaged"
    salvaged = relay.command(*actions[1].split()[1:], "--json")
    assert salvaged.returncode == 1
    told = json.loads(salvaged.stdout)["lost"]
    assert len(told) == lost
    assert all(one["client"] == "clinic" and one["recipients"] for one in told)
    assert relay.command(*actions[2].split()[1:]).returncode == 0
    for action in actions[3:-1]:
        subprocess.run(["sh", "-c", action], capture_output=True, check=False)

    relay.start()
    provider.open()
    arrived = provider.wait_for(3 + len(load.accepted) - lost, 60)
    marks = {mark_in(transaction.content): digest_in(transaction.content) for transaction in arrived}
    missing = {one["recipients"][0].partition("@")[0] for one in told}
    assert marks.keys() - {""} == load.accepted.keys() - missing
    assert all(load.accepted[mark] == digest for mark, digest in marks.items() if mark)
    relay.wait_for_event("relayed", len(arrived))
    assert relay.terminate() == 0
    with copied(relay.state_dir) as spool:
        assert faults_of(spool, ended=True) == []


def test_a_log_deleted_under_a_running_relay(relay: RelayProcess) -> None:
    (relay.state_dir / "queue.db-wal").unlink()
    wait_until(lambda: "queue.db-wal was taken away" in relay.readiness()[1], "/readyz to say so")
    [told] = relay.wait_for_event("spool_damaged")
    assert "relay spool check" in told["text"]
    assert answer(relay) == 451
    code, found = _checked(relay)
    assert (code, _kinds(found)) == (1, ["log_deleted"])
    # What it says to type: a clean stop writes back what only it has.
    assert relay.process is not None
    assert found["findings"][0]["actions"][0].startswith(f"kill -TERM {relay.process.pid} ")
    relay.process.send_signal(signal.SIGTERM)
    assert relay.process.wait(30) == 0
    code, found = _checked(relay)
    assert (code, _kinds(found), found["waiting"]) == (0, [], {"queued": 3})


def test_a_database_deleted_under_a_running_relay(relay: RelayProcess) -> None:
    path = relay.state_dir / "queue.db"
    path.unlink()
    wait_until(lambda: "queue.db was taken away" in relay.readiness()[1], "/readyz to say so")
    assert answer(relay) == 451
    code, found = _checked(relay)
    assert (code, _kinds(found)) == (1, ["deleted"])
    # What it says to type.
    listed, copied_, check, _, moved, _ = found["findings"][0]["actions"]
    open_files = subprocess.run(["sh", "-c", listed], capture_output=True, text=True, check=True).stdout.splitlines()
    numbers = {
        line.partition(" -> ")[2].partition(" ")[0]: line.partition(" -> ")[0].split()[-1] for line in open_files
    }
    copying = copied_.replace("/fd/N ", f"/fd/{numbers[str(path)]} ").replace(
        "/fd/M ", f"/fd/{numbers[f'{path}-wal']} "
    )
    subprocess.run(["sh", "-c", copying], check=True)
    path.with_name("queue.db.saved").chmod(0o600)
    path.with_name("queue.db.saved-wal").chmod(0o600)
    assert relay.command(*check.split()[1:]).returncode == 0
    assert relay.terminate() == 0
    subprocess.run(["sh", "-c", moved], check=True)
    code, found = _checked(relay)
    assert found["waiting"] == {"queued": 3}
    relay.start()
    assert relay.metric("relay_queue_recipients", upstream="provider") == 3


def test_a_backup_is_looked_at_by_its_name(relay: RelayProcess, tmp_path: Path) -> None:
    backup = tmp_path / "backup.db"
    with (
        closing(sqlite3.connect(relay.state_dir / "queue.db")) as source,
        closing(sqlite3.connect(backup)) as target,
    ):
        source.backup(target)
    backup.chmod(0o600)
    code, found = _checked(relay, str(backup))
    assert (code, found["running"], found["spool"]) == (0, None, str(backup))
    assert found["rows"]["messages"] == 3
    nothing = tmp_path / "nothing.db"
    for command in (["check", str(nothing)], ["salvage", str(tmp_path / "new.db"), str(nothing)]):
        done = relay.command("spool", *command)
        assert (done.returncode, done.stdout) == (2, ""), "a mistyped name is no backup in order"
        assert done.stderr == f"{nothing}: no such file; name a copy or a backup\n"


def test_salvage_leaves_a_running_relay_alone(relay: RelayProcess, tmp_path: Path) -> None:
    done = relay.command("spool", "salvage", str(tmp_path / "new.db"))
    assert done.returncode == 1
    assert "stop it first" in done.stderr
    assert not (tmp_path / "new.db").exists()


@pytest.mark.parametrize(
    ("content", "kind", "says"),
    [
        (b"PK\x03\x04" * 5000, "not_a_database", "put a backup in its place, or move it away"),
        (b"SQLite format 3\0" + b"\0" * 50, "not_a_database", "put a backup in its place"),
    ],
)
def test_what_is_no_spool_is_refused_and_named(relay: RelayProcess, content: bytes, kind: str, says: str) -> None:
    assert relay.terminate() == 0
    (relay.state_dir / "queue.db").write_bytes(content)
    relay.launch()
    assert relay.process is not None
    assert relay.process.wait(20) == 1
    assert says in relay.log_text().splitlines()[-1]
    code, found = _checked(relay)
    assert (code, _kinds(found)) == (1, [kind])


def test_a_newer_spool_is_refused_and_named(relay: RelayProcess) -> None:
    assert relay.terminate() == 0
    with closing(sqlite3.connect(relay.state_dir / "queue.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    (relay.state_dir / "queue.db.before-9999").touch(0o600)
    relay.launch()
    assert relay.process is not None
    assert relay.process.wait(20) == 1
    last = relay.log_text().splitlines()[-1]
    assert "written by a newer Relay: revision 9999" in last
    assert "install the newer one again, or put queue.db.before-9999 in its place" in last
    code, found = _checked(relay)
    assert (code, _kinds(found)) == (1, ["copy_kept", "newer"])


def test_on_postgresql(provider: ScriptedServer, start_relay: StartRelay, postgres_url: str) -> None:
    provider.close()
    relay = start_relay(plain_settings(provider.port, url=postgres_url))
    ids = {send(relay) for _ in range(3)}
    code, found = _checked(relay)
    assert (code, _kinds(found), found["waiting"]) == (0, [], {"queued": 3})
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("DELETE FROM chunks")
    code, found = _checked(relay)
    assert (code, _kinds(found)) == (1, ["content_missing"])
    assert set(found["findings"][0]["ids"]) == ids
    done = relay.command("spool", "salvage", "new.db")
    assert done.returncode == 1
    assert "PostgreSQL" in done.stderr


def test_a_database_server_that_is_away(provider: ScriptedServer, relay: RelayProcess) -> None:
    assert relay.terminate() == 0
    relay.write_config(plain_settings(provider.port, url="postgresql://relay@127.0.0.1:1/relay"))
    done = relay.command("spool", "check", "--json")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("queue.url: ")
    assert done.stderr.endswith("; see that the database runs and lets relay in\n")
