"""A client with delivery = "direct" waits for the upstream's own answer: what it hears, and that nothing goes twice."""

from __future__ import annotations

import json
import smtplib
import socket
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.rig.relay import RelayProcess
from tests.rig.script import Answer
from tests.rig.scripted import ScriptedServer
from tests.rig.toml import Value
from tests.rig.waiting import wait_until
from tests.scenario.conftest import StartRelay, plain_settings
from tests.scenario.test_memory import MIB, send_large

MESSAGE = "From: App <app@clinic.test>\r\nMessage-ID: <{0}@clinic.test>\r\nSubject: Results\r\n\r\nSecret {0}\r\n"


def direct_settings(port: int, upstream: dict[str, Value] | None = None, **queue: Value) -> dict[str, Value]:
    settings = plain_settings(port, **queue)
    provider = {"type": "smtp", "host": "127.0.0.1", "port": port, "security": "none", "timeout": "30s"}
    client = {"networks": ["127.0.0.0/8"], "upstream": "provider", "delivery": "direct"}
    return settings | {"client": {"clinic": client}, "upstream": {"provider": provider | (upstream or {})}}


def say(connection: smtplib.SMTP, *recipients: str, mark: str = "1", content: str = "") -> str:
    """The reply to the final dot, its lines joined; later ones on this connection are new transactions."""
    connection.ehlo_or_helo_if_needed()
    assert connection.mail("app@clinic.test")[0] == 250
    for recipient in recipients or ("a@far.test",):
        assert connection.rcpt(recipient)[0] == 250
    code, text = connection.data(content or MESSAGE.format(mark))
    return f"{code} {text.decode('ascii')}"


def submitted(relay: RelayProcess, *recipients: str, mark: str = "1", content: str = "") -> str:
    connection = smtplib.SMTP("127.0.0.1", relay.port(), timeout=60)
    with closing(connection):
        return say(connection, *recipients, mark=mark, content=content)


def traced(relay: RelayProcess) -> list[dict[str, Any]]:
    ran = relay.command("trace", "--json")
    assert ran.returncode == 0, ran.stderr
    found: list[dict[str, Any]] = json.loads(ran.stdout)
    return found


