"""Impatient applications before a moody provider: what they repeat until they hear 250 arrives once, and only once."""

from __future__ import annotations

import random
import select
import smtplib
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from tests.rig.relay import RelayProcess
from tests.rig.script import Answer
from tests.rig.scripted import ScriptedServer
from tests.rig.waiting import wait_until
from tests.scenario.conftest import StartRelay
from tests.scenario.test_direct import MESSAGE, direct_settings, queue_of, say, traced, words_of

_MESSAGES = 60
_SESSIONS = 12
_PATIENCE = 0.3
"""Seconds; some applications hang up after half of it, while the relay waits twice as long for the provider. No answer
comes just when they do: nobody could know then whether it was read."""


def _moods(chance: random.Random) -> list[Answer]:
    """Takes it at once or late, refuses it, or hangs up without having taken it."""
    return [
        chance.choice(
            [
                Answer("250 2.0.0 Ok: at once"),
                Answer("250 2.0.0 Ok: hesitating", delay=chance.uniform(0.35, 0.5)),
                Answer("250 2.0.0 Ok: late", delay=chance.uniform(0.8, 1.6)),
                Answer("451 4.3.0 Not now", delay=chance.uniform(0.0, 1.2)),
                Answer(None, close=True),
            ]
        )
        for _ in range(2 * _MESSAGES)
    ]


def _insist(relay: RelayProcess, mark: str, hasty: bool) -> int:
    """Send one message again and again until 250; return how often."""
    deadline, tries = time.monotonic() + 90, 0
    while time.monotonic() < deadline:
        tries += 1
        try:
            with closing(smtplib.SMTP("127.0.0.1", relay.port(), timeout=30)) as connection:
                connection.ehlo()
                if hasty and tries < 4:
                    told = _say_in_haste(connection, MESSAGE.format(mark))
                else:
                    told = say(connection, content=MESSAGE.format(mark))
                if told.startswith("250"):
                    return tries
        except smtplib.SMTPServerDisconnected:
            pass
        time.sleep(0.1)
    raise AssertionError(f"{mark} never heard 250 in {tries} tries")


def _say_in_haste(connection: smtplib.SMTP, content: str) -> str:
    """The reply to the final dot; none where it does not come soon."""
    assert connection.sock is not None
    for command in ("MAIL FROM:<app@clinic.test>", "RCPT TO:<a@far.test>", "DATA"):
        connection.docmd(command)
    connection.send(content + ".\r\n")
    for seconds in (_PATIENCE / 2, 0):
        if select.select([connection.sock], [], [], seconds)[0]:
            code, text = connection.getreply()
            return f"{code} {text.decode('ascii')}"
    return ""


def test_it_arrives_once_however_often_it_is_repeated(provider: ScriptedServer, start_relay: StartRelay) -> None:
    chance = random.Random(20261122)  # noqa: S311 - a script, not a secret
    provider.script.then("BODY", *_moods(chance))
    timeout = f"{round(2000 * _PATIENCE)}ms"
    relay = start_relay(
        direct_settings(provider.port, {"timeout": timeout}, retry_ambiguous="100ms", ambiguous_attempts=50)
    )
    with ThreadPoolExecutor(_SESSIONS) as clients:
        marks = [f"m{number:03}" for number in range(_MESSAGES)]
        tries = list(clients.map(lambda mark: _insist(relay, mark, hasty=mark.endswith(("0", "5"))), marks))
    assert sum(tries) > _MESSAGES, "nobody had to repeat anything"
    wait_until(lambda: provider.open_connections == 0 or _settled(relay), "every outcome", 30)
    arrived = Counter(taken.content.rpartition(b"Secret ")[2].strip().decode() for taken in provider.accepted)
    assert arrived == dict.fromkeys(marks, 1)
    assert queue_of(relay) == []
    assert relay.log("error") == []
    assert {words_of(entry)[-1] for entry in traced(relay)} <= {"relayed", "deferred", "uncertain"}
    late = [entry for entry in traced(relay) if words_of(entry) == ["direct", "uncertain", "relayed"]]
    assert late, "nothing was answered late"


def _settled(relay: RelayProcess) -> bool:
    return all(words_of(entry) != ["direct"] for entry in traced(relay))
