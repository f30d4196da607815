"""Microsoft's other ways in, with a real `relay serve`: the inbound connector, High Volume Email, Azure's service."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from tests.rig.certificate import CertificateAuthority
from tests.rig.scripted import ScriptedServer
from tests.rig.simulated import SimulatorThread, microsoft365_upstream
from tests.rig.toml import Value
from tests.scenario.conftest import StartRelay, plain_settings
from tests.scenario.test_relays import send


def _settings(**upstream: Value) -> dict[str, Value]:
    return plain_settings(9) | {"upstream": {"provider": upstream}}


@pytest.fixture
def authority(tmp_path: Path) -> CertificateAuthority:
    return CertificateAuthority(tmp_path / "authority")


def test_the_connector_knows_us_by_our_certificate(
    authority: CertificateAuthority, start_relay: StartRelay, tmp_path: Path
) -> None:
    clinic = CertificateAuthority(tmp_path / "clinic")
    ours = clinic.leaf("relay.clinic.test")
    pem = tmp_path / "client.pem"
    pem.write_bytes(ours.certificate.read_bytes() + ours.private_key.read_bytes())
    server = ScriptedServer(security="starttls", leaf=authority.leaf())
    assert server.tls is not None
    server.tls.verify_mode = ssl.CERT_REQUIRED
    server.tls.load_verify_locations(str(clinic.path))
    with server:
        keys: dict[str, Value] = {
            "type": "smtp",
            "preset": "connector",
            "host": "127.0.0.1",
            "port": server.port,
            "ca_file": str(authority.path),
            "ehlo_name": "relay.clinic.test",
        }
        relay = start_relay(_settings(**keys))
        send(relay)
        deferred = relay.wait_for_event("deferred")[0]["reply"]
        assert deferred.startswith(("454 4.7.5", "451 4.4.2")), "without the certificate"
        assert server.accepted == []
        relay.write_config(_settings(**keys, client_certificate=str(pem)))
        relay.reload()
        [message] = server.wait_for(1)
        assert (message.login, message.tls) == (None, True)
        assert "EHLO relay.clinic.test" in server.commands


def test_a_connector_that_does_not_fit(authority: CertificateAuthority, start_relay: StartRelay) -> None:
    with ScriptedServer(security="starttls", leaf=authority.leaf()) as server:
        server.script.always("RCPT", "550 5.7.64 TenantAttribution; Relay Access Denied [SY4AUS01FT013]")
        keys: dict[str, Value] = {"type": "smtp", "preset": "connector", "host": "127.0.0.1", "port": server.port}
        relay = start_relay(_settings(**keys, ca_file=str(authority.path)))
        send(relay)
        held = relay.wait_for_event("held")[0]
        assert held["reply"].startswith("550 5.7.64 TenantAttribution")
        assert "Get-InboundConnector" in relay.command("status").stdout
        assert relay.log("failed") == [], "nothing bounces"


def test_azure_communication_services(authority: CertificateAuthority, start_relay: StartRelay) -> None:
    username = "resource.66666666-7777-8888-9999-000000000000.11111111-2222-3333-4444-555555555555"
    users = {username: "the-client-secret"}
    with ScriptedServer(security="starttls", leaf=authority.leaf(), users=users, mechanisms=("LOGIN",)) as server:
        keys: dict[str, Value] = {"type": "smtp", "preset": "acs", "host": "127.0.0.1", "port": server.port}
        login: dict[str, Value] = {"username": username, "password": {"env": "SECRET"}}
        relay = start_relay(_settings(**keys, **login, ca_file=str(authority.path)), {"SECRET": "the-client-secret"})
        send(relay)
        [message] = server.wait_for(1)
        assert message.login == username
        assert relay.metric("relay_upstream_quota_used_ratio", upstream="provider", quota="messages_per_hour") == 0.01
        server.script.always("AUTH", "535 5.7.3 Authentication unsuccessful")
        doctor = relay.command("doctor", "provider")
        assert doctor.returncode == 1
        assert "the-client-secret" not in doctor.stdout


def test_high_volume_email(cloud: SimulatorThread, start_relay: StartRelay) -> None:
    keys = {"preset": "hve", "credential": "client_secret", "client_secret": {"env": "SECRET"}}
    cloud.do(lambda simulator: simulator.faults.set("token_about_to_expire", times=1))
    relay = start_relay(
        _settings(**microsoft365_upstream(cloud.simulator, **keys)), {"SECRET": cloud.simulator.client_secret}
    )
    send(relay)
    cloud.wait_for(1)
    assert cloud.simulator.token_requests == 2, "a token with less than ten minutes left is replaced"
    cloud.do(lambda simulator: simulator.faults.set("hve_external", times=1))
    send(relay)
    assert relay.wait_for_event("failed")[0]["reply"].startswith("550 5.5.105 External sending is not supported")
    explained = relay.command(
        "explain", "550 5.5.105 External sending is not supported for High Volume Email accounts."
    )
    assert "Azure Communication Services" in explained.stdout
