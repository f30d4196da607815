"""Real msal, unchanged, against the simulated authority."""

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msal  # type: ignore[import-untyped]
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from relay.simulator.simulator import Simulator

APP = ["https://outlook.office365.com/.default"]
USER = ["https://outlook.office.com/SMTP.Send"]

Session = Callable[[Simulator], requests.Session]


@pytest.fixture
def session() -> Iterator[Session]:
    opened: list[requests.Session] = []

    def open_session(simulator: Simulator) -> requests.Session:
        one = requests.Session()
        one.trust_env = False
        one.verify = str(simulator.ca_file)
        opened.append(one)
        return one

    yield open_session
    for one in opened:
        one.close()


def confidential(simulator: Simulator, session: requests.Session, credential: Any = None, **more: Any) -> Any:
    return msal.ConfidentialClientApplication(
        more.pop("client_id", simulator.client_id),
        authority=more.pop("authority", simulator.authority_url),
        client_credential=credential or simulator.client_secret,
        instance_discovery=False,
        http_client=session,
    )


async def token_for_app(simulator: Simulator, session: requests.Session, credential: Any = None, **more: Any) -> Any:
    def fetch() -> Any:
        return confidential(simulator, session, credential, **more).acquire_token_for_client(APP)

    return await asyncio.to_thread(fetch)


async def test_a_client_secret(simulator: Simulator, session: Session) -> None:
    result = await token_for_app(simulator, session(simulator))
    assert result["expires_in"] == 3599
    assert simulator.tokens.opens_mailbox(result["access_token"], simulator.mailbox)
    assert simulator.token_requests == 1
    assert simulator.entra.grants["client_credentials"] == 1


async def test_the_cache_of_msal_is_used(simulator: Simulator, session: Session) -> None:
    app = await asyncio.to_thread(confidential, simulator, session(simulator))
    for _ in range(3):
        await asyncio.to_thread(app.acquire_token_for_client, APP)
    assert simulator.token_requests == 1


@pytest.mark.parametrize("path", ["", "/v2.0"])
async def test_an_oidc_authority(simulator: Simulator, session: Session, path: str) -> None:
    def fetch() -> Any:
        app = msal.ConfidentialClientApplication(
            simulator.client_id,
            oidc_authority=simulator.authority_url + path,
            client_credential=simulator.client_secret,
            http_client=session(simulator),
        )
        return app.acquire_token_for_client(APP)

    assert "access_token" in await asyncio.to_thread(fetch)


@pytest.mark.parametrize(
    ("more", "error", "code"),
    [
        ({"credential": "wrong"}, "invalid_client", 7000215),
        ({"client_id": "00000000-0000-0000-0000-000000000000"}, "unauthorized_client", 700016),
    ],
)
async def test_what_is_refused(
    simulator: Simulator, session: Session, more: dict[str, Any], error: str, code: int
) -> None:
    result = await token_for_app(simulator, session(simulator), **more)
    assert result["error"] == error
    assert result["error_codes"] == [code]
    assert result["error_description"].startswith(f"AADSTS{code}: ")
    assert {"trace_id", "correlation_id", "timestamp", "error_uri"} <= result.keys()


async def test_an_expired_secret(simulator: Simulator, session: Session) -> None:
    simulator.entra.expired_secrets.add(simulator.client_secret)
    result = await token_for_app(simulator, session(simulator))
    assert result["error_codes"] == [7000222]


async def test_a_wrong_scope(simulator: Simulator, session: Session) -> None:
    app = await asyncio.to_thread(confidential, simulator, session(simulator))
    result = await asyncio.to_thread(app.acquire_token_for_client, ["https://outlook.office365.com/SMTP.Send"])
    assert (result["error"], result["error_codes"]) == ("invalid_scope", [1002012])


async def test_another_tenant_does_not_exist(simulator: Simulator, session: Session) -> None:
    authority = simulator.authority_url.replace(simulator.tenant, "99999999-2222-3333-4444-555555555555")
    with pytest.raises(ValueError, match="authority"):
        await token_for_app(simulator, session(simulator), authority=authority)


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def certificate(key: rsa.RSAPrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "relay")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7, now, now + timedelta(days=1))
    return builder.sign(key, hashes.SHA256())


def credential(form: str, key: rsa.RSAPrivateKey, certificate: x509.Certificate, directory: Path) -> dict[str, str]:
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    if form == "pem":
        public = certificate.public_bytes(serialization.Encoding.PEM).decode()
        return {"private_key": pem, "public_certificate": public}
    if form == "thumbprint":
        return {"private_key": pem, "thumbprint": certificate.fingerprint(hashes.SHA1()).hex()}  # noqa: S303
    file = directory / "relay.pfx"
    encryption = serialization.BestAvailableEncryption(b"open")
    file.write_bytes(pkcs12.serialize_key_and_certificates(b"relay", key, certificate, None, encryption))
    return {"private_key_pfx_path": str(file), "passphrase": "open"}


@pytest.mark.parametrize("form", ["pem", "thumbprint", "pfx"])
async def test_a_certificate(
    simulator: Simulator,
    session: Session,
    key: rsa.RSAPrivateKey,
    certificate: x509.Certificate,
    tmp_path: Path,
    form: str,
) -> None:
    proof = credential(form, key, certificate, tmp_path)
    result = await token_for_app(simulator, session(simulator), proof)
    assert result["error_codes"] == [700027], "not registered yet"
    simulator.entra.certificates.register(certificate.public_bytes(serialization.Encoding.PEM))
    result = await token_for_app(simulator, session(simulator), proof)
    assert simulator.tokens.opens_mailbox(result["access_token"], simulator.mailbox)


