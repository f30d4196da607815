"""The certificate that is made for Entra: its key never leaves the sealed store."""

import datetime
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from relay.cli.setup.key_pair import key_pair_of
from relay.config.certificates import mismatch, public_key_of
from relay.config.problems import ConfigError
from relay.config.seal import SealedStore

NOW = datetime.datetime(2026, 11, 22, 12, 0, tzinfo=datetime.UTC)


def test_it_is_made_once_and_found_again(tmp_path: Path) -> None:
    store = SealedStore(tmp_path, {})
    made = key_pair_of("office365", tmp_path, store, NOW)
    assert made == key_pair_of("office365", tmp_path, store, NOW + datetime.timedelta(days=1))
    assert (made.certificate, made.sealed) == (tmp_path / "office365.cer", "office365-key")
    assert made.ends == datetime.date(2028, 11, 21)

    certificate = x509.load_pem_x509_certificate(made.certificate.read_bytes())
    public = certificate.public_key()
    assert isinstance(public, RSAPublicKey)
    assert public.key_size >= 2048
    assert len(made.thumbprint) == 40
    key = store.get(made.sealed)
    assert key is not None
    assert mismatch([certificate], public_key_of(key.encode())) is None


def test_the_private_key_is_in_no_file(tmp_path: Path) -> None:
    key_pair_of("office365", tmp_path, SealedStore(tmp_path, {}), NOW)
    for path in tmp_path.iterdir():
        assert b"PRIVATE KEY" not in path.read_bytes()
        assert path.suffix == ".cer" or stat.S_IMODE(path.stat().st_mode) == 0o600


def test_before_its_end_another_one_is_made_under_another_name(tmp_path: Path) -> None:
    store = SealedStore(tmp_path, {})
    first = key_pair_of("office365", tmp_path, store, NOW)
    later = NOW + datetime.timedelta(days=720)
    second = key_pair_of("office365", tmp_path, store, later)
    assert second.certificate == tmp_path / f"office365-{first.ends}.cer"
    assert key_pair_of("office365", tmp_path, store, later + datetime.timedelta(days=9)) == second
    third = key_pair_of("office365", tmp_path, store, later + datetime.timedelta(days=720))
    assert third.certificate == tmp_path / f"office365-{second.ends}.cer"
    assert second.thumbprint != first.thumbprint
    assert first.certificate.exists()


def test_a_name_of_any_kind_becomes_a_file_of_the_folder(tmp_path: Path) -> None:
    made = key_pair_of("../a b", tmp_path, SealedStore(tmp_path, {}), NOW)
    assert made.certificate.parent == tmp_path
    assert made.certificate.exists()


def test_a_certificate_that_has_another_key_is_not_used(tmp_path: Path) -> None:
    store = SealedStore(tmp_path, {})
    key_pair_of("one", tmp_path, store, NOW)
    other = key_pair_of("two", tmp_path, store, NOW)
    (tmp_path / "one.cer").write_bytes(other.certificate.read_bytes())
    with pytest.raises(ConfigError, match="does not belong"):
        key_pair_of("one", tmp_path, store, NOW)
