import datetime
import json
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

from relay.config.certificates import chain_in, out_of_force
from relay.config.references import watched_files
from relay.config.seal import STORE, SealedStore
from relay.config.whole import Report, check, whole
from tests.unit.config.written import GOOD, loaded, settings

EVERY_KEY = Path(__file__).with_name("every_key.toml")
ENVIRON = {
    "CARERIGHT_PASSWORD": "x",
    "PROXY_PASSWORD": "x",
    "ISP_PASSWORD": "x",
    "RELAY_DB_PASSWORD": "x",
    "ALERT_WEBHOOK": "https://hook.test/",
    "M365_PASSPHRASE": "passphrase",
}


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def key_and_chain(
    authority: trustme.CA, name: str = "relay.test", key_type: trustme.KeyType = trustme.KeyType.ECDSA
) -> tuple[bytes, bytes]:
    issued = authority.issue_cert(name, key_type=key_type)
    return issued.private_key_pem.bytes(), b"".join(blob.bytes() for blob in issued.cert_chain_pems)


def report(folder: Path, text: str, environ: dict[str, str] | None = None) -> Report:
    (folder / "relay.toml").write_text(f"state_dir = 'state'\n{text}\n")
    return check(folder / "relay.toml", {"APP_PASSWORD": "x"} | (environ or {}))


def lines(found: Report) -> list[tuple[int | None, str, str]]:
    return [(problem.line, problem.key, problem.text) for problem in found.problems]


def furnish(folder: Path, authority: trustme.CA) -> None:
    """Puts beside every_key.toml all that it refers to."""
    key, chain = key_and_chain(authority, key_type=trustme.KeyType.RSA)
    private_key = load_pem_private_key(key, None)
    certificate = load_pem_x509_certificate(chain)
    encryption = BestAvailableEncryption(b"passphrase")
    sealed_key = private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    pfx = pkcs12.serialize_key_and_certificates(b"m365", private_key, certificate, None, NoEncryption())  # type: ignore[arg-type]
    files = {
        "relay.toml": EVERY_KEY.read_bytes(),
        "tls/chain.pem": chain,
        "tls/key.pem": key,
        "ca.pem": authority.cert_pem.bytes(),
        "disclaimer.html": b"<p>In confidence.</p>",
        "m365.pem": chain,
        "m365.key": sealed_key,
        "m365.pfx": pfx,
        "google.json": json.dumps(
            {
                "type": "service_account",
                "client_email": "relay@practice.iam.gserviceaccount.com",
                "private_key": key.decode(),
                "token_uri": "https://oauth2.googleapis.com/token",
            }
        ).encode(),
        "client.pem": chain + key,
    }
    (folder / "tls").mkdir()
    for name, octets in files.items():
        (folder / name).write_bytes(octets)
    store = SealedStore(folder / "state", {})
    store.set("office365", "x")
    store.set("gmail", "x")


def test_a_configuration_with_all_that_it_refers_to_is_in_order(tmp_path: Path, authority: trustme.CA) -> None:
    furnish(tmp_path, authority)
    found = check(tmp_path / "relay.toml", ENVIRON)
    assert found.problems == ()
    assert found.ok


def test_all_that_is_missing_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "relay.toml").write_bytes(EVERY_KEY.read_bytes())
    assert check(tmp_path / "relay.toml", {}, form_only=True).ok
    found = check(tmp_path / "relay.toml", {})
    assert [problem.key for problem in found.problems] == [
        "tls.certificate",
        "tls.private_key",
        "client.careright.password",
        "client.careright.disclaimer_html.file",
        "upstream.office365.client_secret",
        "upstream.office365.ca_file",
        "upstream.office365.proxy_password",
        "upstream.by-certificate.certificate",
        "upstream.by-certificate.private_key",
        "upstream.by-certificate.passphrase",
        "upstream.by-pfx.pfx",
        "upstream.gmail.app_password",
        "upstream.workspace.service_account",
        "upstream.by-user.client_secret",
        "upstream.by-user.refresh_token",
        "upstream.ses-api.secret_access_key",
        "upstream.isp.password",
        "upstream.isp.client_certificate",
        "queue.password",
        "alerts.webhook",
    ]
    assert all(problem.line and "; " in problem.text for problem in found.problems)
    assert not (tmp_path / "state").exists()


def test_what_is_missing_is_told_besides_what_is_wrong(tmp_path: Path) -> None:
    text = GOOD.replace('host = "mail', 'hots = "mail')
    (tmp_path / "relay.toml").write_text(text)
    found = check(tmp_path / "relay.toml", {})
    assert [(problem.line, problem.key) for problem in found.problems] == [
        (4, "client.app.password"),
        (7, "upstream.isp.host"),
        (9, "upstream.isp.hots"),
    ]
    both = loaded(tmp_path, text)
    assert [problem.key for problem in whole(both, {}).problems if problem not in both.problems] == [
        "client.app.password"
    ]


