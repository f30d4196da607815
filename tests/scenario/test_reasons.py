"""Why mail does not go: the same reason in status, explain, trace, log, alert and bounce, with this tenant's names."""

import json
import subprocess
import sys
from email import message_from_bytes, policy
from pathlib import Path

import pytest

from relay.control.socket import connect
from tests.rig.relay import RelayProcess
from tests.rig.scripted import ScriptedServer
from tests.rig.simulated import SimulatorThread, microsoft365_upstream
from tests.rig.toml import Value
from tests.rig.waiting import wait_until
from tests.scenario.conftest import StartRelay, plain_settings
from tests.scenario.test_relays import send

WRONG = "zQ8Q~wrong-client-secret-value"


def _settings(cloud: SimulatorThread, other: ScriptedServer) -> dict[str, Value]:
    simulator = cloud.simulator
    plain = plain_settings(other.port)
    office365: dict[str, Value] = microsoft365_upstream(
        simulator, credential="client_secret", client_secret={"sealed": "office365"}
    )
    upstreams = plain["upstream"]
    assert isinstance(upstreams, dict)
    return plain | {
        "client": {"clinic": {"networks": ["127.0.0.0/8"], "upstream": "office365"}},
        "upstream": {"office365": office365, "other": upstreams["provider"]},
        "alerts": {"to": ["it@clinic.test"], "upstream": "other"},
    }


def test_a_wrong_secret(cloud: SimulatorThread, provider: ScriptedServer, start_relay: StartRelay) -> None:
    simulator = cloud.simulator
    relay = start_relay(plain_settings(9))
    assert relay.command("secret", "set", "office365", text=WRONG).returncode == 0
    relay.terminate()
    relay.write_config(_settings(cloud, provider))
    relay.start()
    message_id = send(relay)
    held = relay.wait_for_event("held")[0]

    why = f"The client secret of application {simulator.client_id} is wrong"
    step = f"App registrations > All applications > {simulator.client_id} > Certificates & secrets"
    line = "Give it to the relay: relay secret set office365"
    assert why in held["why"]
    assert held["actor"] == "Microsoft administrator"
    assert held["actions"][-1] == line

    explained = relay.command("explain", "office365")
    status = relay.command("status")
    wait_until(lambda: relay.log("deferred") or relay.log("probe_failed"), "the message to be put back")
    trace = relay.command("trace", message_id)
    of_message = relay.command("explain", message_id)
    for told in (explained, status, trace, of_message):
        assert told.returncode == 0, told.stderr
        assert why in told.stdout, told.args
        assert step in told.stdout
        assert line in told.stdout
        assert "https://login.microsoftonline.com/error?code=7000215" in told.stdout

    pasted = relay.command("explain", held["reply"], "--json")
    shape = json.loads(pasted.stdout)
    assert (pasted.returncode, shape["known"], shape["actor"]) == (0, True, "Microsoft administrator")
    assert why in shape["cause"]
    assert shape["actions"][-1] == line

    alert = message_from_bytes(provider.wait_for(1)[0].content, policy=policy.default)
    told_by_mail = alert.get_content()
    assert why in told_by_mail
    assert line in told_by_mail
    assert 'relay explain office365"' in told_by_mail
    said = [relay.log_text(), told_by_mail, *(each.stdout + each.stderr for each in (explained, status, trace, pasted))]
    assert not any(WRONG in text for text in said)

    # Mended as it says.
    words = line.removeprefix("Give it to the relay: relay ").split()
    assert relay.command(*words, text=simulator.client_secret).returncode == 0
    cloud.wait_for(1)
    relay.wait_for_event("released")
    well = relay.command("explain", "office365", "--json")
    assert (well.returncode, json.loads(well.stdout)["actor"]) == (0, "nobody")


def test_a_bounce_its_log_line_and_its_trace(provider: ScriptedServer, start_relay: StartRelay) -> None:
    said = "550 5.7.23 The message was rejected because of Sender Policy Framework violation: SPF fail"
    provider.script.for_recipient("patient@example.test", said)
    relay = start_relay(plain_settings(provider.port))
    message_id = send(relay)
    bounce = message_from_bytes(provider.wait_for(1)[0].content, policy=policy.default)
    text = next(bounce.iter_parts()).get_content()
    why = "does not name the server that the mail came from (SPF)"
    step = "its one TXT record that begins with v=spf1: add include:spf.protection.outlook.com"
    assert why in " ".join(text.split())
    assert "Who must act: IT person" in text
    assert any(step in line for line in text.splitlines()), "a record to be copied stands on one line"
    failed = relay.wait_for_event("failed")[0]
    assert why in failed["why"]
    assert failed["actor"] == "IT person"
    for told in (relay.command("trace", message_id), relay.command("explain", message_id)):
        assert told.returncode == 0, told.stderr
        assert why in told.stdout
        assert step in told.stdout


