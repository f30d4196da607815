"""SIGTERM while everybody is in the middle of something."""

import os
import signal
import smtplib
import socket
import threading
import time
from collections import Counter
from contextlib import ExitStack, suppress
from pathlib import Path
from subprocess import Popen

from tests.rig.odd import OddServer, Talk, up_to
from tests.rig.script import Answer
from tests.rig.scripted import ScriptedServer
from tests.rig.waiting import wait_until
from tests.scenario.conftest import StartRelay, plain_settings
from tests.scenario.load import Load, body_of, digest_in, mark_in
from tests.soak.audit import copied, excuses_in, faults_of


def _in_data(port: int) -> socket.socket:
    """A session that was told to go on with its content."""
    session = socket.create_connection(("127.0.0.1", port), timeout=30)
    session.sendall(b"EHLO slow\r\n")
    for command in (b"MAIL FROM:<a@clinic.test>", b"RCPT TO:<half@example.test>", b"DATA"):
        session.sendall(command + b"\r\n")
    seen = b""
    while b"\r\n354 " not in seen:
        seen += session.recv(4096)
    session.sendall(b"From: <a@clinic.test>\r\n\r\n")
    return session


def _half_a_message(port: int) -> socket.socket:
    """A session in the middle of DATA that says nothing more."""
    session = _in_data(port)
    session.sendall(b"half\r\n" * 400_000)
    return session


def test_stopped_while_clients_and_upstream_hang(provider: ScriptedServer, start_relay: StartRelay) -> None:
    provider.script.always("BODY", Answer(None))
    relay = start_relay(plain_settings(provider.port, retry_ambiguous="200ms"))
    load = Load(relay.port())
    load.start()
    slow = [_half_a_message(relay.port()) for _ in range(3)]
    wait_until(lambda: len(provider.transactions) >= 5, "messages that wait for the answer to their final dot")
    began = time.monotonic()
    assert relay.terminate() == 0
    assert time.monotonic() - began < 25
    load.stop()
    for session in slow:
        session.close()
    unanswered = {mark_in(transaction.content) for transaction in provider.transactions}
    with copied(relay.state_dir) as spool:
        assert faults_of(spool) == []
        excuses = excuses_in(spool)
    assert {path.partition("@")[0] for path, count in excuses.items() if count} == unanswered
    assert not any(path.startswith("half@") for path in excuses)

    provider.script.well_again()
    relay.start()
    wait_until(lambda: load.accepted.keys() <= _arrived(provider).keys(), "everything to arrive", 60)
    assert {mark: _arrived(provider)[mark] for mark in load.accepted} == load.accepted
    assert set(Counter(mark_in(transaction.content) for transaction in provider.accepted).values()) == {1}


def test_killed_while_it_drains(provider: ScriptedServer, start_relay: StartRelay) -> None:
    provider.script.always("BODY", Answer("250 2.0.0 Ok", delay=1.0))
    relay = start_relay(plain_settings(provider.port))
    load = Load(relay.port())
    load.start()
    wait_until(lambda: len(load.accepted) > 50 and provider.accepted, "the load to be under way")
    assert relay.process is not None
    relay.process.terminate()
    relay.wait_for_event("draining")
    time.sleep(0.3)
    assert relay.process.poll() is None, "the drain was over before it could be cut short"
    relay.kill()
    load.stop()
    with copied(relay.state_dir) as spool:
        assert faults_of(spool) == []

    provider.script.well_again()
    relay.start()
    wait_until(lambda: load.accepted.keys() <= _arrived(provider).keys(), "everything to arrive", 60)
    assert {mark: _arrived(provider)[mark] for mark in load.accepted} == load.accepted
    assert relay.terminate() == 0
    with copied(relay.state_dir) as spool:
        excuses = excuses_in(spool)
    for mark, count in Counter(mark_in(transaction.content) for transaction in provider.accepted).items():
        assert count <= 1 + excuses[f"{mark}@example.test"], f"{mark} arrived {count} times"


def _arrived(provider: ScriptedServer) -> dict[str, str]:
    return {mark_in(transaction.content): digest_in(transaction.content) for transaction in provider.accepted}


def _upload(session: socket.socket, heard: list[bytes]) -> None:
    """Send 25 MiB of content in some seconds; what is heard behind the final dot goes to `heard`."""
    piece = body_of("upload", 256 * 1024)
    for _ in range(100):
        session.sendall(piece)
        time.sleep(0.03)
    session.sendall(b".\r\n")
    heard.append(session.recv(4096))


