"""What happens when nothing more can be written."""

import resource
import smtplib

import pytest

from tests.rig.relay import RelayProcess
from tests.rig.scripted import ScriptedServer
from tests.rig.waiting import wait_until
from tests.scenario.conftest import StartRelay, plain_settings
from tests.scenario.test_relays import MESSAGE, SENDER, send


def answer(relay: RelayProcess) -> int:
    with smtplib.SMTP("127.0.0.1", relay.port(), timeout=30) as connection:
        connection.ehlo()
        code = connection.mail(SENDER)[0]
        if code == 250:
            connection.rcpt("patient@example.test")
            code = connection.data(MESSAGE)[0]
    return code


@pytest.fixture
def relay(provider: ScriptedServer, start_relay: StartRelay) -> RelayProcess:
    return start_relay(plain_settings(provider.port))


def test_disk_full(provider: ScriptedServer, relay: RelayProcess) -> None:
    send(relay)
    provider.wait_for(1)
    assert relay.process is not None
    resource.prlimit(relay.process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    try:
        assert {answer(relay) for _ in range(5)} <= {451, 452}
        wait_until(lambda: relay.readiness()[0] == 503, "/readyz to say that no mail is taken")
        assert relay.http("/healthz")[0] == 200
    finally:
        resource.prlimit(relay.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    wait_until(lambda: relay.readiness()[0] == 200, "mail to be taken again")
    send(relay)
    assert len(provider.wait_for(2)) == 2


def test_below_the_reserve_nothing_is_accepted(provider: ScriptedServer, start_relay: StartRelay) -> None:
    relay = start_relay(plain_settings(provider.port))
    assert relay.terminate() == 0
    relay.write_config(plain_settings(provider.port, reserve="1048576GiB"))
    relay.launch()
    wait_until(lambda: relay.readiness()[0] == 503, "the relay to run")
    assert "reserve" in relay.readiness()[1]
    wait_until(lambda: relay.log("started"), "the relay to have started")
    assert answer(relay) == 452
