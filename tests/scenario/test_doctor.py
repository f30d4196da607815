"""`relay doctor`: the step that fails is named, with its reason and this tenant's names; nothing is sent, or told."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from relay.simulator.simulator import Simulator
from relay.upstream.token_claims import claims_of
from tests.rig.relay import RelayProcess
from tests.rig.script import Answer
from tests.rig.scripted import ScriptedServer
from tests.rig.simulated import SimulatorThread, microsoft365_upstream
from tests.rig.toml import Value
from tests.scenario.conftest import StartRelay, plain_settings
from tests.scenario.test_relays import send

AUTHORITY_STEPS = "configuration dns port greeting tls token ehlo auth mail rcpt rset"
LOGIN_FAILS = "configuration+ dns+ port+ greeting+ tls+ token+ ehlo+ auth- mail? rcpt? rset?"
TOKEN_FAILS = "configuration+ dns+ port+ greeting+ tls+ token- ehlo+ auth? mail? rcpt? rset?"
_MARKS = {"ok": "+", "failed": "-", "not_reached": "?"}


def _office365(simulator: Simulator, **more: Value) -> dict[str, Value]:
    keys: dict[str, Value] = {"credential": "client_secret", "client_secret": {"env": "CLIENT_SECRET"}}
    return microsoft365_upstream(simulator, **(keys | more))


def settings_with(senders: list[str], **upstreams: dict[str, Value]) -> dict[str, Value]:
    client: dict[str, Value] = {"networks": ["127.0.0.0/8"], "upstream": list(upstreams)}
    client |= {"senders": senders} if senders else {}
    return plain_settings(9) | {"client": {"clinic": client}, "upstream": dict(upstreams)}


def not_running(folder: Path, settings: dict[str, Value], secret: str = "") -> RelayProcess:
    """A relay that does not run: its commands open the spool themselves."""
    return RelayProcess(folder / "relay", settings, {"CLIENT_SECRET": secret})


def examined(relay: RelayProcess, *arguments: str) -> dict[str, Any]:
    told = relay.command("doctor", *arguments, "--json")
    assert told.stderr == ""
    found = json.loads(told.stdout)
    assert isinstance(found, dict)
    assert told.returncode == (0 if found["ok"] else 1)
    assert "eyJ" not in told.stdout, "a token"
    return found


def marks_of(found: dict[str, Any]) -> str:
    return " ".join(f"{step['name']}{_MARKS[step['result']]}" for step in found["steps"])


def failed_step(found: dict[str, Any]) -> dict[str, Any]:
    failed = [step for step in found["steps"] if step["result"] == "failed"]
    assert failed
    assert all(step["cause"] and step["actor"] and step["actions"] for step in failed)
    return dict(failed[0])


def test_all_is_well_with_a_running_relay_and_without_one(cloud: SimulatorThread, start_relay: StartRelay) -> None:
    simulator = cloud.simulator
    settings = settings_with(["lab@clinic.test", "@clinic.test"], office365=_office365(simulator))
    relay = start_relay(settings, {"CLIENT_SECRET": simulator.client_secret})
    send(relay)
    cloud.wait_for(1)
    running = examined(relay, "office365")
    assert running.keys() >= {"upstream", "ok", "steps", "notes"}
    assert (running["upstream"], running["ok"]) == ("office365", True)
    assert " ".join(step["name"] for step in running["steps"]) == AUTHORITY_STEPS
    for step in running["steps"]:
        assert step.keys() >= {"name", "result", "cause", "actor", "actions"}
        assert (step["result"], step["cause"], step["actor"], step["actions"]) == ("ok", None, None, [])
    details = {step["name"]: step["detail"] for step in running["steps"]}
    assert details["tls"].startswith("TLSv1.3, certificate for ")
    assert "for https://outlook.office365.com; permissions: SMTP.SendAsApp; object ID " in details["token"]
    assert details["auth"] == f"XOAUTH2 as {simulator.mailbox}"
    assert details["mail"] == f"from {simulator.mailbox}, lab@clinic.test"
    [note] = running["notes"]
    assert "whether the mailbox may send as another address" in note
    assert note.endswith("relay test office365 --to ADDRESS --from lab@clinic.test")
    relay.terminate()
    stopped = examined(relay, "office365")
    assert marks_of(stopped) == marks_of(running)
    assert len(simulator.messages) == 1, "nothing is sent"
    assert simulator.most_connections <= 3
    assert simulator.violations == []
    for_people = relay.command("doctor")
    assert for_people.returncode == 0
    assert "office365: all is well" in for_people.stdout
    assert simulator.client_secret not in for_people.stdout + relay.log_text()
    assert "eyJ" not in for_people.stdout + relay.log_text()


Change = Callable[[Simulator], object]


def _fault(name: str, **changes: Any) -> Change:
    return lambda simulator: simulator.faults.set(name, **changes)


def _no_roles(simulator: Simulator) -> None:
    simulator.tokens.roles = ()


def _other_roles(simulator: Simulator) -> None:
    simulator.tokens.roles = ("Mail.Send",)


def _object_id(simulator: Simulator) -> str:
    token = simulator.tokens.for_app("https://outlook.office365.com")
    claims = claims_of(token)
    assert claims is not None
    return claims.object_id


@pytest.mark.parametrize(
    ("change", "more", "marks", "part"),
    [
        (_fault("aadsts65001"), {}, TOKEN_FAILS, "Grant admin consent"),
        (_fault("aadsts7000222"), {}, TOKEN_FAILS, "has expired"),
        (_fault("aadsts700016"), {}, TOKEN_FAILS, "There is no application {client_id} in tenant {tenant}"),
        (_fault("aadsts53003"), {}, TOKEN_FAILS, "A Conditional Access policy of tenant {tenant}"),
        (_fault("aadsts530035"), {}, TOKEN_FAILS, "security defaults of tenant {tenant}"),
        (_fault("authority_down"), {}, TOKEN_FAILS, "can't be reached or has a passing trouble"),
        (_no_roles, {}, LOGIN_FAILS, "a token without SMTP.SendAsApp"),
        (_other_roles, {}, LOGIN_FAILS, "Office 365 Exchange Online > Application permissions > SMTP.SendAsApp"),
        (None, {"mailbox": "other@clinic.test"}, LOGIN_FAILS, "Get-EXOMailbox -Identity other@clinic.test"),
        (
            _fault("token_refused"),
            {},
            LOGIN_FAILS,
            "New-ServicePrincipal -AppId {client_id} -ObjectId {object_id} -DisplayName Relay",
        ),
        (
            _fault("token_refused"),
            {},
            LOGIN_FAILS,
            "Add-MailboxPermission -Identity {mailbox} -User {object_id} -AccessRights FullAccess",
        ),
        (
            _fault("smtp_auth_disabled_mailbox"),
            {},
            LOGIN_FAILS,
            "Set-CASMailbox -Identity {mailbox} -SmtpClientAuthenticationDisabled $false",
        ),
        (_fault("smtp_auth_disabled_tenant"), {}, LOGIN_FAILS, "switched off for the whole organisation"),
        (_fault("security_defaults"), {}, LOGIN_FAILS, "security defaults block SMTP AUTH altogether"),
        (_fault("conditional_access"), {}, LOGIN_FAILS, "A Conditional Access policy, or a block of legacy"),
        (_fault("mailbox_logon_failure", stage="auth"), {}, LOGIN_FAILS, "a licence with Exchange Online"),
        (_fault("xoauth2_data_invalid"), {}, LOGIN_FAILS, "does not take {mailbox} as the address of a mailbox"),
        (_fault("submission_quota_522"), {}, LOGIN_FAILS, "used up its sending quota"),
        (_fault("auth_not_offered"), {}, LOGIN_FAILS, "offers no AUTH"),
        (
            _fault("starttls_not_offered"),
            {},
            "configuration+ dns+ port+ greeting+ tls- token+ ehlo? auth? mail? rcpt? rset?",
            "does not offer STARTTLS",
        ),
        (
            _fault("greeting_554"),
            {},
            "configuration+ dns+ port+ greeting- tls? token+ ehlo? auth? mail? rcpt? rset?",
            "refuses the conversation before any login",
        ),
        (
            _fault("direct_send_refused"),
            {},
            "configuration+ dns+ port+ greeting+ tls+ token+ ehlo+ auth+ mail- rcpt? rset?",
            "Get-OrganizationConfig",
        ),
        (
            _fault("recipient_mailbox_full"),
            {},
            "configuration+ dns+ port+ greeting+ tls+ token+ ehlo+ auth+ mail+ rcpt- rset+",
            "The recipient's mailbox is full.",
        ),
        (
            None,
            {"client_secret": {"env": "NOT_SET"}},
            "configuration- dns+ port+ greeting+ tls+ token? ehlo+ auth? mail? rcpt? rset?",
            "is not where relay.toml says",
        ),
    ],
)
def test_the_faults_of_microsoft_one_by_one(
    cloud: SimulatorThread,
    tmp_path: Path,
    change: Change | None,
    more: dict[str, Value],
    marks: str,
    part: str,
) -> None:
    simulator = cloud.simulator
    if change is not None:
        cloud.do(change)
    relay = not_running(tmp_path, settings_with([], office365=_office365(simulator, **more)), simulator.client_secret)
    found = examined(relay)
    assert marks_of(found) == marks
    failed = failed_step(found)
    told = "\n".join((failed["cause"], failed["actor"], *failed["actions"]))
    names = {
        "client_id": simulator.client_id,
        "tenant": simulator.tenant,
        "mailbox": simulator.mailbox,
        "object_id": _object_id(simulator),
    }
    assert part.format_map(names) in told
    assert simulator.client_secret not in json.dumps(found)
    assert simulator.messages == []


def test_a_token_for_another_service(cloud: SimulatorThread, tmp_path: Path) -> None:
    graph = "https://graph.microsoft.com"
    cloud.do(lambda simulator: setattr(simulator.tokens, "audiences", (graph,)))
    upstream = _office365(cloud.simulator, scope=f"{graph}/.default")
    found = examined(not_running(tmp_path, settings_with([], office365=upstream), cloud.simulator.client_secret))
    failed = failed_step(found)
    assert failed["name"] == "token"
    assert f"one for {graph}, which is not Exchange Online" in failed["cause"]


def test_senders_and_recipients(tmp_path: Path, provider: ScriptedServer) -> None:
    provider.script.then(
        "RCPT", "250 2.1.5 Ok", "553 5.7.1 <lab@clinic.test>: Sender address rejected: not owned by user"
    )
    upstream: dict[str, Value] = {"type": "smtp", "host": "127.0.0.1", "port": provider.port, "security": "none"}
    relay = not_running(tmp_path, settings_with(["desk@clinic.test", "lab@clinic.test"], isp=upstream))
    found = examined(relay, "isp", "--to", "it@clinic.test")
    assert marks_of(found) == "configuration+ dns+ port+ greeting+ ehlo+ mail+ rcpt- rset+"
    failed = failed_step(found)
    assert failed["detail"] == "from lab@clinic.test to it@clinic.test"
    assert "lab@clinic.test is none of them" in failed["cause"]
    said = [command.split(" SIZE=")[0] for command in provider.commands if command.startswith(("MAIL", "RCPT"))]
    assert said == [
        "MAIL FROM:<desk@clinic.test>",
        "RCPT TO:<it@clinic.test>",
        "MAIL FROM:<lab@clinic.test>",
        "RCPT TO:<it@clinic.test>",
    ]
    assert not [command for command in provider.commands if command.startswith("DATA")]


def test_each_mail_counts_against_the_limits(provider: ScriptedServer, start_relay: StartRelay) -> None:
    upstream: dict[str, Value] = {
        "type": "smtp",
        "host": "127.0.0.1",
        "port": provider.port,
        "security": "none",
        "recipients_per_day": 2,
        "recipients_per_message": 2,
    }
    relay = start_relay(settings_with(["desk@clinic.test", "lab@clinic.test"], isp=upstream))
    assert examined(relay)["ok"]
    assert relay.metric("relay_upstream_quota_used_ratio", upstream="isp") == 1.0


def test_a_held_upstream_is_told_of(provider: ScriptedServer, start_relay: StartRelay) -> None:
    relay = start_relay(plain_settings(provider.port))
    assert relay.command("queue", "hold", "--upstream", "provider").returncode == 0
    found = examined(relay)
    assert found["ok"]
    assert any(note.endswith("relay queue release --upstream provider") for note in found["notes"])


def test_what_stood_in_the_way_of_the_last_message(provider: ScriptedServer, start_relay: StartRelay) -> None:
    provider.script.always("CONNECT", "554 5.3.2 No SMTP service here")
    relay = start_relay(plain_settings(provider.port, retry_first="1h", retry_most="1h"))
    message_id = send(relay)
    relay.wait_for_event("deferred")
    assert failed_step(examined(relay))["name"] == "greeting"

    provider.script.well_again()
    over = examined(relay)
    assert (over["ok"], over["lately"]["id"], over["lately"]["event"]) == (True, message_id, "deferred")
    [note] = over["notes"]
    assert f"relay explain {message_id}" in note

    assert relay.command("queue", "retry", message_id).returncode == 0
    provider.wait_for(1)
    relay.wait_for_event("relayed")
    well = examined(relay)
    assert (well["ok"], well["lately"]["event"], well["lately"]["cause"], well["notes"]) == (True, "relayed", None, [])

    provider.script.always("BODY", "550 5.4.6 Too many hops")
    send(relay)
    relay.wait_for_event("failed")
    assert examined(relay)["ok"], "the message was at fault, not the upstream"
    provider.script.always("BODY", "553 5.7.1 Sender address rejected: not owned by user")
    send(relay)
    relay.wait_for_event("held")
    accused = examined(relay)
    assert failed_step(accused)["name"] == "message"
    assert "none of them" in failed_step(accused)["cause"]


def test_what_a_provider_keeps(tmp_path: Path) -> None:
    found = examined(not_running(tmp_path, settings_with([], training={"type": "capture"})))
    assert (marks_of(found), found["notes"]) == ("configuration+ folder+", [])


def test_wrong_usage(tmp_path: Path) -> None:
    relay = not_running(tmp_path, plain_settings(9))
    for arguments in (("nowhere",), ("provider", "--to", "nobody")):
        told = relay.command("doctor", *arguments)
        assert (told.returncode, told.stdout) == (2, "")
        assert told.stderr
    relay.config.write_text(relay.config.read_text() + "\n[upstream.provider2]\ntype = 'nothing'\n")
    told = relay.command("doctor")
    assert (told.returncode, told.stdout) == (2, "")
    assert "relay.toml:" in told.stderr


def test_the_server_hangs_up_in_the_middle(tmp_path: Path, provider: ScriptedServer) -> None:
    provider.script.always("MAIL", Answer(None, close=True))
    relay = not_running(tmp_path, plain_settings(provider.port))
    found = examined(relay)
    assert marks_of(found) == "configuration+ dns+ port+ greeting+ ehlo+ mail- rcpt? rset?"
    assert "closed the connection" in failed_step(found)["cause"]
