"""Amazon SES by its API in a real `relay serve`, with real boto3: whoever the machine is, and what SES says no with."""

from __future__ import annotations

import email
import json
import smtplib
from collections.abc import Callable
from pathlib import Path

import pytest

from relay.simulator.simulator import Simulator
from relay.upstream.ses_password import smtp_password
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
from tests.rig.waiting import wait_until
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
    with smtplib.SMTP("127.0.0.1", relay.port(), timeout=30) as connection:
        assert connection.sendmail("no-reply@clinic.test", recipients, content) == {}


# What happens to the message, how the reply begins, and the reason of the hold, where there is one.
REFUSALS = {
    "ses_api_not_verified": ("held", "554 Message rejected: Email address is not verified", "send_as"),
    "ses_api_mail_from_not_verified": ("held", "554 Domain not verified", "send_as"),
    "ses_api_suspended": ("held", "554 Account suspended", "licence"),
    "ses_api_paused": ("held", "554 Sending paused", "licence"),
    "ses_api_rate": ("deferred", "454 Throttling failure: Maximum sending rate exceeded.", ""),
    "ses_api_limit": ("deferred", "454 Throttling failure: There are too many instances", ""),
    "ses_api_daily_quota": ("held", "454 Throttling failure: Daily message quota exceeded.", "quota"),
    "ses_api_bad_request": ("failed", "554 Transaction failed: Invalid MIME", ""),
    "ses_api_recipient_not_verified": ("failed", "554 Message rejected: Email address is not verified", ""),
    "ses_api_access_denied": (
        "held",
        "554 Access denied: User: arn:aws:sts::123456789012:assumed-role/relay/",
        "send_as",
    ),
    "ses_api_token_expired": ("deferred", "535 The security token included in the request is expired", ""),
    "ses_api_key_unknown": ("held", "535 The security token included in the request is invalid", "auth"),
    "ses_api_signature": ("held", "535 The request signature we calculated does not match", "auth"),
    "ses_api_clock": ("held", "535 Signature expired: 20260302T010000Z", "auth"),
    "ses_api_503": ("deferred", "451 Temporary service failure", ""),
}


@pytest.mark.parametrize("fault", REFUSALS)
def test_a_refusal_has_its_class(cloud: SimulatorThread, start_relay: StartRelay, fault: str) -> None:
    event, reply, reason = REFUSALS[fault]
    cloud.do(lambda simulator: simulator.faults.set(fault, times=1))
    relay = start_relay(settings(cloud.simulator), user_variables(cloud.simulator))
    send(relay)
    [line] = relay.wait_for_event(event)[:1]
    assert line["reply"].startswith(reply)
    assert cloud.simulator.aws.ses.requests["SendEmail"] >= 1
    if event == "failed":
        cloud.wait_for(1)
        assert b"report-type=delivery-status" in cloud.simulator.messages[0].content, "only the bounce"
    elif reason == "send_as":
        assert "reason" not in line, "it is this From that is held, not the upstream"
        assert [each["state"] for each in json.loads(relay.command("queue", "list", "--json").stdout)] == ["held"]
    else:
        assert line.get("reason", "") == reason
        # By itself, or once a probe has succeeded.
        cloud.wait_for(1)
        assert len(cloud.simulator.messages) == 1


def test_the_daily_quota_holds_until_it_has_moved_on(start_relay: StartRelay) -> None:
    cloud = SimulatorThread(ses_recipients_per_day=2)
    try:
        relay = start_relay(settings(cloud.simulator), user_variables(cloud.simulator))
        for _ in range(3):
            send(relay)
        cloud.wait_for(2)
        assert relay.wait_for_event("held")[0]["reason"] == "quota"
        status = json.loads(relay.command("status", "--json").stdout)["upstreams"][0]
        assert (status["state"], status["reason"]) == ("held", "quota")
        cloud.do(lambda simulator: simulator.premises.usage.reset())
        cloud.wait_for(3)
    finally:
        cloud.close()