TLS = '[tls]\ncertificate = "chain.pem"\nprivate_key = "key.pem"\n'
OTHER_KEY = "the private key does not belong to the certificate; name the key with which it was requested"


def test_a_key_that_is_not_the_certificates(tmp_path: Path, authority: trustme.CA) -> None:
    (tmp_path / "chain.pem").write_bytes(key_and_chain(authority)[1])
    other = key_and_chain(authority)[0]
    (tmp_path / "key.pem").write_bytes(other)
    assert lines(report(tmp_path, TLS + GOOD)) == [(4, "tls.private_key", OTHER_KEY)]
    by_secret = TLS.replace('"key.pem"', '{ env = "KEY" }')
    assert lines(report(tmp_path, by_secret + GOOD, {"KEY": other.decode()})) == [(4, "tls.private_key", OTHER_KEY)]


def test_certificate_and_key_that_are_none(tmp_path: Path, authority: trustme.CA) -> None:
    key, chain = key_and_chain(authority)
    (tmp_path / "chain.pem").write_bytes(key)
    (tmp_path / "key.pem").write_bytes(chain)
    [certificate, private_key] = lines(report(tmp_path, TLS + GOOD))
    assert certificate[:2] == (3, "tls.certificate")
    assert "holds no certificate in PEM; name the PEM file" in certificate[2]
    assert private_key[:2] == (4, "tls.private_key")
    assert "holds no private key in PEM that can be read; name the PEM file" in private_key[2]


def test_a_chain_in_the_wrong_order(tmp_path: Path, authority: trustme.CA) -> None:
    key, chain = key_and_chain(authority)
    (tmp_path / "chain.pem").write_bytes(authority.cert_pem.bytes() + chain)
    (tmp_path / "key.pem").write_bytes(key)
    [(_, _, said)] = lines(report(tmp_path, TLS + GOOD))
    assert said == "the certificate of this private key is not the first of the file; put it before its chain"


def test_an_encrypted_key_without_passphrase(tmp_path: Path, authority: trustme.CA) -> None:
    key, chain = key_and_chain(authority)
    encrypted = load_pem_private_key(key, None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")
    )
    (tmp_path / "chain.pem").write_bytes(chain)
    (tmp_path / "key.pem").write_bytes(encrypted)
    [(line, key_name, said)] = lines(report(tmp_path, TLS + GOOD))
    assert (line, key_name) == (4, "tls.private_key")
    assert "is encrypted; set passphrase where there is such a key, else take it off" in said


def test_a_wrong_passphrase_of_a_pfx(tmp_path: Path, authority: trustme.CA) -> None:
    furnish(tmp_path, authority)
    text = EVERY_KEY.read_text().replace(
        'pfx = "m365.pfx"', 'pfx = "m365.pfx"\npassphrase = { env = "M365_PASSPHRASE" }'
    )
    (tmp_path / "relay.toml").write_text(text)
    [problem] = check(tmp_path / "relay.toml", ENVIRON).problems
    assert problem.key == "upstream.by-pfx.pfx"
    assert "has another passphrase" in problem.text


BY_CERTIFICATE = """
[upstream."m"]
type = "microsoft365"
mailbox = "no-reply@practice.test"
tenant = "practice.test"
client_id = "66666666-7777-8888-9999-000000000000"
"""


@pytest.mark.parametrize(
    ("keys", "key"),
    [('certificate = "m.pem"\nprivate_key = "m.key"', "certificate"), ('pfx = "m.pfx"', "pfx")],
)
@pytest.mark.parametrize("key_type", [trustme.KeyType.RSA, trustme.KeyType.ECDSA])
def test_an_applications_certificate(tmp_path: Path, keys: str, key: str, key_type: trustme.KeyType) -> None:
    ended = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
    issued = trustme.CA(key_type=key_type).issue_cert("relay.test", key_type=key_type, not_after=ended)
    pem, private_key = issued.cert_chain_pems[0].bytes(), issued.private_key_pem.bytes()
    certificate, loaded_key = load_pem_x509_certificate(pem), load_pem_private_key(private_key, None)
    pfx = pkcs12.serialize_key_and_certificates(b"m", loaded_key, certificate, None, NoEncryption())  # type: ignore[arg-type]
    for name, octets in {"m.pem": pem, "m.key": private_key, "m.pfx": pfx}.items():
        (tmp_path / name).write_bytes(octets)
    found = report(tmp_path, GOOD + BY_CERTIFICATE + keys)
    [warning] = found.warnings
    assert (warning.line, warning.key) == (17, f"upstream.m.{key}")
    assert warning.text == "the certificate ended on 2001-01-01; renew it"
    wrong = [(line, name, said.partition("; ")[0]) for line, name, said in lines(found)]
    curve = f"{tmp_path}/m.{'pem' if key == 'certificate' else 'pfx'}: the key is no RSA key, and Entra takes no other"
    assert wrong == ([(17, f"upstream.m.{key}", curve)] if key_type is trustme.KeyType.ECDSA else [])


