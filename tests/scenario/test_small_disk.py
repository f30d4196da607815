"""A real relay on a real small disk: full, read-only, and well again, without a restart, a loss or a copy."""

import hashlib
import smtplib
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.control.socket import RefusedError, connect
from tests.rig.relay import RelayProcess
from tests.rig.script import Answer
from tests.rig.scripted import ScriptedServer
from tests.rig.small_disk import SmallDisk
from tests.rig.waiting import wait_until
from tests.scenario.conftest import plain_settings
from tests.scenario.load import body_of, digest_in, mark_in
from tests.soak.audit import copied, faults_of

MIB = 1024 * 1024
SENDER = "no-reply@clinic.test"
FULL = (452, "4.3.1 Insufficient storage, try again later")
BROKEN = (451, "4.3.0 The queue is not available, try again later")
OK = 250


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with SmallDisk(tmp_path / "disk", 40 * MIB, inodes=40) as disk:
        yield disk


@pytest.fixture
def relay(provider: ScriptedServer, disk: SmallDisk, tmp_path: Path) -> Iterator[RelayProcess]:
    settings = {**plain_settings(provider.port), "state_dir": str(disk.folder)}
    with RelayProcess(tmp_path / "relay", settings, under=disk.under) as relay:
        yield relay


class Application:
    """Sends marked messages, and knows which of them were accepted."""

    def __init__(self, relay: RelayProcess) -> None:
        self.relay = relay
        self.accepted: dict[str, str] = {}
        self.refusals: Counter[tuple[int, str]] = Counter()
        self._sent = 0
        self._lock = threading.Lock()

    def offer(self, size: int = 2000, connection: smtplib.SMTP | None = None) -> bool:
        """Send one message; whether it was accepted."""
        if connection is None:
            with smtplib.SMTP("127.0.0.1", self.relay.port(), timeout=60) as connection:
                return self.offer(size, connection)
        with self._lock:
            self._sent += 1
            mark = f"mark-{self._sent}"
        body = body_of(mark, size)
        connection.ehlo_or_helo_if_needed()
        code, text = connection.mail(SENDER)
        if code == OK:
            connection.rcpt(f"{mark}@example.test")
            code, text = connection.data(f"From: <{SENDER}>\r\nX-Mark: {mark}\r\n\r\n".encode() + body)
        with self._lock:
            if code == OK:
                self.accepted[mark] = hashlib.sha256(body).hexdigest()
            else:
                self.refusals[code, text.decode()] += 1
                connection.rset()
        return code == OK

    def offer_until_refused(self, size: int, sessions: int = 4) -> None:
        """Send on several connections until each was refused."""

        def session() -> None:
            with smtplib.SMTP("127.0.0.1", self.relay.port(), timeout=60) as connection:
                while self.offer(size, connection):
                    pass

        threads = [threading.Thread(target=session) for _ in range(sessions)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)


@pytest.fixture
def application(relay: RelayProcess) -> Application:
    return Application(relay)


def _octets(disk: SmallDisk) -> int:
    """What the spool's files take."""
    return sum(path.stat().st_size for path in disk.seen.glob("queue.db*"))


def _log_is_empty(disk: SmallDisk) -> bool:
    return (disk.seen / "queue.db-wal").stat().st_size == 0


def _all_arrived_once(application: Application, provider: ScriptedServer, disk: SmallDisk, *, starts: int = 1) -> None:
    """Nothing that was accepted is lost or came twice, nothing that was refused came, and nothing is left behind."""
    relay = application.relay
    provider.wait_for(len(application.accepted), 60)
    if starts == 1:
        relay.wait_for_event("relayed", len(application.accepted))
    assert relay.process is not None
    assert relay.terminate() == 0
    arrived = Counter(mark_in(transaction.content) for transaction in provider.accepted)
    assert set(arrived) == set(application.accepted)
    assert set(arrived.values()) == {1}
    for transaction in provider.accepted:
        assert digest_in(transaction.content) == application.accepted[mark_in(transaction.content)]
    with copied(disk.seen) as spool:
        assert faults_of(spool, ended=True) == []
    assert relay.log_text().count('"event": "started"') == starts