def test_stopped_twice_at_every_stage(provider: ScriptedServer, start_relay: StartRelay) -> None:
    """Clients in handshakes, in AUTH, in a large upload; upstreams that greet, shake hands, or answer never."""
    waits: list[Talk] = [up_to(b"STARTTLS", b"220 go\r\n", b"STARTTLS"), up_to(b"EHLO", b"")]
    with ExitStack() as running:
        odd = [running.enter_context(OddServer(*[talk] * 9)) for talk in waits]
        upstream = {"type": "smtp", "host": "127.0.0.1", "verify": "none"}
        settings = plain_settings(provider.port)
        settings["listener"] |= {"starttls": {"security": "starttls"}, "tls": {"security": "implicit"}}
        settings["upstream"] |= {f"odd{at}": upstream | {"port": server.port} for at, server in enumerate(odd)}
        clients = {
            name: {"username": name, "password": {"env": "P"}, "upstream": name} for name in settings["upstream"]
        }
        settings["client"] |= clients
        relay = start_relay(settings, {"P": "secret"})
        for name in clients:
            with smtplib.SMTP("127.0.0.1", relay.port(), timeout=30) as connection:
                connection.login(name, "secret")
                connection.sendmail("a@clinic.test", [f"{name}@example.test"], b"Subject: x\r\n\r\nx\r\n")
        heard: list[bytes] = []
        upload = threading.Thread(target=_upload, args=(running.enter_context(_in_data(relay.port())), heard))
        upload.start()
        sessions = [
            socket.create_connection(("127.0.0.1", relay.port(name)), timeout=30) for name in relay.listener_ports
        ]
        for session, said in zip(
            sessions, (b"EHLO x\r\nAUTH LOGIN\r\n", b"EHLO x\r\nSTARTTLS\r\n", b"\x16\x03\x01"), strict=True
        ):
            running.enter_context(session)
            session.sendall(said)
        provider.wait_for(1)
        assert relay.process is not None
        began = time.monotonic()
        relay.process.terminate()
        relay.wait_for_event("draining")
        relay.process.terminate()
        assert relay.process.wait(30) == 0
        assert time.monotonic() - began < 25
        upload.join(30)
    assert relay.log("error") == []
    with copied(relay.state_dir) as spool:
        assert faults_of(spool) == []
        kept = {path for (path,) in spool.execute("SELECT forward_path FROM recipients WHERE state = 'queued'")}
    assert {"odd0@example.test", "odd1@example.test"} <= kept
    assert b"250 2.0.0 Ok: queued" in heard[0], "what was coming in may end"
    arrived = [one for one in provider.accepted if "<half@example.test>" in one.recipients]
    assert len(arrived) + ("half@example.test" in kept) == 1


def test_a_thread_that_hangs_does_not_hold_up_the_end(provider: ScriptedServer, start_relay: StartRelay) -> None:
    relay = start_relay(plain_settings(provider.port))
    # Reading it never ends, as on a share that went away.
    relay.config.unlink()
    os.mkfifo(relay.config)
    relay.reload()
    writer = wait_until(lambda: _writing_end(relay.config), "the file to be read")
    try:
        assert relay.terminate(20) == 0
    finally:
        os.close(writer)
    assert relay.log("stopped")


def _writing_end(pipe: Path) -> int | None:
    """A descriptor of a named pipe that somebody has opened to read, else None."""
    with suppress(OSError):
        return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    return None


def _hears(process: Popen[bytes] | None, number: signal.Signals) -> bool:
    """True where it has a handler for the signal (proc(5), SigCgt)."""
    assert process is not None
    status = Path(f"/proc/{process.pid}/status").read_text()
    caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught, 16) >> (number - 1) & 1)


def test_signals_before_it_serves_and_after(provider: ScriptedServer, start_relay: StartRelay) -> None:
    relay = start_relay(plain_settings(provider.port))
    assert relay.process is not None
    relay.process.terminate()
    while relay.process.poll() is None:
        with suppress(ProcessLookupError):
            relay.process.send_signal(signal.SIGHUP)
            relay.process.terminate()
        time.sleep(0.002)
    assert relay.process.wait() == 0, "ended by a signal that came once it had stopped"
    for number in (signal.SIGHUP, signal.SIGTERM):
        relay.launch()
        wait_until(lambda: _hears(relay.process, signal.SIGTERM), "it to hear signals", pause=0.001)
        relay.process.send_signal(number)
        if number == signal.SIGHUP:
            wait_until(lambda: relay.readiness()[0] == 200, "it to start in spite of a reload")
            assert relay.terminate() == 0
    assert relay.process.wait(30) == 0, "ended by a signal that came before it served"
