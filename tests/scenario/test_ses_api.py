"""Amazon SES by its API in a real `relay serve`, with real boto3: whoever the machine is, and what SES says no with."""

from __future__ import annotations

import email
from collections.abc import Callable
from pathlib import Path

import pytest

from relay.simulator.simulator import Simulator
from tests.rig.aws import (
    ISOLATED,
    container_variables,
    machine_variables,
    pod_variables,
    ses_api_upstream,
    user_variables,
)
from tests.rig.relay import RelayProcess
from tests.rig.simulated import SimulatorThread
from tests.rig.toml import Value
from tests.scenario.conftest import StartRelay, plain_settings
from tests.scenario.test_relays import send


def settings(simulator: Simulator, **keys: Value) -> dict[str, Value]:
    return plain_settings(9) | {
        "upstream": {"provider": ses_api_upstream(simulator, **keys)},
        "log": {"level": "debug"},
    }


def _pod(simulator: Simulator, folder: Path) -> dict[str, str]:
    (folder / "token").write_text("a-projected-token")
    simulator.aws.sts.web_identities.add("a-projected-token")
    # STS is asked by boto3 through our own HTTPS too, so that ca_file counts for it.
    return pod_variables(simulator, str(folder / "token"))


def _profile(simulator: Simulator, folder: Path) -> dict[str, str]:
    options = simulator.options
    keys = f"aws_access_key_id = {options.aws_access_key}\naws_secret_access_key = {options.aws_secret_key}\n"
    (folder / "credentials").write_text(f"[relay]\n{keys}")
    return ISOLATED | {"AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"), "AWS_PROFILE": "relay"}


MACHINES: dict[str, Callable[[Simulator, Path], dict[str, str]]] = {
    "variables": lambda simulator, folder: user_variables(simulator),
    "profile": _profile,
    "instance": lambda simulator, folder: machine_variables(simulator),
    "container": lambda simulator, folder: container_variables(simulator),
    "pod": _pod,
}


@pytest.mark.parametrize("name", MACHINES)
def test_a_message_goes_as_the_machines_role(
    cloud: SimulatorThread, start_relay: StartRelay, tmp_path: Path, name: str
) -> None:
    environ = MACHINES[name](cloud.simulator, tmp_path)
    relay = start_relay(settings(cloud.simulator), environ)
    checked = relay.command("check")
    assert (checked.returncode, checked.stderr) == (0, "")
    send(relay)
    cloud.wait_for(1)
    [relayed] = relay.wait_for_event("relayed")
    assert relayed["reply"].startswith("250 2.0.0 Ok 0108")
    assert relay.terminate() == 0
    log = relay.log_text()
    for key in cloud.simulator.aws.account.keys.values():
        assert key.secret not in log
        assert not key.token or key.token not in log
    assert "Signature=" not in log
    assert "a-projected-token" not in log


def test_the_envelope_decides_who_gets_it(cloud: SimulatorThread, start_relay: StartRelay) -> None:
    relay = start_relay(settings(cloud.simulator), user_variables(cloud.simulator))
    content = (
        b"From: Clinic <no-reply@clinic.test>\r\nTo: Somebody <shown@far.test>\r\nCc: other@far.test\r\n"
        b"Bcc: hidden@far.test\r\nSubject: x\r\n\r\nHello\r\n.\r\n"
    )
    _sendmail(relay, ["one@far.test", "hidden@far.test"], content)
    cloud.wait_for(1)
    [message] = cloud.simulator.messages
    assert message.forward_paths == ("one@far.test", "hidden@far.test")
    assert message.reverse_path == "no-reply@clinic.test"
    header = email.message_from_bytes(message.content)
    assert (header["To"], header["Cc"], header["Bcc"]) == ("Somebody <shown@far.test>", "other@far.test", None)
    assert message.content.endswith(b"\r\n\r\nHello\r\n.\r\n")


def _sendmail(relay: RelayProcess, recipients: list[str], content: bytes) -> None:
    import smtplib

    with smtplib.SMTP("127.0.0.1", relay.port(), timeout=30) as connection:
        assert connection.sendmail("no-reply@clinic.test", recipients, content) == {}
