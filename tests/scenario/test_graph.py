"""Mail by Microsoft Graph, as the simulator plays it: `relay serve` in front, real clients before it."""

from __future__ import annotations

import email
import email.policy
import json
import smtplib
import subprocess
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from tests.rig.credential_kinds import KINDS
from tests.rig.relay import RelayProcess
from tests.rig.simulated import SimulatorThread, cloud_of, graph_upstream
from tests.rig.toml import Value
from tests.rig.waiting import wait_until
from tests.scenario.conftest import StartRelay, plain_settings
from tests.scenario.test_direct import direct_settings
from tests.upstream.graph_mail import leaves, with_attachment, written

SENDER = "no-reply@clinic.test"
APPROVED: dict[str, Any] = {"device_code_approval": "automatic"}


def _settings(cloud: SimulatorThread, **keys: Value) -> dict[str, Value]:
    upstream = graph_upstream(
        cloud.simulator, credential="client_secret", client_secret={"env": "CLIENT_SECRET"}, **keys
    )
    return plain_settings(9) | {"upstream": {"provider": upstream}}


def _environ(cloud: SimulatorThread) -> dict[str, str]:
    return {"CLIENT_SECRET": cloud.simulator.client_secret}


def _send(relay: RelayProcess, message: EmailMessage, *recipients: str, sender: str = SENDER) -> str:
    with smtplib.SMTP("127.0.0.1", relay.port(), timeout=60) as connection:
        connection.ehlo()
        connection.mail(sender)
        for recipient in recipients or ("a@b.test",):
            assert connection.rcpt(recipient)[0] == 250
        code, text = connection.data(bytes(message))
    assert code == 250, text
    return text.decode().rpartition(" ")[2]


def _sent_by_curl(relay: RelayProcess, message: EmailMessage, folder: Path) -> None:
    file = folder / "message.eml"
    file.write_bytes(bytes(message))
    to = ["--mail-from", SENDER, "--mail-rcpt", "a@b.test", "--mail-rcpt", "hidden@b.test"]
    command = ["curl", "-sS", "--url", f"smtp://127.0.0.1:{relay.port()}", *to, "-T", str(file)]
    subprocess.run(command, check=True, timeout=120)


def _events(relay: RelayProcess, message_id: str) -> list[tuple[str, str]]:
    traced = json.loads(relay.command("trace", message_id, "--json").stdout)
    return [(event["event"], event["reply"] or "") for event in traced[0]["events"]]


