"""What the kernel was asked to do, and in which order: `250` reaches the socket behind the sync of the spool."""

import secrets
import smtplib
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.rig.relay import RelayProcess
from tests.rig.scripted import ScriptedServer
from tests.rig.strace import Call, calls_in, tracing
from tests.scenario.conftest import plain_settings

pytestmark = pytest.mark.peer

MIB = 1024 * 1024
SENDER = "no-reply@clinic.test"


@dataclass(slots=True)
class Traced:
    """A relay whose system calls are written down."""

    relay: RelayProcess
    trace: Path

    def stop(self) -> list[Call]:
        """Stop it; all its calls."""
        assert self.relay.process is not None
        assert self.relay.terminate() == 0
        return calls_in(self.trace, self.relay.process.pid)


@pytest.fixture
def traced(provider: ScriptedServer, tmp_path: Path) -> Iterator[Traced]:
    trace = tmp_path / "trace"
    with RelayProcess(tmp_path / "relay", plain_settings(provider.port), under=tracing(trace)) as relay:
        yield Traced(relay, trace)


def new_marks(count: int) -> list[str]:
    """Words that stand nowhere else."""
    return [f"mark{secrets.token_hex(8)}" for _ in range(count)]


def body_of(marks: list[str], between: int) -> bytes:
    """Text with a mark before each `between` octets, often enough that a page of the database holds it whole."""
    text = "".join(f"{mark}\r\n" * 20 + "x" * 70 + "\r\n" + ("y" * 70 + "\r\n") * (between // 72) for mark in marks)
    return f"From: <{SENDER}>\r\nSubject: traced\r\n\r\n{text}".encode()


def send(connection: smtplib.SMTP, marks: list[str], between: int = 1000) -> str:
    """Send one message to the first of the marks, with all of them in its body; the ID it got."""
    connection.ehlo_or_helo_if_needed()
    assert connection.mail(SENDER)[0] == 250
    assert connection.rcpt(f"{marks[0]}@example.test")[0] == 250
    code, text = connection.data(body_of(marks, between))
    assert code == 250, text
    return text.decode().rpartition(" ")[2]


def sync_before_reply(calls: list[Call], identifier: str, marks: list[str]) -> Call:
    """The sync of the log that made the message last, which ended before its 250 was begun to be written."""
    said = f"250 2.0.0 Ok: queued as {identifier}"
    [reply] = [call for call in calls if said in call.octets and call.path.startswith(("socket:", "TCP"))]
    written = [call for call in calls if call.path.endswith("queue.db-wal") and "write" in call.name]
    firsts = [next((call for call in written if mark in call.octets), None) for mark in marks]
    ends = [call.ended for call in firsts if call is not None]
    assert len(ends) == len(marks), "a part of the message was never written to the log"
    assert max(ends) < reply.began, "a part of the message was written to the log behind its 250"
    syncs = [
        call
        for call in calls
        if call.name in {"fsync", "fdatasync"} and call.path.endswith("queue.db-wal") and call.result == 0
    ]
    before = [call for call in syncs if max(ends) < call.began and call.ended < reply.began]
    assert before, f"{identifier}: no sync between the writing of the message and its 250"
    return before[0]


def test_synced_before_250(traced: Traced) -> None:
    messages: dict[str, list[str]] = {}
    with smtplib.SMTP("127.0.0.1", traced.relay.port(), timeout=30) as connection:
        for _ in range(5):
            marks = new_marks(2)
            messages[send(connection, marks)] = marks
    calls = traced.stop()
    syncs = [sync_before_reply(calls, identifier, marks).began for identifier, marks in messages.items()]
    assert len(set(syncs)) == 5, "each message was answered before the next was sent"
    folder = str(traced.relay.state_dir)
    assert any(call.path == folder and "sync" in call.name for call in calls), "the log's name in its folder"


def test_synced_before_250_in_groups(traced: Traced) -> None:
    messages: dict[str, list[str]] = {}

    def session() -> None:
        with smtplib.SMTP("127.0.0.1", traced.relay.port(), timeout=60) as connection:
            for _ in range(5):
                marks = new_marks(2)
                messages[send(connection, marks)] = marks

    threads = [threading.Thread(target=session) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(messages) == 100
    calls = traced.stop()
    served = Counter(sync_before_reply(calls, identifier, marks).began for identifier, marks in messages.items())
    assert max(served.values()) > 1, "nothing was grouped"


def test_synced_before_250_streamed(traced: Traced) -> None:
    marks = new_marks(12)
    with smtplib.SMTP("127.0.0.1", traced.relay.port(), timeout=60) as connection:
        identifier = send(connection, marks, between=MIB // 4)
    sync_before_reply(traced.stop(), identifier, marks)


@pytest.mark.parametrize(("marks", "between"), [(2, 1000), (12, MIB // 4)], ids=["small", "streamed"])
def test_synced_before_250_by_chunks(traced: Traced, marks: int, between: int) -> None:
    """BDAT: the reply to the last chunk is the one that counts."""
    words = new_marks(marks)
    body = body_of(words, between)
    with smtplib.SMTP("127.0.0.1", traced.relay.port(), timeout=60) as connection:
        connection.ehlo()
        assert connection.mail(SENDER)[0] == 250
        assert connection.rcpt(f"{words[0]}@example.test")[0] == 250
        for start in range(0, len(body), 100_000):
            piece = body[start : start + 100_000]
            last = b" LAST" if start + len(piece) == len(body) else b""
            connection.send(b"BDAT %d%b\r\n%b" % (len(piece), last, piece))
            code, text = connection.getreply()
            assert code == 250, text
    sync_before_reply(traced.stop(), text.decode().rpartition(" ")[2], words)
