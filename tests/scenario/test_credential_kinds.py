"""Each kind of credential in a real `relay serve`: a message goes, and nothing secret is told or kept in the clear."""

import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.rig.credential_kinds import KINDS, Kind, refresh_token
from tests.rig.simulated import SimulatorThread, cloud_of, microsoft365_upstream
from tests.scenario.conftest import StartRelay, plain_settings
from tests.scenario.test_relays import send

BY_THEMSELVES = sorted(KINDS.keys() - {"device_code"})


@pytest.mark.parametrize("name", BY_THEMSELVES)
def test_a_message_goes_by_it(cloud: SimulatorThread, start_relay: StartRelay, tmp_path: Path, name: str) -> None:
    kind = KINDS[name](cloud_of(cloud.simulator), tmp_path)
    settings = plain_settings(9) | {"upstream": {"provider": kind.keys}, "log": {"level": "debug"}}
    relay = start_relay(settings, kind.environ)
    checked = relay.command("check")
    assert (checked.returncode, checked.stderr) == (0, ""), checked.stderr
    assert cloud_of(cloud.simulator).token_requests == 0, "nothing is asked before mail needs it"
    for _ in range(3):
        send(relay)
    cloud.wait_for(3)
    relay.wait_for_event("relayed", count=3)
    relay.restart()
    send(relay)
    cloud.wait_for(4)
    assert cloud_of(cloud.simulator).token_requests == 1
    assert relay.terminate() == 0
    _assert_nothing_is_told(relay.log_text(), relay.state_dir, kind)


@pytest.mark.parametrize("name", ["us-gov-high", "us-gov-dod", "china"])
def test_a_national_cloud(start_relay: StartRelay, name: str) -> None:
    cloud = SimulatorThread(cloud=name)
    try:
        keys = {"cloud": name, "credential": "client_secret", "client_secret": {"env": "CLIENT_SECRET"}}
        settings = plain_settings(9) | {"upstream": {"provider": microsoft365_upstream(cloud.simulator, **keys)}}
        send(start_relay(settings, {"CLIENT_SECRET": cloud.simulator.client_secret}))
        cloud.wait_for(1)
    finally:
        cloud.close()


@pytest.mark.parametrize("way", ["browser", "pasted"])
def test_signing_in_to_google(cloud: SimulatorThread, start_relay: StartRelay, tmp_path: Path, way: str) -> None:
    simulator = cloud.simulator
    kind = refresh_token(cloud_of(cloud.simulator), tmp_path)
    del kind.keys["refresh_token"]
    relay = start_relay(plain_settings(9) | {"upstream": {"provider": kind.keys}}, kind.environ)
    send(relay)
    assert "relay login provider" in relay.wait_for_event("held")[0]["reply"]
    command = [sys.executable, "-m", "relay", "login", "provider", "--config", str(relay.config)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=relay.environ
    ) as login:
        assert login.stdin is not None
        assert login.stdout is not None
        assert simulator.gmail_user in login.stdout.readline()
        with requests.Session() as session:
            session.trust_env = False
            url = login.stdout.readline().strip()
            answer = session.get(url, verify=str(simulator.ca_file), timeout=10, allow_redirects=way == "browser")
        if way == "pasted":
            login.stdin.write(f"{answer.headers['Location']}\n")
            login.stdin.flush()
        assert login.wait(20) == 0
        assert login.stdout.read() == f"Signed in; provider sends as {simulator.gmail_user}.\n"
    cloud.wait_for(1)
    assert relay.terminate() == 0
    _assert_nothing_is_told(relay.log_text(), relay.state_dir, kind)


def _assert_nothing_is_told(log: str, state_dir: Path, kind: Kind) -> None:
    kept = b"".join(path.read_bytes() for path in state_dir.rglob("*") if path.is_file())
    for secret in kind.secrets:
        assert secret not in log
        assert secret.encode() not in kept
    for beginning in ("eyJ", "ya29."):
        assert beginning not in log, "a token"
        assert beginning.encode() not in kept
    assert "no-reply@" not in log
