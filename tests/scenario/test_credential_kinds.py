"""Each kind of credential in a real `relay serve`: a message goes, and nothing secret is told or kept in the clear."""

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
import trustme
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, load_pem_private_key, pkcs12
from cryptography.x509 import load_pem_x509_certificate

from relay.simulator.federation import Issuer
from relay.simulator.simulator import Simulator
from tests.rig.simulated import SimulatorThread, microsoft365_upstream
from tests.rig.toml import Value
from tests.scenario.conftest import StartRelay, plain_settings
from tests.scenario.test_relays import send


@dataclass(slots=True)
class Kind:
    """What a credential needs: keys of the upstream, variables; `secrets` are texts that nobody may see."""

    keys: dict[str, Any]
    environ: dict[str, str] = field(default_factory=dict)
    secrets: list[str] = field(default_factory=list)


def _microsoft(simulator: Simulator, **keys: Value) -> dict[str, Value]:
    return microsoft365_upstream(simulator, **keys)


def _federated(cloud: SimulatorThread, folder: Path) -> Kind:
    issuer = Issuer()
    cloud.do(lambda simulator: simulator.entra.federation.trust(issuer, "relay"))
    assertion = issuer.assertion("relay")
    (folder / "assertion").write_text(assertion)
    keys = {"credential": "federated", "assertion": {"command": ["cat", str(folder / "assertion")]}}
    return Kind(_microsoft(cloud.simulator, **keys), secrets=[assertion])


def _certificate(cloud: SimulatorThread, folder: Path) -> Kind:
    issued = trustme.CA(key_type=trustme.KeyType.RSA).issue_cert("relay.test", key_type=trustme.KeyType.RSA)
    pem, key = issued.cert_chain_pems[0].bytes(), issued.private_key_pem.bytes()
    cloud.do(lambda simulator: simulator.entra.certificates.register(pem))
    (folder / "m365.pem").write_bytes(pem)
    keys = {"credential": "certificate", "certificate": str(folder / "m365.pem"), "private_key": {"env": "KEY"}}
    return Kind(_microsoft(cloud.simulator, **keys), {"KEY": key.decode()}, [key.decode()[100:160]])


def _pfx(cloud: SimulatorThread, folder: Path) -> Kind:
    issued = trustme.CA(key_type=trustme.KeyType.RSA).issue_cert("relay.test", key_type=trustme.KeyType.RSA)
    pem = issued.cert_chain_pems[0].bytes()
    cloud.do(lambda simulator: simulator.entra.certificates.register(pem))
    certificate, key = load_pem_x509_certificate(pem), load_pem_private_key(issued.private_key_pem.bytes(), None)
    assert isinstance(key, RSAPrivateKey)
    encryption = BestAvailableEncryption(b"the-passphrase")
    octets = pkcs12.serialize_key_and_certificates(b"relay", key, certificate, None, encryption)
    (folder / "m365.pfx").write_bytes(octets)
    keys = {"credential": "certificate", "pfx": str(folder / "m365.pfx"), "passphrase": {"env": "PASSPHRASE"}}
    return Kind(_microsoft(cloud.simulator, **keys), {"PASSPHRASE": "the-passphrase"}, ["the-passphrase"])


def _managed_identity(cloud: SimulatorThread, folder: Path) -> Kind:
    keys = _microsoft(cloud.simulator, credential="managed_identity")
    for key in ("authority", "tenant", "client_id"):
        del keys[key]
    return Kind(keys, {"AZURE_POD_IDENTITY_AUTHORITY_HOST": cloud.simulator.google.origin})


def _gmail(simulator: Simulator, **keys: Value) -> dict[str, Value]:
    return {
        "type": "gmail",
        "host": simulator.host,
        "port": simulator.gmail.port,
        "ca_file": str(simulator.ca_file),
        **keys,
    }


def _service_account(cloud: SimulatorThread, folder: Path) -> Kind:
    text = cloud.simulator.google.service_account()
    (folder / "google.json").write_text(text)
    keys = {"service_account": {"file": str(folder / "google.json")}, "mailbox": cloud.simulator.mailbox}
    return Kind(_gmail(cloud.simulator, **keys), secrets=[json.loads(text)["private_key"][100:160]])


def _refresh_token(cloud: SimulatorThread, folder: Path) -> Kind:
    simulator = cloud.simulator
    token, secret = simulator.google.refresh_token(simulator.gmail_user), simulator.options.google_client_secret
    keys: dict[str, Value] = {
        "username": simulator.gmail_user,
        "client_id": simulator.options.google_client_id,
        "client_secret": {"env": "CLIENT_SECRET"},
        "refresh_token": {"env": "REFRESH_TOKEN"},
        "authority": simulator.google.url,
    }
    return Kind(_gmail(simulator, **keys), {"CLIENT_SECRET": secret, "REFRESH_TOKEN": token}, [secret, token])


KINDS = {
    "service_account": _service_account,
    "refresh_token": _refresh_token,
    "managed_identity": _managed_identity,
    "certificate": _certificate,
    "pfx": _pfx,
    "federated": _federated,
}


@pytest.mark.parametrize("name", KINDS)
def test_a_message_goes_by_it(cloud: SimulatorThread, start_relay: StartRelay, tmp_path: Path, name: str) -> None:
    kind = KINDS[name](cloud, tmp_path)
    settings = plain_settings(9) | {"upstream": {"provider": kind.keys}, "log": {"level": "debug"}}
    relay = start_relay(settings, kind.environ)
    checked = relay.command("check")
    assert (checked.returncode, checked.stderr) == (0, ""), checked.stderr
    assert _token_requests(cloud) == 0, "nothing is asked before mail needs it"
    for _ in range(3):
        send(relay)
    cloud.wait_for(3)
    relay.wait_for_event("relayed", count=3)
    relay.restart()
    send(relay)
    cloud.wait_for(4)
    assert _token_requests(cloud) == 1
    assert relay.terminate() == 0
    _assert_nothing_is_told(relay.log_text(), relay.state_dir, kind)


@pytest.mark.parametrize("name", ["us-gov-high", "us-gov-dod", "china"])
def test_a_national_cloud(start_relay: StartRelay, name: str) -> None:
    cloud = SimulatorThread(cloud=name)
    try:
        keys = {"cloud": name, "credential": "client_secret", "client_secret": {"env": "CLIENT_SECRET"}}
        settings = plain_settings(9) | {"upstream": {"provider": _microsoft(cloud.simulator, **keys)}}
        send(start_relay(settings, {"CLIENT_SECRET": cloud.simulator.client_secret}))
        cloud.wait_for(1)
    finally:
        cloud.close()


@pytest.mark.parametrize("way", ["browser", "pasted"])
def test_signing_in_to_google(cloud: SimulatorThread, start_relay: StartRelay, tmp_path: Path, way: str) -> None:
    simulator = cloud.simulator
    kind = _refresh_token(cloud, tmp_path)
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


def _token_requests(cloud: SimulatorThread) -> int:
    simulator = cloud.simulator
    return simulator.token_requests + simulator.managed_identity.requests + simulator.google.requests


def _assert_nothing_is_told(log: str, state_dir: Path, kind: Kind) -> None:
    kept = b"".join(path.read_bytes() for path in state_dir.rglob("*") if path.is_file())
    for secret in kind.secrets:
        assert secret not in log
        assert secret.encode() not in kept
    for beginning in ("eyJ", "ya29."):
        assert beginning not in log, "a token"
        assert beginning.encode() not in kept
    assert "no-reply@" not in log