def _ready(relay: RelayProcess) -> None:
    wait_until(lambda: relay.readiness()[0] == 200, "mail to be taken again")
    assert relay.metric("relay_spool_writable") == 1


def test_mail_fills_the_disk_and_leaves_it(
    provider: ScriptedServer, relay: RelayProcess, disk: SmallDisk, application: Application
) -> None:
    provider.close()
    application.offer_until_refused(20_000)
    wait_until(
        lambda: not application.offer(20_000) and "kept in reserve; free some space" in relay.readiness()[1],
        "/readyz to say that no mail is taken",
    )
    for _ in range(10):
        application.offer()
    assert set(application.refusals) == {FULL}
    [told] = relay.wait_for_event("spool_full")
    assert "df -h" in told["text"]
    # What the log gives back each second lets one or two in again.
    wait_until(
        lambda: not application.offer(20_000) and relay.metric("relay_spool_writable") == 0, "the gauge to say so"
    )
    assert relay.metric("relay_spool_free_bytes") < relay.metric("relay_spool_reserve_bytes") + 4 * MIB
    assert relay.http("/healthz")[0] == 200
    filled = _octets(disk)
    assert filled > 15 * MIB

    # The reserve is there for this: every outcome is recorded though the disk counts as full.
    provider.open()
    provider.wait_for(len(application.accepted), 60)
    _ready(relay)
    wait_until(lambda: _octets(disk) < 4 * MIB, "the file to shrink")
    assert application.offer(20_000)
    assert relay.log("spool_failed") == []
    wait_until(lambda: len(relay.log("spool_recovered")) == len(relay.log("spool_full")) < 4, "the log to say so")
    _all_arrived_once(application, provider, disk)


def test_another_program_takes_the_last_octet_while_a_message_is_on_its_way(
    provider: ScriptedServer, relay: RelayProcess, disk: SmallDisk, application: Application
) -> None:
    provider.script.then("BODY", Answer("250 2.0.0 taken", delay=5))
    assert application.offer()
    wait_until(lambda: provider.transactions, "the message to be on its way")
    wait_until(lambda: _log_is_empty(disk), "the log to be written back")
    disk.fill()
    wait_until(lambda: relay.readiness()[0] == 503, "/readyz to say that no mail is taken")
    for _ in range(5):
        application.offer()
    assert set(application.refusals) == {FULL}
    provider.wait_for(1)
    # The provider has it, and that can't be written down: it is remembered.
    disk.clear()
    _ready(relay)
    relay.wait_for_event("relayed")
    assert application.offer()
    _all_arrived_once(application, provider, disk)


def test_a_settlement_that_finds_no_room_is_kept_until_there_is(
    provider: ScriptedServer, relay: RelayProcess, disk: SmallDisk, application: Application
) -> None:
    provider.script.then("BODY", *(Answer("250 2.0.0 taken", delay=3) for _ in range(3)))
    assert all(application.offer() for _ in range(3))
    wait_until(lambda: len(provider.transactions) == 3, "the messages to be on their way")
    wait_until(lambda: _log_is_empty(disk), "the log to be written back")
    disk.fill()
    failed = wait_until(
        lambda: [line for line in relay.log("error") if line["where"] == "settle"], "a settlement that fails"
    )
    assert "df -h" in failed[0]["text"]
    assert relay.log("relayed") == []
    disk.clear()
    relay.wait_for_event("relayed", 3)
    _ready(relay)
    _all_arrived_once(application, provider, disk)


def test_the_disk_fills_up_under_large_messages(
    provider: ScriptedServer, relay: RelayProcess, disk: SmallDisk, application: Application
) -> None:
    provider.close()
    application.offer_until_refused(5 * MIB, sessions=2)
    assert application.accepted
    assert set(application.refusals) == {FULL}
    # What was written of the refused ones is given back: smaller ones find room.
    _ready(relay)
    assert application.offer(100_000)
    provider.open()
    _all_arrived_once(application, provider, disk)


