"""Three real minutes with 3 connections and 30 messages a minute allowed, a kill -9 and a stop in between."""

import smtplib
import time
from pathlib import Path

import pytest

from tests.limits.sink import CountingSink
from tests.limits.windows import most_within
from tests.rig.relay import RelayProcess

_SECONDS = 185.0
_KILLED_AFTER = 50.0
_STOPPED_AFTER = 115.0
_CONTENT = b"From: <app@clinic.test>\r\nSubject: x\r\n\r\nHello\r\n"
_WAITING = 150


@pytest.mark.timeout(400)
def test_three_minutes(tmp_path: Path) -> None:
    with CountingSink() as sink:
        upstream = {"type": "smtp", "host": "127.0.0.1", "port": sink.port, "security": "none"}
        settings = {
            "listener": {"submission": {"security": "none"}},
            "client": {"app": {"networks": ["127.0.0.0/8"], "upstream": "provider"}},
            "upstream": {"provider": upstream | {"max_connections": 3, "messages_per_minute": 30}},
            "queue": {"retry_first": "1s", "retry_most": "5s"},
        }
        with RelayProcess(tmp_path / "relay", settings) as relay:
            began = time.monotonic()
            _submit(relay)
            _wait_until(began + _KILLED_AFTER)
            relay.kill()
            relay.start()
            _wait_until(began + _STOPPED_AFTER)
            assert relay.terminate() == 0
            relay.start()
            _wait_until(began + _SECONDS)
            assert relay.metric("relay_upstream_quota_used_ratio", upstream="provider", quota="messages_per_minute") > 0
    _judge(sink)


def _submit(relay: RelayProcess) -> None:
    with smtplib.SMTP("127.0.0.1", relay.port(), timeout=30) as connection:
        for at in range(_WAITING):
            assert connection.sendmail("app@clinic.test", [f"{at}@far.test"], _CONTENT) == {}


def _wait_until(instant: float) -> None:
    time.sleep(max(0.0, instant - time.monotonic()))


def _judge(sink: CountingSink) -> None:
    print(f"{len(sink.mails)} MAIL, {sink.refused} refused, {sink.most_open} connections at most")
    assert sink.most_open == 3, "never a fourth, and all three are used"
    assert most_within(60.0, ((at, 1) for at in sink.mails)) <= 30
    # 30 in each of the windows that begin at 0, 60.5 and 121 s, less what the kill had counted and not yet sent.
    assert len(sink.mails) >= 80, "the limit is used as well as kept"
    assert sink.refused >= 10
    again = len(sink.taken) - len(set(sink.taken))
    assert again <= 3, "what was on its way when the process was killed, and nothing else, may come twice"
