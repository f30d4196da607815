"""Microsoft 365, Gmail and SES as far as the simulator goes, from the settings to the message."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)
from cryptography.x509 import load_pem_x509_certificate

from relay.config.whole import check
from relay.simulator.simulator import Simulator
from relay.upstream.contract import Cause, Phase
from relay.upstream.device_login import DeviceLogin
from tests.upstream.clinic import Clinic


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator() as running:
        yield running


@pytest.fixture
def clinic(tmp_path: Path, simulator: Simulator) -> Clinic:
    return Clinic(tmp_path, simulator)


@pytest.mark.parametrize("name", ["office365", "gmail", "ses"])
async def test_each_provider_takes_a_message(clinic: Clinic, name: str) -> None:
    upstream = clinic.upstream(name)
    for _ in range(2):
        said = await clinic.sent(upstream)
        assert said.phase is Phase.DONE, said
    await upstream.aclose()
    assert len(clinic.simulator.messages) == 2
    assert clinic.simulator.logins == 1
    assert clinic.simulator.violations == []


async def test_an_app_password_as_google_prints_it(clinic: Clinic) -> None:
    clinic.environ["SIMULATOR_GMAIL_APP_PASSWORD"] = "abcd efgh ijkl mnop"
    assert (await clinic.sent_once("gmail")).phase is Phase.DONE


async def test_a_token_is_found_again_without_the_authority(clinic: Clinic) -> None:
    assert (await clinic.sent_once()).phase is Phase.DONE
    clinic.simulator.faults.set("authority_down")
    clinic.simulator.faults.set("authority_discovery_down")
    assert (await clinic.sent_once()).phase is Phase.DONE
    assert clinic.simulator.token_requests == 1
    state = clinic.settings.state_dir
    kept = b"".join(path.read_bytes() for path in state.rglob("*") if path.is_file())
    assert b"eyJ" not in kept


async def test_many_at_once_ask_for_one_token(clinic: Clinic) -> None:
    upstream = clinic.upstream()
    sent = await asyncio.gather(*(clinic.sent(upstream) for _ in range(6)))
    await upstream.aclose()
    assert {said.phase for said in sent} == {Phase.DONE}
    assert clinic.simulator.token_requests == 1
    assert clinic.simulator.most_connections == 3


async def test_a_535_forces_one_new_token(clinic: Clinic) -> None:
    assert (await clinic.sent_once()).phase is Phase.DONE
    clinic.simulator.tokens.expire()
    assert (await clinic.sent_once()).phase is Phase.DONE
    assert clinic.simulator.token_requests == 2
    clinic.simulator.faults.set("smtp_auth_disabled_tenant")
    said = await clinic.sent_once()
    assert (said.phase, said.reply and str(said.reply)[:11]) == (Phase.AUTH, "535 5.7.139")
    assert clinic.simulator.token_requests == 3


async def test_the_challenge_of_a_refused_token_is_kept(clinic: Clinic) -> None:
    clinic.replaced['mailbox = "no-reply@clinic.test"'] = 'mailbox = "somebody.else@clinic.test"'
    said = await clinic.sent_once()
    assert said.phase is Phase.AUTH
    assert said.challenge
    assert '"status"' in said.challenge


async def test_a_wrong_secret_and_its_correction(clinic: Clinic) -> None:
    right = clinic.environ["SIMULATOR_CLIENT_SECRET"]
    clinic.environ["SIMULATOR_CLIENT_SECRET"] = "the-secret-id"
    said = await clinic.sent_once()
    assert (said.phase, said.cause) == (Phase.TOKEN, Cause.TOKEN_REFUSED)
    assert said.reply
    assert said.reply.text.startswith("AADSTS7000215: Invalid client secret provided.")
    assert said.reply.text.endswith("(invalid_client)")
    assert "Trace ID" not in said.reply.text
    clinic.environ["SIMULATOR_CLIENT_SECRET"] = right
    assert (await clinic.sent_once()).phase is Phase.DONE


async def test_a_correction_at_the_authority_is_seen_at_once(clinic: Clinic) -> None:
    clinic.simulator.faults.set("aadsts65001", times=1)
    upstream = clinic.upstream()
    said = await clinic.sent(upstream)
    assert (said.phase, said.cause) == (Phase.TOKEN, Cause.TOKEN_REFUSED)
    assert (await clinic.sent(upstream)).phase is Phase.DONE
    await upstream.aclose()


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("authority_down", "cannot be reached"),
        ("authority_discovery_down", "cannot be reached"),
        ("authority_500", "HTTP 500"),
        ("authority_discovery_500", "HTTP 500"),
        ("authority_503", "asked again in 2 s"),
        ("authority_429", "asked again in 2 s"),
        ("authority_garbled", ""),
        ("aadsts90033", "AADSTS90033"),
    ],
)
async def test_an_authority_that_is_not_well(clinic: Clinic, fault: str, text: str) -> None:
    clinic.simulator.faults.set(fault)
    said = await clinic.sent_once()
    assert (said.phase, said.cause) == (Phase.TOKEN, Cause.TOKEN_UNAVAILABLE)
    assert said.reply
    assert said.reply.transient
    assert text in said.reply.text
    clinic.simulator.faults.clear()
    assert (await clinic.sent_once()).phase is Phase.DONE


@pytest.mark.parametrize("fault", ["authority_500", "authority_discovery_500"])
async def test_an_authority_that_sends_us_elsewhere(clinic: Clinic, fault: str) -> None:
    async with Simulator() as elsewhere:
        place = {"Location": f"{elsewhere.authority_url}/oauth2/v2.0/token"}
        clinic.simulator.faults.set(fault, status=307, headers=place)
        said = await clinic.sent_once()
        assert (said.phase, said.cause) == (Phase.TOKEN, Cause.TOKEN_UNAVAILABLE)
        assert said.reply
        assert said.reply.text.endswith("answered HTTP 307")
        assert elsewhere.entra.requests.total() == 0


async def test_a_tenant_that_does_not_exist(clinic: Clinic) -> None:
    authority = clinic.simulator.authority_url
    clinic.replaced[f'authority = "{authority}"'] = f'authority = "{authority[:-1]}0"'
    said = await clinic.sent_once()
    assert (said.phase, said.cause) == (Phase.TOKEN, Cause.TOKEN_REFUSED)
    assert said.reply
    assert "AADSTS90002" in said.reply.text


async def test_an_authority_that_is_not_trusted(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(clinic.simulator.ca_file))
    clinic.replaced[f'ca_file = "{clinic.simulator.ca_file}"'] = 'verify = "none"'
    said = await clinic.sent_once()
    assert (said.phase, said.cause) == (Phase.TOKEN, Cause.TLS_UNTRUSTED)


async def test_a_missing_secret(clinic: Clinic) -> None:
    del clinic.environ["SIMULATOR_CLIENT_SECRET"]
    said = await clinic.sent_once()
    assert (said.phase, said.cause) == (Phase.SECRET, Cause.SECRET_UNAVAILABLE)
    assert said.reply
    assert "SIMULATOR_CLIENT_SECRET" in said.reply.text
    del clinic.environ["SIMULATOR_SES_PASSWORD"]
    said = await clinic.sent_once("ses")
    assert (said.phase, said.cause) == (Phase.SECRET, Cause.SECRET_UNAVAILABLE)


async def test_the_expiry_is_told(clinic: Clinic) -> None:
    upstream = clinic.upstream()
    assert upstream.token_expires_at is None
    await clinic.sent(upstream)
    assert upstream.token_expires_at is not None
    await upstream.aclose()
    gmail = clinic.upstream("gmail")
    assert gmail.token_expires_at is None


def certificates(folder: Path, simulator: Simulator) -> tuple[bytes, bytes]:
    issued = trustme.CA(key_type=trustme.KeyType.RSA).issue_cert("relay.clinic.test", key_type=trustme.KeyType.RSA)
    certificate, key = issued.cert_chain_pems[0].bytes(), issued.private_key_pem.bytes()
    simulator.entra.certificates.register(certificate)
    (folder / "m365.pem").write_bytes(certificate)
    (folder / "m365.key").write_bytes(key)
    private_key = load_pem_private_key(key, None)
    encrypted = private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word"))
    (folder / "locked.key").write_bytes(encrypted)
    parsed = load_pem_x509_certificate(certificate)
    for name, encryption in (("m365.pfx", BestAvailableEncryption(b"word")), ("open.pfx", NoEncryption())):
        octets = pkcs12.serialize_key_and_certificates(b"relay", private_key, parsed, None, encryption)  # type: ignore[arg-type]
        (folder / name).write_bytes(octets)
    keyless = pkcs12.serialize_key_and_certificates(b"relay", None, None, [parsed], NoEncryption())
    (folder / "keyless.pfx").write_bytes(keyless)
    (folder / "other.key").write_bytes(trustme.CA(key_type=trustme.KeyType.RSA).private_key_pem.bytes())
    curve = trustme.CA().issue_cert("relay.clinic.test")
    (folder / "curve.pem").write_bytes(curve.cert_chain_pems[0].bytes())
    (folder / "curve.key").write_bytes(curve.private_key_pem.bytes())
    return certificate, key


@pytest.mark.parametrize(
    ("keys", "wrong"),
    [
        ('certificate = "m365.pem"\nprivate_key = "m365.key"', None),
        ('certificate = "m365.pem"\nprivate_key = { env = "KEY" }', None),
        ('certificate = "m365.pem"\nprivate_key = "locked.key"\npassphrase = { env = "WORD" }', None),
        ('pfx = "m365.pfx"\npassphrase = { env = "WORD" }', None),
        ('pfx = "open.pfx"', None),
        ('certificate = "m365.pem"\nprivate_key = "locked.key"', "locked.key: the private key is encrypted; set"),
        ('certificate = "m365.pem"\nprivate_key = "m365.pem"', "m365.pem: holds no private key in PEM"),
        ('certificate = "m365.pem"\nprivate_key = "other.key"', "the private key does not belong to the certificate"),
        ('certificate = "m365.key"\nprivate_key = "m365.key"', "m365.key: holds no certificate in PEM"),
        (
            'certificate = "m365.pem"\nprivate_key = "locked.key"\npassphrase = { env = "WRONG" }',
            "locked.key: the private key has another passphrase; correct it",
        ),
        ('pfx = "m365.pfx"', "m365.pfx: is encrypted; add passphrase"),
        ('pfx = "m365.pfx"\npassphrase = { env = "WRONG" }', "m365.pfx: has another passphrase, or none"),
        ('pfx = "m365.pem"', "m365.pem: is no PFX"),
        ('pfx = "keyless.pfx"', "keyless.pfx: lacks the private key"),
        ('pfx = "missing.pfx"', "missing.pfx: No such file"),
        ('certificate = "curve.pem"\nprivate_key = "curve.key"', "curve.pem: the key is no RSA key"),
    ],
)
async def test_a_certificate_in_place_of_a_secret(clinic: Clinic, tmp_path: Path, keys: str, wrong: str | None) -> None:
    _, key = certificates(tmp_path, clinic.simulator)
    clinic.environ |= {"KEY": key.decode(), "WORD": "word", "WRONG": "other"}
    clinic.with_credential(f'credential = "certificate"\n{keys}')
    said = await clinic.sent_once()
    if wrong is None:
        assert said.phase is Phase.DONE, said
        return
    assert (said.phase, said.cause) == (Phase.SECRET, Cause.SECRET_UNAVAILABLE)
    assert said.reply
    assert wrong in said.reply.text
    # check says the same, of the key and its line.
    problems = check(tmp_path / "relay.toml", clinic.environ).problems
    lines = (tmp_path / "relay.toml").read_text().splitlines()
    assert [wrong.rpartition(": ")[2] in problem.text for problem in problems] == [True]
    assert lines[(problems[0].line or 0) - 1].startswith(problems[0].key.rpartition(".")[2])


@pytest.fixture
def person(clinic: Clinic) -> Clinic:
    clinic.with_credential('credential = "device_code"')
    return clinic


def login_of(clinic: Clinic) -> DeviceLogin:
    table = clinic.settings.upstream["office365"]
    return DeviceLogin("office365", table, clinic.secrets)  # type: ignore[arg-type]


async def test_signing_in_by_device_code(person: Clinic) -> None:
    said = await person.sent_once()
    assert (said.phase, said.cause) == (Phase.TOKEN, Cause.TOKEN_REFUSED)
    assert said.reply
    assert "relay login office365" in said.reply.text
    login = login_of(person)
    await asyncio.to_thread(login.begin)
    assert login.url.startswith("https://")
    assert not await asyncio.to_thread(login.poll)
    assert person.simulator.entra.device_codes.approve(login.user_code, person.simulator.mailbox)
    assert await asyncio.to_thread(login.poll)
    assert (await person.sent_once()).phase is Phase.DONE
    person.simulator.tokens.expire()
    assert (await person.sent_once()).phase is Phase.DONE
    assert person.simulator.entra.grants["refresh_token"] == 1
    person.simulator.tokens.expire()
    person.simulator.entra.revoke_refresh_tokens()
    said = await person.sent_once()
    assert (said.phase, said.cause) == (Phase.TOKEN, Cause.TOKEN_REFUSED)
    assert said.reply
    assert "AADSTS50173" in said.reply.text


async def test_an_authority_that_fails_while_somebody_signs_in(person: Clinic) -> None:
    login = login_of(person)
    await asyncio.to_thread(login.begin)
    pause = login.interval
    person.simulator.faults.set("authority_500", times=1)
    assert not await asyncio.to_thread(login.poll)
    assert login.interval > pause


async def test_a_sign_in_that_is_declined(person: Clinic) -> None:
    from relay.upstream.failures import ConversationEnded

    login = login_of(person)
    await asyncio.to_thread(login.begin)
    person.simulator.entra.device_codes.decline(login.user_code)
    with pytest.raises(ConversationEnded, match="authorization_declined"):
        await asyncio.to_thread(login.poll)
    person.simulator.faults.set("authority_discovery_down")
    with pytest.raises(ConversationEnded, match="cannot be reached"):
        await asyncio.to_thread(login_of(person).begin)


async def test_somebody_who_signs_in_while_serve_runs(person: Clinic) -> None:
    upstream = person.upstream()
    assert (await person.sent(upstream)).phase is Phase.TOKEN
    login = login_of(person)
    await asyncio.to_thread(login.begin)
    person.simulator.entra.device_codes.approve(login.user_code, person.simulator.mailbox)
    assert await asyncio.to_thread(login.poll)
    assert (await person.sent(upstream)).phase is Phase.DONE
    await upstream.aclose()
