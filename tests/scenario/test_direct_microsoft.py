"""Direct delivery to Microsoft 365, as the simulator plays it."""

from __future__ import annotations

import smtplib
from pathlib import Path

from relay.simulator.simulator import Simulator
from tests.rig.relay import RelayProcess
from tests.rig.simulated import SimulatorThread, microsoft365_upstream
from tests.rig.toml import Value
from tests.scenario.conftest import StartRelay
from tests.scenario.test_direct import MESSAGE, direct_settings, queue_of


def _microsoft(simulator: Simulator, secret: str, folder: Path) -> tuple[dict[str, Value], dict[str, str]]:
    upstream: dict[str, Value] = microsoft365_upstream(
        simulator, credential="client_secret", client_secret={"env": "CLIENT_SECRET"}
    )
    settings = direct_settings(9) | {"upstream": {"provider": upstream}}
    settings["client"]["clinic"]["sender_policy"] = "keep"
    return settings, {"CLIENT_SECRET": secret}


def _sent_as(relay: RelayProcess, sender: str, mark: str = "1") -> str:
    with smtplib.SMTP("127.0.0.1", relay.port(), timeout=60) as connection:
        connection.ehlo()
        connection.mail(sender)
        connection.rcpt("patient@example.test")
        code, text = connection.data(MESSAGE.format(mark).replace("app@clinic.test", sender, 1))
        return f"{code} {text.decode('ascii')}"


def test_microsofts_own_refusal_reaches_the_application(
    cloud: SimulatorThread, start_relay: StartRelay, tmp_path: Path
) -> None:
    relay = start_relay(*_microsoft(cloud.simulator, cloud.simulator.client_secret, tmp_path))
    mailbox = cloud.simulator.mailbox
    told = _sent_as(relay, mailbox)
    assert told.startswith("250 2.0.0 OK <"), told
    assert "[Hostname=" in told
    denied = _sent_as(relay, "somebody.else@clinic.test", "2")
    assert denied.startswith("554 5.2."), denied
    assert "SendAsDenied" in denied
    # It is that message's fault: others go on.
    assert _sent_as(relay, mailbox, "3").startswith("250")
    assert queue_of(relay) == []


def test_a_wrong_secret_holds_the_upstream_and_the_application_is_to_try_again(
    cloud: SimulatorThread, start_relay: StartRelay, tmp_path: Path
) -> None:
    relay = start_relay(*_microsoft(cloud.simulator, "wrong", tmp_path))
    for number in range(2):
        told = _sent_as(relay, cloud.simulator.mailbox, str(number))
        assert told.startswith("45"), told
        assert "AADSTS7000215" in told
        assert "wrong" not in told
    assert relay.metric("relay_upstream_held", upstream="provider") == 1
    assert relay.metric("relay_messages_refused_total", reason="upstream") == 2
