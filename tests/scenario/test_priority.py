"""Who goes first where an upstream's limit is reached: a result passes 800 reminders."""

import asyncio
import smtplib
import time
from pathlib import Path

import pytest

from relay.spool.records import Priority, Use
from relay.spool.store import Spool
from tests.rig.relay import RelayProcess
from tests.rig.script import Answer
from tests.rig.scripted import ScriptedServer
from tests.rig.seeding import seed
from tests.rig.toml import Value
from tests.rig.waiting import wait_until

_CONTENT = b"From: <lab@clinic.test>\r\nSubject: x\r\n\r\nHello\r\n"
_HIGH = "MAIL FROM:<lab@clinic.test>"
_NORMAL, _BULK = 1000, 3000
"""Octets of a reminder, by which they are told apart."""


def _settings(port: int, connections: int) -> dict[str, Value]:
    upstream = {"type": "smtp", "host": "127.0.0.1", "port": port, "security": "none"}
    limits = {"max_connections": connections, "messages_per_minute": 30}
    return {
        "listener": {"submission": {"security": "none"}},
        "client": {"lab": {"networks": ["127.0.0.0/8"], "upstream": "provider", "priority": "high"}},
        "upstream": {"provider": upstream | limits},
    }


def _use_up(state_dir: Path, seconds_ago: float) -> None:
    """As if 30 messages had gone so many seconds ago."""

    async def recorded() -> None:
        spool = await Spool.open("", state_dir)
        await spool.outgoing.record_use("provider", Use(round(1000 * (time.time() - seconds_ago)), 30, 30))
        await spool.aclose()

    asyncio.run(recorded())


def _send(relay: RelayProcess) -> None:
    with smtplib.SMTP("127.0.0.1", relay.port(), timeout=30) as connection:
        assert connection.sendmail("lab@clinic.test", ["doctor@example.test"], _CONTENT) == {}


def _mails(provider: ScriptedServer) -> list[str]:
    return [command.partition(" SIZE=")[0] for command in list(provider.commands) if command.startswith("MAIL ")]


@pytest.mark.parametrize("connections", [1, 3])
def test_a_result_passes_800_reminders(provider: ScriptedServer, tmp_path: Path, connections: int) -> None:
    provider.script.always("BODY", Answer("250 2.0.0 Ok", delay=0.1))
    relay = RelayProcess(tmp_path / "relay", _settings(provider.port, connections))
    # Those that are to go last came first.
    seed(relay.state_dir, 400, size=_BULK, upstream="provider", priority=Priority.BULK)
    seed(relay.state_dir, 400, size=_NORMAL, upstream="provider")
    _use_up(relay.state_dir, 47.0)
    with relay:
        _send(relay)
        assert _mails(provider) == [], "the minute is used up"
        assert relay.metric("relay_queue_recipients", upstream="provider") == 801
        wait_until(lambda: _HIGH in _mails(provider), "the result to go", seconds=30)
        # With one connection it is the next; others are opened, and used, at the same time.
        assert _mails(provider).index(_HIGH) < connections

        said = len(_mails(provider))
        _send(relay)
        wait_until(lambda: _mails(provider).count(_HIGH) == 2, "a result to go amid reminders", seconds=30)
        last = len(_mails(provider)) - _mails(provider)[::-1].index(_HIGH)
        # Each connection may have a message claimed behind the one that it sends.
        assert last - said <= 2 * connections + 2
        wait_until(lambda: len(provider.accepted) == 30, "what the minute admits", seconds=30)
    reminders = [one.size for one in provider.accepted if "lab@" not in one.sender]
    assert len(reminders) == 28
    assert max(reminders) < 2 * _NORMAL, "and bulk mail last"