def unnamed_in(database: Path) -> int:
    """How many contents are in the spool that no message names."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT count(*) FROM unnamed").fetchone()[0])


def words_of(entry: dict[str, Any]) -> list[str]:
    return [event["event"] for event in entry["events"]]


def queue_of(relay: RelayProcess) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(relay.command("queue", "list", "--json").stdout)
    return found


def test_the_client_hears_the_upstream_and_the_operator_sees_it(
    provider: ScriptedServer, start_relay: StartRelay
) -> None:
    relay = start_relay(direct_settings(provider.port))
    told = submitted(relay)
    (taken,) = provider.accepted
    assert b"Secret 1\r\n" in taken.content
    assert taken.content.startswith(b"Received: ")
    (entry,) = wait_until(lambda: traced(relay), "its trace")
    assert told == f"250 2.0.0 Ok: queued as UP1 ({entry['id']})"
    assert entry["id"].encode() in taken.content
    assert words_of(entry) == ["direct", "relayed"]
    assert entry["events"][1]["reply"] == "250 2.0.0 Ok: queued as UP1"
    assert queue_of(relay) == []
    assert relay.metric("relay_messages_accepted_total", client="clinic") == 1
    assert relay.metric("relay_recipients_settled_total", upstream="provider", outcome="relayed") == 1
    assert [line["id"] for line in relay.log("relayed")] == [entry["id"]]
    assert "a@far.test" not in relay.log_text()
    # A program that reads the answer and leaves without QUIT has heard it: the same again is sent again.
    assert submitted(relay) != told
    assert relay.log("unheard") == []
    assert len(provider.accepted) == 2
    status = json.loads(relay.command("status", "--json").stdout)
    assert status["queue"]["recipients"] == {"queued": 0, "in_flight": 0, "held": 0}


STAGES = ("CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "BODY")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("451 4.7.1 Not just now", dict.fromkeys(STAGES, "451 4.7.1 Not just now")),
        (
            "554 5.7.1 Not for you",
            dict.fromkeys(("CONNECT", "EHLO"), "451 4.7.1 Try again later: 554 5.7.1 Not for you")
            | dict.fromkeys(("MAIL", "RCPT", "DATA", "BODY"), "554 5.7.1 Not for you"),
        ),
        (
            Answer(None, close=True),
            dict.fromkeys(STAGES[:-1], "451 4.4.2 ") | {"BODY": "451 4.4.2 The upstream did not"},
        ),
        (
            Answer(None, reset=True),
            dict.fromkeys(STAGES[:-1], "451 4.4.2 ") | {"BODY": "451 4.4.2 The upstream did not"},
        ),
        ("utter nonsense", dict.fromkeys(STAGES, "451 4.")),
    ],
    ids=["transient", "permanent", "closes", "resets", "garbled"],
)
def test_every_end_at_every_stage(
    provider: ScriptedServer, start_relay: StartRelay, answer: Answer | str, told: dict[str, str]
) -> None:
    relay = start_relay(direct_settings(provider.port, retry_first="50ms", retry_most="50ms"))
    for stage in STAGES:
        # What comes before MAIL is said on a new connection only.
        provider.close()
        provider.open()
        provider.script.always(stage, answer)
        said = submitted(relay, mark=stage)
        assert said.startswith(told[stage]), f"{stage}: {said}"
        provider.script.well_again()
        wait_until(lambda: submitted(relay, mark="well").startswith("250"), f"it to go on after {stage}")
    marks = [taken.content.rpartition(b"Secret ")[2].strip() for taken in provider.accepted]
    assert marks == [b"well"] * len(STAGES)
    assert queue_of(relay) == []


def test_recipients_with_different_answers(provider: ScriptedServer, start_relay: StartRelay) -> None:
    relay = start_relay(direct_settings(provider.port))
    provider.script.for_recipient("b@far.test", "550 5.1.1 Nobody of that name")
    provider.script.for_recipient("c@far.test", "450 4.2.1 Busy")
    assert submitted(relay, "a@far.test", "b@far.test", "c@far.test").startswith("250 2.0.0 Ok: queued as UP1 (")
    bounce = wait_until(
        lambda: next((one for one in provider.accepted if one.sender.startswith("<>")), None), "a bounce"
    )
    assert bounce.recipients[0].startswith("<app@clinic.test>")
    assert b"Nobody of that name" in bounce.content
    assert [one["recipients"] for one in queue_of(relay)] == [["c@far.test"]]
    provider.script.well_again()
    last = wait_until(lambda: next((one for one in provider.accepted if "<c@far.test>" in one.recipients), None), "c")
    assert last.recipients == ("<c@far.test>",)
    assert submitted(relay, "b@far.test", mark="2").startswith("250")


def _taken(told: str) -> str:
    return told if told.startswith("250") else ""


def test_an_archive_gets_one_copy_however_often_the_client_tries(
    provider: ScriptedServer, start_relay: StartRelay
) -> None:
    settings = direct_settings(provider.port)
    settings["client"] = {"clinic": {**settings["client"]["clinic"], "bcc": ["archive@clinic.test"]}}
    provider.script.then("RCPT", *["450 4.2.0 Greylisted", "250 2.1.5 Ok", "450 4.2.0 Greylisted"])
    relay = start_relay(settings)
    assert [submitted(relay)[:21] for _ in range(3)] == [
        "450 4.2.0 Greylisted ",
        "450 4.2.0 Greylisted ",
        "250 2.0.0 Ok: queued ",
    ]
    assert [one.recipients for one in provider.accepted] == [("<archive@clinic.test> NOTIFY=NEVER",), ("<a@far.test>",)]


def test_a_slow_answer_ends_in_451_and_one_delivery(provider: ScriptedServer, start_relay: StartRelay) -> None:
    provider.script.then("BODY", Answer("250 2.0.0 Ok: at last", delay=3.0))
    relay = start_relay(direct_settings(provider.port, {"timeout": "1s"}, retry_ambiguous="200ms"))
    began = time.monotonic()
    assert submitted(relay).startswith("451 4.4.2 ")
    assert 0.9 < time.monotonic() - began < 2.9
    relay.wait_for_event("uncertain")
    # The application tries again until it hears something else, as applications do.
    told = wait_until(lambda: _taken(submitted(relay)), "the answer that came late")
    assert told.startswith("250 2.0.0 Ok: at last (")
    assert queue_of(relay) == []
    assert submitted(relay) == told
    (entry,) = [one for one in traced(relay) if words_of(one) != ["direct"]]
    assert words_of(entry) == ["direct", "uncertain", "relayed"]
    assert entry["id"] in told
    assert len(provider.transactions) == 1


def test_no_answer_at_all_ends_in_451_and_nothing_is_sent_by_itself(
    provider: ScriptedServer, start_relay: StartRelay
) -> None:
    provider.script.then("BODY", Answer(None))
    relay = start_relay(direct_settings(provider.port, {"timeout": "300ms"}, retry_ambiguous="1s"))
    assert submitted(relay).startswith("451 4.4.2 ")
    # Ten times as long the upstream is waited for; then nothing is known, and nothing is done.
    wait_until(lambda: provider.open_connections == 0, "the relay to give up")
    time.sleep(1.0)
    assert len(provider.transactions) == 1
    assert queue_of(relay) == []
    [entry] = traced(relay)
    assert "a@far.test: No answer while the application waited" in relay.command("trace", entry["id"]).stdout
    assert submitted(relay).startswith("250")
    assert len(provider.transactions) == 2


def test_a_client_that_hangs_up_hears_of_it_the_next_time(provider: ScriptedServer, start_relay: StartRelay) -> None:
    provider.script.then("BODY", Answer("250 2.0.0 Ok: taken", delay=1.0))
    relay = start_relay(direct_settings(provider.port))
    connection = smtplib.SMTP("127.0.0.1", relay.port(), timeout=0.3)
    with pytest.raises((TimeoutError, smtplib.SMTPServerDisconnected)):
        say(connection)
    connection.close()
    relay.wait_for_event("unheard")
    wait_until(lambda: [words_of(one) for one in traced(relay)] == [["direct", "relayed"]], "its trace")
    assert submitted(relay).startswith("250 2.0.0 Ok: taken (")
    assert len(provider.transactions) == 1


def test_a_script_that_half_closes_sends_the_same_twice(provider: ScriptedServer, start_relay: StartRelay) -> None:
    relay = start_relay(direct_settings(provider.port))
    lines = (
        "EHLO x\r\nMAIL FROM:<app@clinic.test>\r\nRCPT TO:<a@far.test>\r\nDATA\r\nSubject: x\r\n\r\ny\r\n.\r\nQUIT\r\n"
    )
    for _ in range(2):
        with closing(socket.create_connection(("127.0.0.1", relay.port()), timeout=30)) as connection:
            connection.sendall(lines.encode())
            connection.shutdown(socket.SHUT_WR)
            assert b"\r\n250 2.0.0 Ok: queued as UP" in b"".join(iter(lambda: connection.recv(65536), b""))
    assert len(provider.accepted) == 2


@pytest.mark.parametrize("size", [100_000, 3_000_000])
def test_large_messages_go_as_they_came(provider: ScriptedServer, start_relay: StartRelay, size: int) -> None:
    relay = start_relay(direct_settings(provider.port))
    body = "\r\n".join(f".line {number} {'x' * 60}" for number in range(size // 70)) + "\r\n"
    head = MESSAGE.format("1").partition("\r\n\r\n")[0]
    assert submitted(relay, content=f"{head}\r\n\r\n{body}").startswith("250")
    provider.script.for_recipient("b@far.test", "450 4.2.1 Busy")
    assert submitted(relay, "a@far.test", "b@far.test", content=f"{head}\r\n\r\n{body}").startswith("250")
    provider.script.well_again()
    for taken in provider.wait_for(3):
        assert taken.content.endswith(b"\r\n\r\n" + body.encode())
    wait_until(lambda: queue_of(relay) == [], "the queue to be empty")


def test_150_mib_are_never_in_memory(start_relay: StartRelay) -> None:
    with ScriptedServer(keep_content=False) as provider:
        relay = start_relay(direct_settings(provider.port))
        for number in range(50):
            assert submitted(relay, mark=str(number)).startswith("250")
        relay.forget_peak()
        before = relay.resident()[0]
        send_large(relay.port(), 150 * MIB)
        assert provider.accepted[-1].size > 149 * MIB
        grown = relay.resident()[1] - before
        assert grown <= 30 * MIB, f"{grown / MIB:.1f} MiB"
        relay.wait_for_event("relayed", count=51)
        database = relay.state_dir / "queue.db"
        wait_until(lambda: unnamed_in(database) == 0, "the draft to be removed", 60)


def test_many_clients_share_the_connections(provider: ScriptedServer, start_relay: StartRelay) -> None:
    provider.script.always("BODY", Answer("250 2.0.0 Ok", delay=0.02))
    relay = start_relay(direct_settings(provider.port, {"max_connections": 3}))
    with ThreadPoolExecutor(20) as clients:
        told = list(clients.map(lambda number: submitted(relay, mark=str(number)), range(100)))
    assert {text[:13] for text in told} == {"250 2.0.0 Ok "}
    assert provider.most_connections <= 3
    assert len(provider.accepted) == 100


def test_an_operator_sees_who_waits(provider: ScriptedServer, start_relay: StartRelay) -> None:
    provider.script.always("BODY", Answer("250 2.0.0 Ok", delay=8.0))
    relay = start_relay(direct_settings(provider.port))
    with ThreadPoolExecutor(1) as clients:
        waiting = clients.submit(submitted, relay)
        wait_until(lambda: provider.transactions, "it to be past its final dot")
        status = json.loads(relay.command("status", "--json").stdout)
        assert [upstream["direct"] for upstream in status["upstreams"]] == [1]
        assert queue_of(relay) == []
        assert waiting.result().startswith("250")
    status = json.loads(relay.command("status", "--json").stdout)
    assert [upstream["direct"] for upstream in status["upstreams"]] == [0]
    assert [one["event"] for one in status["recent"]] == ["relayed"]


def test_sigterm_tells_who_waits_and_records_what_was_sent(provider: ScriptedServer, start_relay: StartRelay) -> None:
    provider.script.always("BODY", Answer(None))
    relay = start_relay(direct_settings(provider.port, {"max_connections": 2}))
    with ThreadPoolExecutor(4) as clients:
        waiting = [clients.submit(submitted, relay, mark=str(number)) for number in range(4)]
        wait_until(lambda: len(provider.transactions) == 2, "two to be past their final dots")
        wait_until(lambda: '"direct": 4' in relay.command("status", "--json").stdout, "the other two to wait")
        began = time.monotonic()
        assert relay.terminate() == 0
        assert time.monotonic() - began < 25
        told = sorted(one.result() for one in waiting)
    assert [text[:9] for text in told] == ["451 4.3.2", "451 4.3.2", "451 4.4.2", "451 4.4.2"]
    assert sorted(words_of(one) for one in traced(relay)) == [["direct", "uncertain"]] * 2
    provider.script.well_again()
    relay.start()
    time.sleep(0.5)
    assert len(provider.transactions) == 2


def test_sigterm_lets_an_answer_come(provider: ScriptedServer, start_relay: StartRelay) -> None:
    provider.script.always("BODY", Answer("250 2.0.0 Ok", delay=2.0))
    relay = start_relay(direct_settings(provider.port))
    with ThreadPoolExecutor(1) as clients:
        waiting = clients.submit(submitted, relay)
        wait_until(lambda: provider.transactions, "it to be past its final dot")
        assert relay.terminate() == 0
        assert waiting.result().startswith("250 2.0.0 Ok (")
    assert [words_of(one) for one in traced(relay)] == [["direct", "relayed"]]


def test_a_killed_relay_promised_nothing(provider: ScriptedServer, start_relay: StartRelay) -> None:
    provider.script.always("BODY", Answer(None))
    relay = start_relay(direct_settings(provider.port))
    with ThreadPoolExecutor(1) as clients:
        waiting = clients.submit(submitted, relay)
        wait_until(lambda: provider.transactions, "it to be past its final dot")
        relay.kill()
        with pytest.raises((ConnectionError, smtplib.SMTPServerDisconnected)):
            waiting.result()
    provider.script.well_again()
    relay.start()
    assert queue_of(relay) == []
    assert submitted(relay).startswith("250")


def test_nothing_is_sent_that_could_not_be_recorded(provider: ScriptedServer, start_relay: StartRelay) -> None:
    relay = start_relay(direct_settings(provider.port))
    # On the small disk it is never ready.
    relay.write_config(direct_settings(provider.port, reserve="900000GiB"))
    relay.terminate()
    relay.launch()
    relay.wait_for_event("spool_full")
    with closing(smtplib.SMTP("127.0.0.1", relay.port(), timeout=60)) as connection:
        connection.ehlo()
        assert connection.mail("app@clinic.test") == (452, b"4.3.1 Insufficient storage, try again later")
    assert provider.transactions == []


def test_a_reload_brings_it_and_takes_it_away(provider: ScriptedServer, start_relay: StartRelay) -> None:
    queued = direct_settings(provider.port)
    queued["client"] = plain_settings(provider.port)["client"]
    relay = start_relay(queued)
    with closing(smtplib.SMTP("127.0.0.1", relay.port(), timeout=60)) as connection:
        for settings, told in ((queued, "queued as 0"), (direct_settings(provider.port), "UP2 (0"), (queued, "as 0")):
            before = len(relay.log("reloaded"))
            relay.write_config(settings)
            relay.reload()
            relay.wait_for_event("reloaded", before + 1)
            assert told in say(connection)
    wait_until(lambda: len(provider.accepted) == 3, "all three")


def test_it_is_caught_by_a_capture(start_relay: StartRelay) -> None:
    settings = direct_settings(9) | {"upstream": {"provider": {"type": "capture"}}}
    relay = start_relay(settings)
    assert submitted(relay).startswith("250 2.0.0 ")
    caught = [path for path in (relay.state_dir / "capture").rglob("*") if path.is_file()]
    assert any(b"Secret 1" in path.read_bytes() for path in caught)