def test_the_disk_fills_up_in_the_middle_of_a_message(
    provider: ScriptedServer, relay: RelayProcess, disk: SmallDisk, application: Application
) -> None:
    lines = body_of("half", MIB) * 2
    with socket.create_connection(("127.0.0.1", relay.port()), timeout=60) as connection:
        replies = connection.makefile("rb")
        replies.readline()
        for command in (b"HELO large", b"MAIL FROM:<a@clinic.test>", b"RCPT TO:<b@example.test>", b"DATA"):
            connection.sendall(command + b"\r\n")
            assert replies.readline()[:1] in b"23"
        connection.sendall(b"From: <a@clinic.test>\r\n\r\n" + lines)
        wait_until(lambda: _octets(disk) > MIB, "the first half to be in the spool")
        disk.fill()
        connection.sendall(lines + b".\r\n")
        assert replies.readline() == f"{FULL[0]} {FULL[1]}\r\n".encode()
        connection.sendall(b"NOOP\r\n")
        assert replies.readline().startswith(b"250")
        replies.close()
    disk.clear()
    _ready(relay)
    assert application.offer(4 * MIB)
    _all_arrived_once(application, provider, disk)


def test_the_disk_turns_read_only(
    provider: ScriptedServer, relay: RelayProcess, disk: SmallDisk, application: Application
) -> None:
    provider.script.then("BODY", Answer("250 2.0.0 taken", delay=2))
    assert application.offer()
    wait_until(lambda: provider.transactions, "the message to be on its way")
    assert relay.process is not None
    with disk.read_only(relay.process.pid, lambda: wait_until(lambda: not application.offer(), "a refusal")):
        wait_until(lambda: "readonly" in relay.readiness()[1], "/readyz to say why")
        told = wait_until(
            lambda: [line for line in relay.log("spool_failed") if "readonly" in line["text"]], "the log to say why"
        )
        assert "mount -o remount,rw" in told[0]["text"]
        provider.wait_for(1)
        wait_until(
            lambda: [line for line in relay.log("error") if line["where"] == "settle"], "a settlement that fails"
        )
        for _ in range(5):
            assert not application.offer()
        assert set(application.refusals) == {BROKEN}
        assert relay.metric("relay_spool_writable") == 0
        # It does not end for it: what it could not write down would be sent again.
        assert relay.http("/healthz")[0] == 200
        assert len(relay.log("spool_failed")) < 5
        control = connect(disk.seen)
        assert control is not None
        # Whoever types a command hears what the log says.
        with control, pytest.raises(RefusedError, match=r"the queue is not available: .*mount -o remount,rw"):
            control.ask("queue.change", {"change": "hold"})
    _ready(relay)
    relay.wait_for_event("relayed")
    assert application.offer()
    assert relay.wait_for_event("spool_recovered")
    _all_arrived_once(application, provider, disk)


def test_stopped_while_the_disk_is_read_only(
    provider: ScriptedServer, relay: RelayProcess, disk: SmallDisk, application: Application
) -> None:
    provider.close()
    assert application.offer()
    assert relay.process is not None
    with disk.read_only(relay.process.pid, lambda: wait_until(lambda: not application.offer(), "a refusal")):
        assert relay.terminate() == 0
    assert "defect" not in relay.log_text()
    relay.start()
    provider.open()
    _all_arrived_once(application, provider, disk, starts=2)


def test_no_more_files_can_be_made(
    provider: ScriptedServer, relay: RelayProcess, disk: SmallDisk, application: Application
) -> None:
    disk.fill_inodes()
    assert all(application.offer(size) for size in (2000, 200_000, 3 * MIB))
    _all_arrived_once(application, provider, disk)


def test_a_start_on_a_full_disk_says_so_and_succeeds_later(
    provider: ScriptedServer, relay: RelayProcess, disk: SmallDisk, application: Application
) -> None:
    provider.close()
    assert all(application.offer() for _ in range(3))
    relay.kill()
    disk.fill()
    relay.launch()
    assert relay.process is not None
    assert relay.process.wait(20) == 1
    assert "df -h" in relay.log_text().splitlines()[-1]
    disk.clear()
    relay.start()
    provider.open()
    _all_arrived_once(application, provider, disk, starts=2)