def test_authorities_and_client_certificates_are_read(tmp_path: Path, authority: trustme.CA) -> None:
    (tmp_path / "ca.pem").write_text("no PEM")
    (tmp_path / "client.pem").write_bytes(key_and_chain(authority)[1])
    found = lines(report(tmp_path, GOOD + 'ca_file = "ca.pem"\nclient_certificate = "client.pem"\n'))
    assert [(line, key) for line, key, _ in found] == [
        (11, "upstream.isp.ca_file"),
        (12, "upstream.isp.client_certificate"),
    ]
    assert "holds no certificate" in found[0][2]
    assert "holds no private key" in found[1][2]


def test_a_folder_in_a_files_place(tmp_path: Path) -> None:
    [(line, key, said)] = lines(report(tmp_path, GOOD + 'ca_file = "."\n'))
    assert (line, key, said) == (11, "upstream.isp.ca_file", f"{tmp_path}: this is a folder; name the file in it")


def test_a_file_that_cannot_even_be_looked_for(tmp_path: Path) -> None:
    # As in a folder that may not be searched, but for root too: the system refuses to look.
    found = report(tmp_path, f"[tls]\ncertificate = '{'x' * 300}'\nprivate_key = '{'y' * 300}'")
    assert [(line, key) for line, key, _ in lines(found)] == [(3, "tls.certificate"), (4, "tls.private_key")]
    assert all("File name too long" in text for _, _, text in lines(found))


def test_a_sealed_store_that_cannot_be_opened(tmp_path: Path) -> None:
    SealedStore(tmp_path / "state", {}).set("app", "x")
    (tmp_path / "state/seal.key").unlink()
    text = GOOD.replace('{ env = "APP_PASSWORD" }', '{ sealed = "app" }')
    [(line, key, said)] = lines(report(tmp_path, text))
    assert (line, key) == (5, "client.app.password")
    assert "its key is missing; bring back" in said


def test_a_seal_key_that_is_none_is_told_though_nothing_is_sealed_yet(tmp_path: Path) -> None:
    [(line, key, said)] = lines(report(tmp_path, GOOD, {"RELAY_SEAL_KEY": "rubbish"}))
    assert (line, key) == (1, "state_dir")
    assert said.startswith("RELAY_SEAL_KEY: not a key; it is 32 octets in base64")


def test_a_certificate_out_of_force_is_a_warning(authority: trustme.CA) -> None:
    chain = chain_in(key_and_chain(authority)[1])
    late = datetime.datetime(9999, 1, 1, tzinfo=datetime.UTC)
    early = datetime.datetime(1999, 1, 1, tzinfo=datetime.UTC)
    assert out_of_force(chain, datetime.datetime.now(datetime.UTC)) is None
    assert "; renew it" in (out_of_force(chain, late) or "")
    assert "clock" in (out_of_force(chain, early) or "")


def test_an_expired_certificate_does_not_fail_the_check(tmp_path: Path) -> None:
    expired = trustme.CA().issue_cert("relay.test", not_after=datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC))
    (tmp_path / "chain.pem").write_bytes(expired.cert_chain_pems[0].bytes())
    (tmp_path / "key.pem").write_bytes(expired.private_key_pem.bytes())
    found = report(tmp_path, TLS + GOOD)
    assert found.ok
    assert [(warning.line, warning.key, warning.text) for warning in found.warnings] == [
        (3, "tls.certificate", "the certificate ended on 2001-01-01; renew it")
    ]


def test_the_files_to_watch(tmp_path: Path) -> None:
    (tmp_path / "relay.toml").write_bytes(EVERY_KEY.read_bytes())
    got = settings(tmp_path, EVERY_KEY.read_text())
    names = [file.relative_to(tmp_path).as_posix() for file in watched_files(got)]
    assert names == [
        "ca.pem",
        "client.pem",
        "disclaimer.html",
        "google.json",
        "m365.key",
        "m365.pem",
        "m365.pfx",
        f"state/{STORE}",
        "tls/chain.pem",
        "tls/key.pem",
    ]
