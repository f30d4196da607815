from __future__ import annotations

import pytest

from relay.config.microsoft365_settings import Microsoft365Settings
from relay.config.provider_settings import GmailSettings, SmtpSettings
from relay.config.ses_settings import SesSettings
from relay.config.upstream_settings import UpstreamSettings
from relay.diagnosis.causes import diagnosis_for
from relay.diagnosis.names import filled, names_of

TENANT = "11111111-2222-3333-4444-555555555555"
PROXY = "http://proxy.clinic.test:3128"
APPLICATION = "66666666-7777-8888-9999-000000000000"


def _office365(**more: object) -> Microsoft365Settings:
    given = {"credential": "client_secret", "client_secret": {"sealed": "office365"}, **more}
    return Microsoft365Settings.model_validate(
        {"mailbox": "no-reply@clinic.test", "tenant": TENANT, "client_id": APPLICATION, **given}
    )


def test_names_of_this_tenant_mailbox_and_application() -> None:
    found = diagnosis_for("token_not_accepted", "535 5.7.3", names_of("office365", _office365()))
    steps = "\n".join(found.steps)
    assert f"Get-ServicePrincipal | Where-Object AppId -eq {APPLICATION}" in steps
    assert "Add-MailboxPermission -Identity no-reply@clinic.test -User OBJECT-ID" in steps
    assert steps.endswith("relay queue release --upstream office365")
    secret = diagnosis_for("token_secret", "AADSTS7000215: no", names_of("office365", _office365()))
    assert secret.steps[-1] == "Give it to the relay: relay secret set office365"
    assert secret.link == "https://login.microsoftonline.com/error?code=7000215"
    consent = diagnosis_for("token_consent", "AADSTS65001", names_of("office365", _office365()))
    assert f"/{TENANT}/adminconsent?client_id={APPLICATION}" in consent.steps[-1]


@pytest.mark.parametrize(
    ("upstream", "said"),
    [
        (_office365(), "relay secret set office365"),
        (_office365(credential="device_code", client_secret=None), "relay login up"),
        (
            GmailSettings.model_validate({"username": "a@gmail.com", "app_password": {"env": "APP"}}),
            "set the environment variable APP, and restart the relay",
        ),
        (
            SesSettings.model_validate({"username": "AKIA", "password": {"aws": "relay/ses", "key": "p"}}),
            "put it into the secret relay/ses of AWS Secrets Manager",
        ),
        (
            SmtpSettings.model_validate({"host": "x.test", "password": {"file": "/run/secrets/isp"}}),
            "write it to /run/secrets/isp",
        ),
        (SmtpSettings.model_validate({"host": "x.test", "password": {"env": "A; rm -rf /"}}), "relay secret set NAME"),
        (SmtpSettings.model_validate({"host": "x.test"}), "relay secret set NAME"),
    ],
)
def test_how_a_new_secret_is_given(upstream: UpstreamSettings, said: str) -> None:
    assert filled("{secret}", names_of("up", upstream)) == said


@pytest.mark.parametrize("sender", ["a;rm@clinic.test", '"$(reboot)"@clinic.test', "a b@clinic.test", "a'@x.test", ""])
def test_a_name_that_a_shell_would_read_otherwise_is_not_filled_in(sender: str) -> None:
    names = names_of("up", None, sender)
    assert filled("Add-RecipientPermission {sender}", names) == "Add-RecipientPermission SENDER"


def test_unknown_names_are_in_capitals() -> None:
    assert filled("{mailbox} of {tenant} by {client_id}", {}) == "MAILBOX of TENANT-ID by APPLICATION-ID"


def test_names_of_a_proxy() -> None:
    proxy = {"proxy": "socks5://[fd00::5]:1080", "proxy_username": "relay", "proxy_password": {"sealed": "way-out"}}
    names = names_of("office365", _office365(**proxy))
    text = "{proxy} {proxy_host} {proxy_port} {proxy_username}: {proxy_secret}"
    assert filled(text, names) == "socks5://[fd00::5]:1080 fd00::5 1080 relay: relay secret set way-out"
    found = diagnosis_for("proxy_login_refused", "", names_of("office365", _office365(**proxy | {"proxy": PROXY})))
    assert f"The proxy {PROXY} wants a user name and a password" in found.cause
    assert found.steps[1] == "Give the proxy's password anew: relay secret set way-out"
    assert filled(text, names_of("up", _office365())) == (
        "PROXY PROXY-HOST PROXY-PORT PROXY-USERNAME: relay secret set NAME"
    )


@pytest.mark.parametrize(
    ("upstream", "sender", "told"),
    [
        (_office365(), "lab@branch.test", "branch.test token -starttls smtp"),
        (_office365(), "", "clinic.test token -starttls smtp"),
        (
            GmailSettings.model_validate({"username": "a@gmail.com", "app_password": {"env": "A"}}),
            "",
            "gmail.com password",
        ),
        (GmailSettings.model_validate({"username": "a@gmail.com", "client_id": "x"}), "", "gmail.com token"),
        (SmtpSettings.model_validate({"host": "x.test", "security": "implicit"}), "", "DOMAIN password -crlf"),
        (SmtpSettings.model_validate({"host": "x.test", "auth": "xoauth2"}), "", "DOMAIN token"),
    ],
)
def test_what_is_known_besides(upstream: UpstreamSettings, sender: str, told: str) -> None:
    names = names_of("up", upstream, sender)
    assert f"{filled('{domain}', names)} {names['login']} {filled('{starttls}', names)}".startswith(told)