async def test_a_certificate_whose_key_is_another(
    simulator: Simulator, session: Session, certificate: x509.Certificate, tmp_path: Path
) -> None:
    simulator.entra.certificates.register(certificate.public_bytes(serialization.Encoding.PEM))
    another = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    proof = credential("pem", another, certificate, tmp_path)
    assert (await token_for_app(simulator, session(simulator), proof))["error_codes"] == [50012]


async def test_a_federated_assertion(simulator: Simulator, session: Session) -> None:
    simulator.entra.federated_assertions.add("from.elsewhere.signed")
    result = await token_for_app(simulator, session(simulator), {"client_assertion": lambda: "from.elsewhere.signed"})
    assert "access_token" in result


def public(simulator: Simulator, session: requests.Session) -> Any:
    return msal.PublicClientApplication(
        simulator.client_id, authority=simulator.authority_url, instance_discovery=False, http_client=session
    )


async def poll(app: Any, flow: dict[str, Any]) -> Any:
    flow["expires_at"] = 0
    flow["latest_attempt_at"] = 0
    return await asyncio.to_thread(app.acquire_token_by_device_flow, flow)


async def test_a_device_code_and_what_comes_of_it(simulator: Simulator, session: Session) -> None:
    app = await asyncio.to_thread(public, simulator, session(simulator))
    flow = await asyncio.to_thread(app.initiate_device_flow, USER)
    assert flow["user_code"] in flow["message"]
    assert flow["verification_uri"] in flow["message"]
    assert (await poll(app, flow))["error"] == "authorization_pending"
    assert simulator.entra.device_codes.approve(flow["user_code"], simulator.mailbox)
    result = await poll(app, flow)
    assert simulator.tokens.opens_mailbox(result["access_token"], simulator.mailbox)
    assert result["id_token_claims"]["preferred_username"] == simulator.mailbox
    [account] = app.get_accounts()
    assert account["username"] == simulator.mailbox

    renewed = await asyncio.to_thread(lambda: app.acquire_token_silent(USER, account, force_refresh=True))
    assert renewed["access_token"] != result["access_token"]
    assert simulator.entra.grants["refresh_token"] == 1

    assert simulator.entra.revoke_refresh_tokens() > 0
    refused = await asyncio.to_thread(lambda: app.acquire_token_silent_with_error(USER, account, force_refresh=True))
    assert refused["error"] == "invalid_grant"
    assert refused["error_codes"] == [50173]


async def test_a_device_code_is_approved_on_the_page_that_it_names(simulator: Simulator, session: Session) -> None:
    http = session(simulator)
    app = await asyncio.to_thread(public, simulator, http)
    flow = await asyncio.to_thread(app.initiate_device_flow, USER)
    page = await asyncio.to_thread(http.get, flow["verification_uri"])
    assert "Enter code" in page.text
    for code, said in (("WRONG", "not known"), (flow["user_code"], "You have signed in")):
        form = {"user_code": code, "user": simulator.mailbox}
        answer = await asyncio.to_thread(http.post, flow["verification_uri"], form)
        assert said in answer.text
    assert "access_token" in await poll(app, flow)


async def test_a_device_code_can_approve_itself(session: Session) -> None:
    async with Simulator(device_code_approval="automatic") as simulator:
        app = await asyncio.to_thread(public, simulator, session(simulator))
        flow = await asyncio.to_thread(app.initiate_device_flow, USER)
        assert "access_token" in await poll(app, flow)


@pytest.mark.parametrize("code", [7000222, 700016, 53003, 50076, 90033, 50196, 7000112])
async def test_every_code_can_be_switched_on(simulator: Simulator, session: Session, code: int) -> None:
    simulator.faults.set(f"AADSTS{code}", times=1)
    http = session(simulator)
    if code == 90033:
        with pytest.raises(msal.exceptions.MsalServiceError):
            await token_for_app(simulator, http)
    else:
        assert (await token_for_app(simulator, http))["error_codes"] == [code]
    # msal itself keeps refusals for a while: ask anew.
    assert "access_token" in await token_for_app(simulator, session(simulator))


@pytest.mark.parametrize("name", ["authority_down", "authority_garbled", "authority_discovery_down"])
async def test_an_authority_that_is_down(simulator: Simulator, session: Session, name: str) -> None:
    simulator.faults.set(name)
    with pytest.raises(requests.RequestException):
        await token_for_app(simulator, session(simulator))
    simulator.faults.clear()
    assert "access_token" in await token_for_app(simulator, session(simulator))


@pytest.mark.parametrize(("name", "status"), [("authority_500", 500), ("authority_503", 503), ("authority_429", 429)])
async def test_an_authority_that_is_in_trouble(simulator: Simulator, session: Session, name: str, status: int) -> None:
    simulator.faults.set(name)
    url = f"{simulator.authority_url}/oauth2/v2.0/token"
    answer = await asyncio.to_thread(lambda: session(simulator).post(url, data={"grant_type": "client_credentials"}))
    assert answer.status_code == status
    assert ("Retry-After" in answer.headers) is (status != 500)


async def test_a_slow_authority(simulator: Simulator, session: Session) -> None:
    simulator.faults.set("authority_slow", seconds=0.3)
    begun = time.monotonic()
    assert "access_token" in await token_for_app(simulator, session(simulator))
    assert time.monotonic() - begun >= 0.3


async def test_the_public_keys(simulator: Simulator, session: Session) -> None:
    answer = await asyncio.to_thread(session(simulator).get, f"{simulator.authority_url}/discovery/v2.0/keys")
    [found] = answer.json()["keys"]
    assert found["kty"] == "RSA"
    nowhere = await asyncio.to_thread(session(simulator).get, f"{simulator.authority_url}/elsewhere")
    assert nowhere.status_code == 404