@pytest.mark.parametrize(
    ("words", "status", "part"),
    [
        (["535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox."], 0,
         "Set-CASMailbox -Identity MAILBOX -SmtpClientAuthenticationDisabled $false"),
        (["AADSTS7000222"], 0, "New client secret"),
        (["Connection", "refused"], 0, "nc -vz HOST PORT"),
        (["no such thing"], 1, ""),
        (["554 Transaction failed"], 1, "Read the provider's own words"),
    ],
)  # fmt: skip
def test_a_text_without_a_configuration(tmp_path: Path, words: list[str], status: int, part: str) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "relay", "explain", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    for_people, for_programs = run(*words), run(*words, "--json")
    assert (for_people.returncode, for_programs.returncode) == (status, status)
    assert part in for_people.stdout
    shape = json.loads(for_programs.stdout)
    assert {"known", "cause", "actor", "actions", "link"} <= shape.keys()
    assert shape["known"] == (status == 0)
    assert any(part in action for action in shape["actions"]) or not part


def test_wrong_usage(start_relay: StartRelay) -> None:
    relay: RelayProcess = start_relay(plain_settings(9))
    assert relay.command("explain").returncode == 2
    unknown = relay.command("explain", "0000000000000000")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "no message has this ID" in unknown.stderr


def _actions(relay: RelayProcess, upstream: str) -> str:
    connection = connect(relay.state_dir)
    assert connection is not None
    with connection:
        found = connection.ask("status", {})
    [row] = [one for one in found["upstreams"] if one["name"] == upstream]
    return "" if row["diagnosis"] is None else "\n".join((row["diagnosis"]["actor"], *row["diagnosis"]["actions"]))


def test_faults_of_the_simulator_one_after_the_other(
    cloud: SimulatorThread, provider: ScriptedServer, start_relay: StartRelay
) -> None:
    simulator, mailbox = cloud.simulator, cloud.simulator.mailbox
    quick: dict[str, Value] = {"retry_first": "200ms", "retry_most": "200ms", "jitter": 0.0}
    settings = _settings(cloud, provider) | {"alerts": {"stuck_after": "1h"}, "queue": quick}
    relay = start_relay(plain_settings(9))
    assert relay.command("secret", "set", "office365", text=simulator.client_secret).returncode == 0
    relay.terminate()
    relay.write_config(settings)
    relay.start()
    told = {
        "smtp_auth_disabled_mailbox": f"Set-CASMailbox -Identity {mailbox} -SmtpClientAuthenticationDisabled $false",
        "smtp_auth_disabled_tenant": "Get-TransportConfig | Format-List SmtpClientAuthenticationDisabled",
        "security_defaults": "Manage security defaults > Disabled",
        "conditional_access": f"find the failed sign-in of {mailbox}",
        "token_refused": f"New-ServicePrincipal -AppId {simulator.client_id} -ObjectId OBJECT-ID",
        "basic_removed": f'mailbox = "{mailbox}"',
        "sts_without_https": "Get-MgDomainFederationConfiguration",
        "bad_outbound_sender": "https://security.microsoft.com/restrictedentities",
        "daily_recipients": "a second upstream",
        "tenant_threshold": "change the passwords",
        "low_reputation": f"lift error 5.7.708 for tenant {simulator.tenant}",
        "mailbox_full": f"Empty Sent Items of {mailbox}",
    }
    for count, (fault, part) in enumerate(told.items(), 1):
        cloud.do(lambda simulator, fault=fault: simulator.faults.set(fault))  # type: ignore[misc]
        cloud.do(lambda simulator: simulator.microsoft365.hang_up())
        send(relay)
        wait_until(lambda part=part: part.casefold() in _actions(relay, "office365").casefold(), fault)  # type: ignore[misc]
        cloud.do(lambda simulator: simulator.faults.clear())
        cloud.wait_for(count)
        wait_until(lambda: not _actions(relay, "office365"), "the upstream to be open again")