@pytest.mark.parametrize("size", [1_000, 2_900_000, 3_100_000, 30_000_000])
def test_every_size_arrives_with_the_same_parts(
    cloud: SimulatorThread, start_relay: StartRelay, tmp_path: Path, size: int
) -> None:
    relay = start_relay(_settings(cloud), _environ(cloud))
    message = written(Bcc="hidden@b.test")
    message.add_alternative("<p>Größe 1,5 µm</p>\n", subtype="html", cte="quoted-printable")
    with_attachment(message, max((size - 1_000) * 73 // 100, 10))
    assert size - 60_000 < len(bytes(message)) < size + 150_000
    _sent_by_curl(relay, message, tmp_path)
    cloud.wait_for(1)
    [arrived] = cloud.simulator.messages
    assert leaves(arrived.content) == leaves(bytes(message))
    assert sorted(arrived.forward_paths) == ["a@b.test", "hidden@b.test"]
    header = email.message_from_bytes(arrived.content, policy=email.policy.default)
    assert (header["Bcc"], header["Message-ID"]) == (None, "<1@clinic.test>")
    assert b"hidden" not in arrived.content.partition(b"\r\n\r\n")[0]
    assert cloud.simulator.violations == []
    if size > 3_000_000:
        pieces = [request.octets for request in cloud.simulator.graph.requests if request.endpoint == "upload"]
        assert all(piece % (320 * 1024) == 0 and piece < 4_000_000 for piece in pieces[:-1])
    wait_until(
        lambda: relay.metric("relay_recipients_settled_total", upstream="provider", outcome="relayed") == 2, "it"
    )


def test_retry_after_is_obeyed(cloud: SimulatorThread, start_relay: StartRelay) -> None:
    relay = start_relay(_settings(cloud), _environ(cloud))
    cloud.do(lambda simulator: simulator.faults.set("graph_throttled", times=1, headers={"Retry-After": "3"}))
    first = _send(relay, written())
    wait_until(lambda: relay.log("deferred"), "the first to be deferred")
    status = json.loads(relay.command("status", "--json").stdout)["upstreams"][0]
    assert status["state"] == "unreachable"
    assert "HTTP 429 ApplicationThrottled" in status["reason"]
    others = [_send(relay, written()) for _ in range(5)]
    cloud.wait_for(6)
    throttled, *after = cloud.simulator.graph.requests
    assert (throttled.status, {request.status for request in after}) == (429, {202})
    pause = min(request.at for request in after) - throttled.at
    assert 3.0 <= pause < 4.5, pause
    assert [name for name, _ in _events(relay, first)][-1] == "relayed"
    assert all([name for name, _ in _events(relay, each)] == ["accepted", "relayed"] for each in others)
    assert relay.metric("relay_recipients_settled_total", upstream="provider", outcome="failed") == 0


def test_a_token_for_smtp_is_explained(cloud: SimulatorThread, start_relay: StartRelay) -> None:
    wrong = "https://outlook.office365.com/.default"
    relay = start_relay(_settings(cloud, scope=wrong), _environ(cloud))
    message_id = _send(relay, written())
    held = relay.wait_for_event("held")[0]
    assert "Graph" in held["why"]
    wait_until(lambda: relay.log("deferred") or relay.log("probe_failed"), "the message to be put back")
    assert _events(relay, message_id)[-1][1].startswith("535 5.7.8 HTTP 401 InvalidAuthenticationToken")

    traced = relay.command("trace", message_id).stdout
    explained = relay.command("explain", "provider").stdout
    pasted = relay.command("explain", held["reply"]).stdout
    for told in (traced, explained, pasted):
        assert "The token is for another audience than Microsoft Graph" in told
        assert "https://graph.microsoft.com/.default" in told

    doctor = json.loads(relay.command("doctor", "provider", "--json").stdout)
    steps = {step["name"]: step for step in (doctor[0] if isinstance(doctor, list) else doctor)["steps"]}
    assert {name: step["result"] for name, step in steps.items()} == {
        "configuration": "ok",
        "dns": "ok",
        "port": "ok",
        "tls": "ok",
        "token": "failed",
        "auth": "failed",
        "permission": "not_reached",
        "mailbox": "not_reached",
        "message": "failed",
    }
    assert "one for https://outlook.office365.com" in steps["token"]["cause"]
    assert wrong in steps["token"]["actions"][0]

    relay.write_config(_settings(cloud))
    relay.reload()
    cloud.wait_for(1)


@pytest.mark.parametrize(
    ("roles", "fault", "step", "cause"),
    [
        (("Mail.Send", "Mail.ReadWrite"), "", "", ""),
        (("SMTP.SendAsApp",), "", "permission", "without Mail.Send"),
        (("Mail.Send",), "graph_access_denied", "permission", "keeps application"),
        (("Mail.Send",), "graph_mailbox_not_enabled", "mailbox", "is no mailbox of tenant"),
        (("Mail.Send",), "graph_internal_error", "mailbox", ""),
    ],
)
def test_doctor(
    cloud: SimulatorThread, start_relay: StartRelay, roles: tuple[str, ...], fault: str, step: str, cause: str
) -> None:
    relay = start_relay(_settings(cloud), _environ(cloud))
    cloud.do(lambda simulator: setattr(simulator.tokens, "graph_roles", roles))
    if fault:
        cloud.do(lambda simulator: simulator.faults.set(fault))
    doctor = relay.command("doctor", "provider", "--json")
    told = json.loads(doctor.stdout)
    told = told[0] if isinstance(told, list) else told
    failed = [each for each in told["steps"] if each["result"] == "failed"]
    assert [each["name"] for each in failed] == ([step] if step else [])
    assert doctor.returncode == (1 if step else 0)
    assert [each["cause"] for each in failed if cause not in each["cause"]] == []
    assert cloud.simulator.messages == []
    assert ("Mail.ReadWrite" in " ".join(told["notes"])) is ("Mail.ReadWrite" not in roles)


def test_killed_in_the_middle_of_an_upload(cloud: SimulatorThread, start_relay: StartRelay) -> None:
    relay = start_relay(_settings(cloud), _environ(cloud))
    cloud.do(lambda simulator: simulator.faults.set("slow", provider="graph", stage="upload", seconds=20.0))
    message = with_attachment(written(), 8_000_000)
    message_id = _send(relay, message)
    wait_until(lambda: cloud.simulator.graph.drafts.sessions, "the upload to begin")
    relay.kill()
    cloud.do(lambda simulator: simulator.faults.clear())
    relay.start()
    cloud.wait_for(1)
    [arrived] = cloud.simulator.messages
    assert leaves(arrived.content) == leaves(bytes(message))
    wait_until(lambda: _events(relay, message_id)[-1][0] == "relayed", "the trace to say so")


def test_what_cannot_be_carried_is_returned_through_the_same_mailbox(
    cloud: SimulatorThread, start_relay: StartRelay
) -> None:
    relay = start_relay(_settings(cloud, may_send_as=["app@clinic.test"]), _environ(cloud))
    _send(relay, written(text="A line of a very long report.\n" * 110_000), sender="app@clinic.test")
    cloud.wait_for(1)
    [notice] = cloud.simulator.messages
    assert notice.forward_paths == ("app@clinic.test",)
    told = email.message_from_bytes(notice.content, policy=email.policy.default)
    assert told.get_content_type() == "multipart/report"
    report = " ".join(leaf[-1].decode() for leaf in leaves(notice.content))
    assert "554 5.6.3" in notice.content.decode()
    assert "the text of a message only up to 3 MB" in " ".join(report.split())
    assert cloud.simulator.violations == []


def test_direct(cloud: SimulatorThread, start_relay: StartRelay) -> None:
    upstream = _settings(cloud)["upstream"]
    relay = start_relay(direct_settings(9) | {"upstream": upstream}, _environ(cloud))

    def told(message: EmailMessage) -> str:
        with smtplib.SMTP("127.0.0.1", relay.port(), timeout=60) as connection:
            connection.ehlo()
            connection.mail(SENDER)
            connection.rcpt("a@b.test")
            code, text = connection.data(bytes(message))
            return f"{code} {text.decode()}"

    assert told(written()).startswith("250 2.0.0 Accepted by Microsoft Graph")
    assert told(with_attachment(written(text="large"), 3_200_000)).startswith("250 2.0.0 Accepted")
    cloud.do(lambda simulator: simulator.faults.set("graph_send_as_denied", times=1))
    assert told(written(text="2")).startswith("554 5.2.0 HTTP 403 ErrorSendAsDenied")
    cloud.do(lambda simulator: simulator.faults.set("graph_throttled", times=1))
    assert told(written(text="3")).startswith("451 4.3.2 HTTP 429")
    assert len(cloud.simulator.messages) == 2


@pytest.mark.parametrize("name", ["pfx", "federated_file", "managed_identity", "device_code"])
def test_every_kind_of_credential(cloud: SimulatorThread, start_relay: StartRelay, tmp_path: Path, name: str) -> None:
    kind = KINDS[name](cloud_of(cloud.simulator), tmp_path)
    upstream = kind.keys | {"via": "graph", "port": cloud.simulator.authority.port}
    if kind.signs_in:
        upstream["scope"] = "https://graph.microsoft.com/.default"
        cloud.do(lambda simulator: setattr(simulator.entra, "_options", replace(simulator.options, **APPROVED)))
    relay = start_relay(plain_settings(9) | {"upstream": {"provider": upstream}}, kind.environ)
    if kind.signs_in:
        signed_in = relay.command("login", "provider")
        assert signed_in.returncode == 0, signed_in.stderr
    _send(relay, written())
    _send(relay, with_attachment(written(), 3_200_000))
    cloud.wait_for(2)
    assert cloud.simulator.violations == []


def test_one_message_by_the_command(cloud: SimulatorThread, start_relay: StartRelay) -> None:
    relay = start_relay(_settings(cloud), _environ(cloud))
    tested = relay.command("test", "provider", "--to", "a@b.test", "--json")
    assert (tested.returncode, json.loads(tested.stdout)["ok"]) == (0, True)
    [arrived] = cloud.simulator.messages
    assert arrived.forward_paths == ("a@b.test",)
