"""SMTP_* variables alone, as a Rails application has them."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from relay.config.load import PLACES, Loaded, load
from relay.config.provider_settings import GmailSettings, SmtpSettings
from relay.config.ses_settings import SesSettings

NOWHERE = PLACES[-1]
GIVEN = {"SMTP_HOST": "mail.example.test", "SMTP_USERNAME": "app", "SMTP_PASSWORD": "secret"}


def loaded(environ: Mapping[str, str]) -> Loaded:
    assert not NOWHERE.exists()
    return load(NOWHERE, environ)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, {"port": 587, "security": "starttls", "verify": "peer", "auth": "auto", "username": "app"}),
        ({"SMTP_PORT": "465"}, {"port": 465, "security": "implicit"}),
        ({"SMTP_PORT": "465", "SMTP_START_TLS": "true"}, {"port": 465, "security": "implicit"}),
        ({"SMTP_START_TLS": "false", "SMTP_PORT": "2526"}, {"port": 2526, "security": "none"}),
        ({"SMTP_START_TLS": "True"}, {"port": 587, "security": "starttls"}),
        ({"SMTP_AUTH": "cram_md5"}, {"auth": "cram-md5"}),
        ({"SMTP_AUTH": "LOGIN"}, {"auth": "login"}),
        ({"SMTP_OPENSSL_VERIFY_MODE": "none"}, {"verify": "none"}),
        ({"SMTP_OPENSSL_VERIFY_MODE": "fail_if_no_peer_cert"}, {"verify": "peer"}),
        ({"SMTP_DOMAIN": "clinic.example.test"}, {"ehlo_name": "clinic.example.test"}),
        ({"SMTP_USERNAME": "", "SMTP_PASSWORD": ""}, {"auth": "none", "username": None, "password": None}),
    ],
)
def test_an_upstream_out_of_variables(environ: dict[str, str], expected: dict[str, object]) -> None:
    found = loaded(GIVEN | environ)
    assert found.problems == ()
    assert found.settings is not None
    upstream = found.settings.upstream["smtp"]
    assert isinstance(upstream, SmtpSettings)
    assert upstream.host == "mail.example.test"
    assert {key: getattr(upstream, key) for key in expected} == expected


def test_providers_are_told_by_their_hosts() -> None:
    gmail = loaded(GIVEN | {"SMTP_HOST": "smtp.gmail.com", "SMTP_PORT": "587", "SMTP_AUTH": "plain"}).settings
    ses = loaded(GIVEN | {"SMTP_HOST": "email-smtp.ap-southeast-2.amazonaws.com", "SMTP_AUTH": "login"}).settings
    assert gmail is not None
    assert ses is not None
    assert isinstance(gmail.upstream["smtp"], GmailSettings)
    upstream = ses.upstream["smtp"]
    assert isinstance(upstream, SesSettings)
    assert upstream.region == "ap-southeast-2"


def test_the_client_is_known_by_its_network() -> None:
    found = loaded(GIVEN | {"RELAY_NETWORKS": "10.20.0.0/16, 192.168.7.4"}).settings
    assert found is not None
    client = found.client["careright"]
    assert [str(network) for network in client.networks] == ["127.0.0.0/8", "::1/128", "10.20.0.0/16", "192.168.7.4/32"]
    assert client.upstream == ("smtp",)


def test_variables_of_relay_win_over_them() -> None:
    found = loaded(GIVEN | {"RELAY__UPSTREAM__SMTP__PORT": "2525", "RELAY__HOSTNAME": "relay.clinic.test"}).settings
    assert found is not None
    assert found.upstream["smtp"].port == 2525
    assert found.hostname == "relay.clinic.test"


@pytest.mark.parametrize(
    ("environ", "variable", "cure"),
    [
        ({"SMTP_AUTH": "ntlm"}, "SMTP_AUTH", '"plain"'),
        ({"SMTP_START_TLS": "perhaps"}, "SMTP_START_TLS", '"true"'),
        ({"SMTP_OPENSSL_VERIFY_MODE": "pear"}, "SMTP_OPENSSL_VERIFY_MODE", 'write "peer"'),
        ({"SMTP_PORT": "smtp"}, "SMTP_PORT", "digits"),
        ({"RELAY_NETWORKS": "10.20.0.0/99"}, "RELAY_NETWORKS", "10.20.0.0/99"),
    ],
)
def test_a_wrong_variable_is_named_with_its_cure(environ: dict[str, str], variable: str, cure: str) -> None:
    (problem,) = loaded(GIVEN | environ).problems
    assert problem.key == variable
    assert cure in problem.text


def test_a_file_that_is_there_wins(tmp_path: Path) -> None:
    written = tmp_path / "relay.toml"
    written.write_text('[upstream."ours"]\ntype = "capture"\n[client."a"]\nnetworks = ["::1"]\nupstream = "ours"\n')
    found = load(written, GIVEN)
    assert found.settings is not None
    assert list(found.settings.upstream) == ["ours"]


def test_a_file_that_was_named_has_to_be_there(tmp_path: Path) -> None:
    (problem,) = load(tmp_path / "relay.toml", GIVEN).problems
    assert "no such file" in problem.text