@pytest.mark.parametrize(
    ("fault", "events", "taken"),
    [
        ("ses_api_no_answer", ["uncertain", "relayed"], 2),
        ("ses_api_garbled", ["uncertain", "relayed"], 2),
        ("ses_api_silence", ["uncertain", "relayed"], 2),
    ],
)
def test_no_answer_after_the_whole_request_is_the_ambiguous_end(
    start_relay: StartRelay, fault: str, events: list[str], taken: int
) -> None:
    cloud = SimulatorThread(idle_timeout=0.5)
    try:
        cloud.do(lambda simulator: simulator.faults.set(fault, times=1))
        upstream = settings(cloud.simulator)
        upstream["queue"] = {"retry_first": "200ms", "retry_ambiguous": "200ms", "jitter": 0.0}
        relay = start_relay(upstream, user_variables(cloud.simulator))
        send(relay)
        relay.wait_for_event("relayed")
        cloud.wait_for(taken)
        [traced] = json.loads(relay.command("trace", "--json").stdout)
        told = [each["event"] for each in traced["events"] if each["event"] in {"uncertain", "relayed", "deferred"}]
        assert list(dict.fromkeys(told)) == events
    finally:
        cloud.close()


def test_nobody_listens_and_nothing_is_lost(cloud: SimulatorThread, start_relay: StartRelay) -> None:
    relay = start_relay(settings(cloud.simulator), user_variables(cloud.simulator))
    cloud.run(cloud.simulator.aws.server.close())
    send(relay)
    assert relay.wait_for_event("deferred")[0]["reply"].startswith("451 4.4.1 127.0.0.1 refused the connection")
    cloud.do(lambda simulator: simulator.aws.server.reopen())
    cloud.wait_for(1)
    assert len(cloud.simulator.messages) == 1


def test_a_stranger_in_place_of_aws_gets_nothing(cloud: SimulatorThread, start_relay: StartRelay) -> None:
    upstream = settings(cloud.simulator)
    del upstream["upstream"]["provider"]["ca_file"]
    relay = start_relay(upstream, user_variables(cloud.simulator))
    send(relay)
    assert relay.wait_for_event("deferred")[0]["reply"].startswith("454 4.7.5 The certificate of 127.0.0.1 is not")
    assert cloud.simulator.aws.ses.requests["SendEmail"] == 0


