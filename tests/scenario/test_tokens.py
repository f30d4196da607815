"""Tokens of Microsoft 365 against the simulator: fetched, renewed, kept, refused."""

import smtplib
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from relay.simulator.simulator import Simulator
from tests.rig.relay import RelayProcess
from tests.rig.simulated import SimulatorThread, microsoft365_upstream
from tests.rig.toml import Value
from tests.rig.waiting import wait_until
from tests.scenario.conftest import StartRelay, plain_settings
from tests.scenario.test_relays import send


def _settings(simulator: Simulator, **more: Value) -> dict[str, Value]:
    upstream: dict[str, Value] = microsoft365_upstream(
        simulator,
        messages_per_minute=10000,
        **({"credential": "client_secret", "client_secret": {"env": "CLIENT_SECRET"}} | more),
    )
    return plain_settings(9) | {"upstream": {"provider": upstream}}


def _environ(simulator: Simulator) -> dict[str, str]:
    return {"CLIENT_SECRET": simulator.client_secret}


def test_token_expires(cloud: SimulatorThread, start_relay: StartRelay) -> None:
    simulator = cloud.simulator
    relay = start_relay(_settings(simulator), _environ(simulator))
    send(relay)
    cloud.wait_for(1)
    assert simulator.token_requests == 1
    # Exchange no longer takes the token, and has hung up; nobody told us.
    cloud.do(lambda simulator: (simulator.tokens.expire(), simulator.microsoft365.hang_up()))
    send(relay)
    cloud.wait_for(2)
    assert simulator.token_requests == 2
    assert relay.log("held") == []


def test_a_thousand_messages_by_one_token(cloud: SimulatorThread, start_relay: StartRelay) -> None:
    simulator = cloud.simulator
    relay = start_relay(_settings(simulator, session_limit="2s"), _environ(simulator))
    with ThreadPoolExecutor(8) as applications:
        # All begin at once, with no token in hand; the authority goes away once it has given one.
        sent = [applications.submit(_send_many, relay, 125) for _ in range(8)]
        cloud.wait_for(1)
        cloud.do(lambda simulator: simulator.faults.set("authority_down"))
        for each in sent:
            each.result()
    for count in range(200, 1001, 200):
        cloud.wait_for(count)
    assert simulator.token_requests == 1
    assert simulator.logins > 3
    assert relay.log("held") == []
    cloud.do(lambda simulator: (simulator.faults.clear(), simulator.tokens.expire(), simulator.microsoft365.hang_up()))
    _send_many(relay, 5)
    cloud.wait_for(1005)
    assert simulator.token_requests == 2, "a token revoked in the middle costs one more"


def _send_many(relay: RelayProcess, count: int) -> None:
    message = b"From: <no-reply@clinic.test>\r\nSubject: x\r\n\r\nHello\r\n"
    with smtplib.SMTP("127.0.0.1", relay.port(), timeout=30) as connection:
        for _ in range(count):
            assert connection.sendmail("no-reply@clinic.test", ["patient@example.test"], message) == {}


def test_a_token_outlives_a_restart(cloud: SimulatorThread, start_relay: StartRelay) -> None:
    simulator = cloud.simulator
    relay = start_relay(_settings(simulator), _environ(simulator))
    send(relay)
    cloud.wait_for(1)
    relay.restart()
    send(relay)
    cloud.wait_for(2)
    assert simulator.token_requests == 1
    assert relay.metric("relay_token_expires_seconds", upstream="provider") > 3000


def test_a_wrong_client_secret_holds_the_upstream_until_it_is_right(
    cloud: SimulatorThread, start_relay: StartRelay
) -> None:
    simulator = cloud.simulator
    settings = _settings(simulator, client_secret={"sealed": "office"})
    relay = start_relay(plain_settings(9))
    assert relay.command("secret", "set", "office", text="wrong").returncode == 0
    relay.terminate()
    relay.write_config(settings)
    relay.start()
    send(relay)
    held = relay.wait_for_event("held")[0]
    assert "AADSTS7000215" in held["reply"]
    assert relay.command("secret", "set", "office", text=simulator.client_secret).returncode == 0
    cloud.wait_for(1)
    relay.wait_for_event("released")


def test_no_secret_and_no_address_gets_into_the_log(cloud: SimulatorThread, start_relay: StartRelay) -> None:
    simulator = cloud.simulator
    relay = start_relay(_settings(simulator), _environ(simulator))
    send(relay)
    cloud.wait_for(1)
    relay.wait_for_event("relayed")
    assert relay.terminate() == 0
    log = relay.log_text()
    assert simulator.client_secret not in log
    assert "eyJ" not in log, "a token"
    assert "patient@" not in log
    assert "no-reply@" not in log
    state = b"".join(path.read_bytes() for path in relay.state_dir.rglob("*") if path.is_file())
    assert b"eyJ" not in state
    assert simulator.client_secret.encode() not in state


def test_device_login(cloud: SimulatorThread, start_relay: StartRelay) -> None:
    simulator = cloud.simulator
    relay = start_relay(_settings_for_person(simulator))
    send(relay)
    relay.wait_for_event("held")
    output: list[str] = []
    login = _login(relay, output)
    wait_until(lambda: len(output) >= 3, "the code to be printed")
    code = output[2].strip()
    assert output[1].startswith("https://")
    cloud.do(lambda simulator: simulator.entra.device_codes.approve(code, simulator.mailbox))
    login.join(30)
    assert "Signed in" in output[-1]
    cloud.wait_for(1)


def _settings_for_person(simulator: Simulator) -> dict[str, Value]:
    settings = _settings(simulator, credential="device_code")
    upstream = settings["upstream"]["provider"]
    del upstream["client_secret"]
    return settings


def _login(relay: RelayProcess, output: list[str]) -> threading.Thread:
    process = subprocess.Popen(
        [sys.executable, "-m", "relay", "login", "provider", "--config", str(relay.config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=relay.environ,
    )

    def read() -> None:
        assert process.stdout is not None
        with process:
            for line in process.stdout:
                output.append(line)  # noqa: PERF402 - seen line by line

    thread = threading.Thread(target=read)
    thread.start()
    return thread
