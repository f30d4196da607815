import stat
import time
from pathlib import Path

import pytest
from cryptography import x509

from relay.inbound import local_authority
from relay.inbound.local_authority import LocalAuthority
from relay.inbound.machine_names import dns_names, local_addresses
from relay.inbound.tls import expires_at, server_context

DAY = 86_400_000


@pytest.fixture
def authority(tmp_path: Path) -> LocalAuthority:
    return LocalAuthority.of(tmp_path)


def leaf_of(chain: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificates(chain)[0]


def test_a_leaf_for_every_name_signed_by_an_authority(authority: LocalAuthority) -> None:
    pair = authority.pair("relay.clinic.test")
    leaf, root = x509.load_pem_x509_certificates(pair.chain)
    leaf.verify_directly_issued_by(root)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(dns_names("relay.clinic.test")) == set(names.get_values_for_type(x509.DNSName))
    assert set(local_addresses()) == set(names.get_values_for_type(x509.IPAddress))
    assert {"relay.clinic.test", "localhost"} <= set(names.get_values_for_type(x509.DNSName))
    assert "127.0.0.1" in [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    now = time.time() * 1000
    assert 364 * DAY < expires_at(pair.chain) - now <= 365 * DAY
    assert 3650 * DAY < expires_at(authority.certificate.read_bytes()) - now < 3655 * DAY
    server_context(pair, "1.2")


def test_expiry_is_what_cryptography_reads(authority: LocalAuthority, monkeypatch: pytest.MonkeyPatch) -> None:
    # Beyond 2049 dates are written in another form (RFC 5280 §4.1.2.5).
    monkeypatch.setattr(local_authority, "_AUTHORITY_DAYS", 365 * 40)
    chain = authority.pair("relay.clinic.test").chain
    assert expires_at(chain) == leaf_of(chain).not_valid_after_utc.timestamp() * 1000
    root = authority.certificate.read_bytes()
    assert expires_at(root) == leaf_of(root).not_valid_after_utc.timestamp() * 1000


@pytest.mark.parametrize("chain", [b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", b"nonsense"])
def test_no_certificate(chain: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of whichever kind
        expires_at(chain)


def test_keys_are_private(authority: LocalAuthority) -> None:
    authority.pair("relay.clinic.test")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in authority.folder.iterdir()}
    assert modes == {"authority.key": 0o600, "authority.pem": 0o644, "leaf.pem": 0o600}
    assert stat.S_IMODE(authority.folder.stat().st_mode) == 0o700


def test_it_is_kept(authority: LocalAuthority) -> None:
    assert authority.pair("relay.clinic.test") == authority.pair("relay.clinic.test")


def test_another_name_gets_another_leaf_of_the_same_authority(authority: LocalAuthority) -> None:
    first = authority.pair("relay.clinic.test")
    root = authority.certificate.read_bytes()
    second = authority.pair("other.clinic.test")
    assert leaf_of(first.chain) != leaf_of(second.chain)
    assert authority.certificate.read_bytes() == root


@pytest.mark.parametrize(("days", "renewed"), [(334, False), (336, True), (400, True)])
def test_renewal(authority: LocalAuthority, monkeypatch: pytest.MonkeyPatch, days: int, renewed: bool) -> None:
    first = authority.pair("relay.clinic.test")
    later = time.time() + days * 86_400
    monkeypatch.setattr("relay.inbound.local_authority.time.time", lambda: later)
    second = authority.pair("relay.clinic.test")
    assert (first != second) is renewed
    assert expires_at(second.chain) > (later + 30 * 86_400) * 1000


@pytest.mark.parametrize("damaged", ["leaf.pem", "authority.pem", "authority.key"])
def test_what_is_missing_is_made_anew(authority: LocalAuthority, damaged: str) -> None:
    authority.pair("relay.clinic.test")
    (authority.folder / damaged).unlink()
    pair = authority.pair("relay.clinic.test")
    leaf_of(pair.chain).verify_directly_issued_by(leaf_of(authority.certificate.read_bytes()))
    server_context(pair, "1.2")


def test_a_damaged_leaf_is_made_anew(authority: LocalAuthority) -> None:
    authority.pair("relay.clinic.test")
    path = authority.folder / "leaf.pem"
    path.write_bytes(path.read_bytes()[:200])
    server_context(authority.pair("relay.clinic.test"), "1.2")


@pytest.mark.parametrize("damaged", ["authority.pem", "authority.key"])
def test_a_damaged_authority_is_named_and_not_replaced(authority: LocalAuthority, damaged: str) -> None:
    authority.pair("relay.clinic.test")
    (authority.folder / damaged).write_text("x")
    (authority.folder / "leaf.pem").unlink()
    with pytest.raises(ValueError, match="is damaged; put both back, or remove both"):
        authority.pair("relay.clinic.test")
    assert (authority.folder / damaged).read_text() == "x"
