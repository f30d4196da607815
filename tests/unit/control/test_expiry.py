"""What is known of the days on which secrets, certificates and sign-ins end."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from relay.config.microsoft365_settings import Microsoft365Settings
from relay.config.provider_settings import GmailSettings
from relay.config.seal import SealedStore
from relay.config.secrets import Secrets
from relay.config.settings import Settings
from relay.control.expiry import Expiry, expiries, soonest_first
from relay.upstream.google_tokens import google_purpose
from relay.upstream.microsoft import token_purpose
from relay.upstream.token_store import AccessToken, TokenRecord, TokenStore
from tests.rig.certificate import CertificateAuthority

DAY = 86_400_000
OBTAINED_AT = 1_700_000_000_000
MICROSOFT: dict[str, Any] = {
    "type": "microsoft365",
    "mailbox": "no-reply@clinic.test",
    "tenant": "11111111-2222-3333-4444-555555555555",
    "client_id": "66666666-7777-8888-9999-000000000000",
}
GMAIL: dict[str, Any] = {"type": "gmail", "username": "clinic@gmail.com"}


class Clinic:
    """Settings in a folder, with a sealed store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = SealedStore(folder, {})
        self.secrets = Secrets({"P": "x"}, self.store)
        self.settings = Settings.model_validate({"hostname": "relay.clinic.test"})

    def found(self, **upstreams: dict[str, Any]) -> list[Expiry]:
        """What ends where these are the upstreams."""
        self.configure(**upstreams)
        return expiries(self.settings, self.secrets)

    def configure(self, **upstreams: dict[str, Any]) -> None:
        self.settings = Settings.model_validate(
            {"hostname": "relay.clinic.test", "state_dir": str(self.folder), "upstream": upstreams}
        )

    def sign_in(self, name: str, purpose: str) -> None:
        record = TokenRecord(purpose, AccessToken("t", OBTAINED_AT, OBTAINED_AT + 3_600_000), '{"refresh_token": "r"}')
        TokenStore(self.store, name, purpose).save(record)


@pytest.fixture
def clinic(tmp_path: Path) -> Clinic:
    return Clinic(tmp_path)


def test_a_client_secret_with_its_day(clinic: Clinic) -> None:
    before = time.time_ns() // 1_000_000
    clinic.store.set("office", "x")
    day = datetime(2027, 5, 31, tzinfo=UTC)
    [found] = clinic.found(office=MICROSOFT | {"client_secret": {"sealed": "office"}, "client_secret_expires": day})
    assert (found.what, found.kind, found.upstream) == ("upstream.office", "client_secret", "office")
    assert found.expires_at == int(day.timestamp() * 1000)
    assert found.set_at is not None
    assert before <= found.set_at <= time.time_ns() // 1_000_000


@pytest.mark.parametrize("place", [{"env": "P"}, {"sealed": "missing"}, {"file": "/missing"}, {"aws": "x"}])
def test_a_secret_of_which_nothing_is_known(clinic: Clinic, place: dict[str, str]) -> None:
    found = clinic.found(office=MICROSOFT | {"client_secret": place}, gmail=GMAIL | {"app_password": place})
    assert found == [
        Expiry("upstream.office", "client_secret", None, "office"),
        Expiry("upstream.gmail", "app_password", None, "gmail"),
    ]


def test_the_age_of_a_secret_in_a_file(clinic: Clinic) -> None:
    file = clinic.folder / "password"
    file.write_text("x")
    os.utime(file, (1_600_000_000, 1_600_000_000))
    [found] = clinic.found(gmail=GMAIL | {"app_password": {"file": str(file)}})
    assert found == Expiry("upstream.gmail", "app_password", None, "gmail", 1_600_000_000_000)


def test_a_sign_in_lasts_for_as_long_as_it_may_lie_unused(clinic: Clinic) -> None:
    tables: dict[str, dict[str, Any]] = {
        "office": MICROSOFT | {"credential": "device_code"},
        "gmail": GMAIL | {"client_id": "c", "client_secret": {"env": "P"}},
        "nobody": MICROSOFT | {"credential": "device_code"},
        "elsewhere": GMAIL | {"client_id": "c", "client_secret": {"env": "P"}, "refresh_token": {"env": "P"}},
    }
    assert clinic.found(**tables) == []
    office, gmail = clinic.settings.upstream["office"], clinic.settings.upstream["gmail"]
    assert isinstance(office, Microsoft365Settings)
    assert isinstance(gmail, GmailSettings)
    clinic.sign_in("office", token_purpose(office))
    clinic.sign_in("gmail", google_purpose(gmail))
    clinic.sign_in("elsewhere", google_purpose(gmail))
    assert clinic.found(**tables) == [
        Expiry("upstream.office", "sign_in", OBTAINED_AT + 90 * DAY, "office"),
        Expiry("upstream.gmail", "sign_in", OBTAINED_AT + 180 * DAY, "gmail"),
    ]


def test_certificates_of_upstreams(clinic: Clinic) -> None:
    leaf = CertificateAuthority(clinic.folder / "ca").leaf(days=5)
    smtp: dict[str, Any] = {"type": "smtp", "host": "mail.isp.test"}
    found = clinic.found(
        isp=smtp | {"client_certificate": str(leaf.certificate)},
        broken=smtp | {"client_certificate": str(leaf.private_key)},
        gone=smtp | {"client_certificate": str(clinic.folder / "gone.pem")},
        office=MICROSOFT
        | {"credential": "certificate", "certificate": str(leaf.certificate), "private_key": str(leaf.private_key)},
        pfx=MICROSOFT | {"credential": "certificate", "pfx": str(leaf.certificate)},
    )
    assert [(one.what, one.kind, one.upstream) for one in found] == [
        ("upstream.isp", "certificate", "isp"),
        ("upstream.office", "certificate", "office"),
    ]
    left = (found[0].expires_at or 0) / 1000 - time.time()
    assert 4.9 * 86400 < left <= 5 * 86400


def test_the_soonest_come_first_and_the_unknown_last() -> None:
    order = [Expiry("a", "certificate", 1), Expiry("b", "certificate", 2), Expiry("c", "app_password", None)]
    assert soonest_first(order[::-1]) == order