def test_keys_that_come_later_are_found(cloud: SimulatorThread, start_relay: StartRelay, tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    environ = ISOLATED | {"AWS_SHARED_CREDENTIALS_FILE": str(credentials)}
    relay = start_relay(settings(cloud.simulator), environ)
    send(relay)
    held = relay.wait_for_event("held")[0]
    assert (held["reason"], held["reply"][:46]) == ("secret", "454 4.7.0 AWS credentials were not found: give")
    options = cloud.simulator.options
    credentials.write_text(f"[default]\naws_access_key_id = {options.aws_access_key}\naws_secret_access_key = wrong\n")
    wait_until(lambda: "does not match the signature" in relay.log_text(), "the wrong key to be found")
    text = credentials.read_text().replace("wrong", options.aws_secret_key)
    credentials.write_text(text)
    cloud.wait_for(1)


def test_a_role_whose_keys_end_is_asked_for_new_ones(cloud: SimulatorThread, start_relay: StartRelay) -> None:
    relay = start_relay(settings(cloud.simulator), machine_variables(cloud.simulator))
    send(relay)
    cloud.wait_for(1)
    cloud.do(lambda simulator: simulator.aws.account.expire())
    send(relay)
    cloud.wait_for(2)
    assert relay.log("held") == []
    assert cloud.simulator.aws.account.sessions == 2


def test_large_and_too_large(cloud: SimulatorThread, start_relay: StartRelay) -> None:
    relay = start_relay(settings(cloud.simulator, max_message_size="8MiB"), user_variables(cloud.simulator))
    line = b"0123456789" * 7 + b"\r\n"
    header = b"From: <no-reply@clinic.test>\r\nSubject: x\r\n\r\n"
    _sendmail(relay, ["one@far.test"], header + line * 100_000)
    with pytest.raises(smtplib.SMTPSenderRefused, match="provider takes at most 8388608 octets"):
        _sendmail(relay, ["one@far.test"], header + line * 120_000)
    cloud.wait_for(1)
    large = next(message for message in cloud.simulator.messages if message.size > 1_000_000)
    assert large.content.endswith(line * 100_000)


def test_fifty_recipients_a_message(cloud: SimulatorThread, start_relay: StartRelay) -> None:
    relay = start_relay(settings(cloud.simulator), user_variables(cloud.simulator))
    everybody = [f"r{number}@far.test" for number in range(120)]
    _sendmail(relay, everybody, b"From: <no-reply@clinic.test>\r\nSubject: x\r\n\r\nHello\r\n")
    cloud.wait_for(3)
    assert sorted(len(message.recipients) for message in cloud.simulator.messages) == [20, 50, 50]
    assert {path for message in cloud.simulator.messages for path in message.forward_paths} == set(everybody)


def test_smtp_with_a_password_derived_from_an_access_key(start_relay: StartRelay) -> None:
    secret = "an/IAM+users/secret+access+key0123456789"
    cloud = SimulatorThread(ses_password=smtp_password(secret, "ap-southeast-2"))
    try:
        simulator = cloud.simulator
        upstream: dict[str, Value] = {
            "type": "ses",
            "region": "ap-southeast-2",
            "host": simulator.host,
            "port": simulator.ses.implicit_port,
            "security": "implicit",
            "ca_file": str(simulator.ca_file),
            "username": simulator.ses_user,
            "secret_access_key": {"env": "SECRET"},
        }
        relay = start_relay(plain_settings(9) | {"upstream": {"provider": upstream}}, {"SECRET": secret})
        send(relay)
        cloud.wait_for(1)
    finally:
        cloud.close()


def _doctor(relay: RelayProcess) -> tuple[dict[str, str], list[str]]:
    """The result of each step; the titles of what failed."""
    found = json.loads(relay.command("doctor", "provider", "--json").stdout)
    steps = {step["name"]: step["result"] for step in found["steps"]}
    return steps, [step["title"] for step in found["steps"] if step["result"] == "failed"]


def test_doctor(cloud: SimulatorThread, start_relay: StartRelay) -> None:
    simulator = cloud.simulator
    relay = start_relay(settings(simulator), user_variables(simulator))
    said = relay.command("doctor", "provider")
    assert said.returncode == 0, said.stdout
    assert f"access key {simulator.options.aws_access_key} (env)" in said.stdout
    assert "0 of 50000 recipients in 24 hours, 14 a second" in said.stdout
    assert simulator.options.aws_secret_key not in said.stdout
    cases: list[tuple[Callable[[Simulator], object], str, str]] = [
        (lambda simulator: simulator.aws.ses.verified.clear(), "senders", "The sender is not verified at Amazon SES"),
        (
            lambda simulator: setattr(simulator.aws.ses, "sending_enabled", False),
            "account",
            "Amazon SES has paused the account",
        ),
        (
            lambda simulator: simulator.aws.account.keys.clear(),
            "auth",
            "AWS does not know the access key",
        ),
    ]
    for break_it, step, title in cases:
        cloud.do(break_it)
        steps, titles = _doctor(relay)
        assert (steps[step], titles) == ("failed", [title])
    assert simulator.messages == []


def test_doctor_without_the_right_to_look(cloud: SimulatorThread, start_relay: StartRelay) -> None:
    relay = start_relay(settings(cloud.simulator), user_variables(cloud.simulator))
    cloud.do(lambda simulator: simulator.aws.account.denied.update({"ses:GetAccount", "ses:GetEmailIdentity"}))
    assert _doctor(relay)[1] == []
    send(relay)
    cloud.wait_for(1)
    cloud.do(lambda simulator: simulator.aws.account.denied.add("ses:SendRawEmail"))
    send(relay)
    held = relay.wait_for_event("held")[0]
    explained = relay.command("explain", held["id"]).stdout
    assert "arn:aws:iam::123456789012:user/relay" in explained
    assert "arn:aws:ses:ap-southeast-2:123456789012:identity/clinic.test" in explained
