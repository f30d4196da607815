"""SIGTERM while everybody is in the middle of something."""

import socket
import time
from collections import Counter

from tests.rig.script import Answer
from tests.rig.scripted import ScriptedServer
from tests.rig.waiting import wait_until
from tests.scenario.conftest import StartRelay, plain_settings
from tests.scenario.load import Load, digest_in, mark_in
from tests.soak.audit import copied, excuses_in, faults_of


def _half_a_message(port: int) -> socket.socket:
    """A session in the middle of DATA that says nothing more."""
    session = socket.create_connection(("127.0.0.1", port), timeout=30)
    session.sendall(b"EHLO slow\r\n")
    for command in (b"MAIL FROM:<a@clinic.test>", b"RCPT TO:<half@example.test>", b"DATA"):
        session.sendall(command + b"\r\n")
    seen = b""
    while b"\r\n354 " not in seen:
        seen += session.recv(4096)
    session.sendall(b"From: <a@clinic.test>\r\n\r\n" + b"half\r\n" * 400_000)
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
