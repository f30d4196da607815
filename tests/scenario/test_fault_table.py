"""The fault table against one `relay serve`: an upstream and a client for each row, all at the same time."""

from __future__ import annotations

import json
import smtplib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.rig.certificate import CertificateAuthority, Leaf
from tests.rig.odd import OddServer
from tests.rig.relay import RelayProcess
from tests.rig.scripted import ScriptedServer
from tests.rig.waiting import wait_until
from tests.scenario.faults import ROWS, SENDER, Row


@dataclass(slots=True)
class Told:
    """What came of everything, once it has come to rest."""

    servers: dict[str, ScriptedServer]
    traces: dict[str, dict[str, Any]] = field(default_factory=dict)
    log: str = ""


@pytest.fixture(scope="module")
def leaves(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Leaf]:
    folder = tmp_path_factory.mktemp("authorities")
    authority = CertificateAuthority(folder / "ours")
    return {
        "right": authority.leaf(),
        "other": authority.leaf("mail.other.test"),
        "expired": authority.leaf(expired=True),
        "stranger": CertificateAuthority(folder / "stranger").leaf(),
    }


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, leaves: dict[str, Leaf]) -> Iterator[Told]:
    """All rows played through."""
    with ExitStack() as running:
        servers = {row.name: running.enter_context(_server(row, leaves)) for row in ROWS}
        assert len(servers) == len(ROWS), "two rows of the same name"
        settings = {
            "listener": {"submission": {"security": "none", "max_message_size": "64MiB", "auth": ["PLAIN"]}},
            "client": {
                row.name: {
                    "username": row.name,
                    "password": {"env": "PASSWORD"},
                    "upstream": row.name,
                    "sender_policy": "keep",
                }
                for row in ROWS
            },
            "upstream": {row.name: _upstream(row, servers[row.name].port, leaves) for row in ROWS},
            "log": {"addresses": "full"},
            "queue": {"retry_first": "300ms", "retry_most": "1s", "retry_ambiguous": "1500ms", "jitter": 0.0},
        }
        folder = tmp_path_factory.mktemp("faults")
        relay = running.enter_context(RelayProcess(folder, settings, {"PASSWORD": "secret"}))
        earlier = {row.name: _send(relay, row, row.earlier) for row in ROWS if row.earlier}
        _settled(relay, dict.fromkeys(earlier.values(), "relayed failed"))
        ids = {row.name: _send(relay, row) for row in ROWS}
        _settled(relay, {ids[row.name]: row.states for row in ROWS})
        # A notice is put in the transaction that it tells of, and is on its way.
        wait_until(lambda: not [row for row in ROWS if _notices(servers[row.name]) < row.notices], "the notices")
        found = relay.command("trace", "--json")
        assert found.returncode == 0, found.stderr
        entries = {entry["id"]: entry for entry in json.loads(found.stdout)}
        yield Told(servers, {name: entries[id_] for name, id_ in ids.items()}, relay.log_text())


def test_every_fault(told: Told) -> None:
    # One test, since the rows are played through together, whichever process asks.
    assert {row.name: wrong for row in ROWS if (wrong := _wrong(row, told))} == {}
    assert '"event": "error"' not in told.log
    assert "Traceback" not in told.log


def _wrong(row: Row, told: Told) -> dict[str, tuple[object, object]]:
    """What came of a row, and what should have, where that is not the same."""
    trace, server = told.traces[row.name], told.servers[row.name]
    events = trace["events"][1:]
    replies = [event["reply"] for event in events if event["event"] != "relayed"] or [events[-1]["reply"]]
    # A DATA that was allowed though nobody is to get the message is ended with a lone dot.
    offered = [one for one in server.accepted if one.content and SENDER not in str(one.recipients)]
    found = {
        # What is queued may just be tried again.
        "states": ([state.replace("in_flight", "queued") for state in trace["states"].values()], row.states.split()),
        "events": (list(dict.fromkeys(event["event"] for event in events)), row.events.split()),
        "reply": (replies[0][: len(row.reply)], row.reply),
        "taken": (len(offered), row.taken),
        "notices": (_notices(server), row.notices),
        "the same again": (len({one.content for one in offered if row.to[0] in str(one.recipients)}) <= 1, True),
    }
    return {what: (is_, should) for what, (is_, should) in found.items() if is_ != should}


def _server(row: Row, leaves: dict[str, Leaf]) -> ScriptedServer:
    options = dict(row.server)
    if "leaf" in options:
        options["leaf"] = leaves[options["leaf"]]
    server = OddServer(*([row.talk] if row.talk else []), **options)
    answers = row.answers if isinstance(row.answers, tuple) else (row.answers,)
    if row.stage:
        server.script.then(row.stage, *answers)
    for stage, answer in row.also.items():
        server.script.then(stage, answer)
    return server


def _upstream(row: Row, port: int, leaves: dict[str, Leaf]) -> dict[str, Any]:
    made: dict[str, Any] = {"type": "smtp", "host": "localhost", "port": port, "security": "none", "timeout": "10s"}
    made |= {"security": "starttls", "ca_file": str(leaves["right"].authority)} if "leaf" in row.server else {}
    made |= row.upstream
    [username] = row.server.get("users", {"": ""})
    if made["type"] == "gmail":
        made |= {"username": username, "app_password": {"env": "PASSWORD"}}
    elif username:
        made |= {"username": username, "password": {"env": "PASSWORD"}}
    return made


def _send(relay: RelayProcess, row: Row, *to: str) -> str:
    with smtplib.SMTP("127.0.0.1", relay.port(), timeout=60) as connection:
        connection.login(row.name, "secret")
        assert connection.mail(SENDER)[0] == 250
        for recipient in to or row.to:
            assert connection.rcpt(recipient)[0] == 250
        code, text = connection.data(row.content)
    assert code == 250, text
    return text.decode().rpartition(" ")[2]


def _settled(relay: RelayProcess, wanted: dict[str, str]) -> None:
    """Wait until the log's last word on each recipient is one of the states wanted; `deferred` for queued."""

    def left() -> list[str]:
        last: dict[str, dict[str, str]] = {}
        for line in relay.log():
            if line.get("id") in wanted and "recipients" in line:
                last.setdefault(line["id"], {}).update(dict.fromkeys(line["recipients"], line["event"]))
        ends = {id_: {*states.replace("queued", "deferred").split()} for id_, states in wanted.items()}
        return [id_ for id_, states in ends.items() if not set(last.get(id_, {"": ""}).values()) <= states]

    wait_until(lambda: not left(), "every row to come to its end", 60, pause=0.3)


def _notices(server: ScriptedServer) -> int:
    return sum(SENDER in str(one.recipients) for one in server.accepted)
