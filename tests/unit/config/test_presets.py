"""What each preset sets, and what goes together."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay.config.load import load
from relay.config.presets import PRESETS, host_of
from relay.config.providers import provider_of
from relay.config.upstream_settings import UpstreamSettings

LOGIN = 'username = "u"\npassword = { env = "P" }\n'
KEYS = ("host", "port", "security", "auth", "recipients_per_message", "max_connections")


def loaded(tmp_path: Path, keys: str) -> tuple[UpstreamSettings | None, list[str]]:
    path = tmp_path / "relay.toml"
    path.write_text(f'state_dir = "{tmp_path}"\n[upstream."x"]\n{keys}\n')
    found = load(path, {"P": "p"})
    upstream = found.settings.upstream["x"] if found.settings else None
    return upstream, [f"{problem.key.rpartition('.')[2]}: {problem.text}" for problem in found.problems]


# host, port, security, auth, recipients a message, connections; other limits; whose replies it gives.
EFFECTIVE: dict[str, tuple[tuple[object, ...], dict[str, object], str]] = {
    "connector": (
        ("clinic-test.mail.protection.outlook.com", 25, "starttls", "none", 500, 10),
        {"max_message_size": 150 << 20},
        "microsoft365",
    ),
    "hve": (("smtp-hve.office365.com", 587, "starttls", "login", 50, 10), {"session_limit": 900.0}, "microsoft365"),
    "acs": (
        ("smtp.azurecomm.net", 587, "starttls", "login", 50, 10),
        {"messages_per_minute": 30, "messages_per_hour": 100, "max_message_size": 10_000_000},
        "microsoft365",
    ),
    "workspace-relay": (
        ("smtp-relay.gmail.com", 587, "starttls", "auto", 100, 10),
        {"recipients_per_day": 10000, "max_message_size": 25_000_000},
        "gmail",
    ),
    "outlook": (("smtp-mail.outlook.com", 587, "starttls", "auto", 100, 3), {}, "microsoft365"),
    "icloud": (("smtp.mail.me.com", 587, "starttls", "auto", 100, 3), {}, "smtp"),
    "yahoo": (("smtp.mail.yahoo.com", 465, "implicit", "auto", 100, 3), {}, "smtp"),
    "fastmail": (("smtp.fastmail.com", 465, "implicit", "auto", 100, 10), {}, "smtp"),
    "zoho": (("smtp.zoho.com", 465, "implicit", "auto", 100, 3), {}, "smtp"),
    "sendgrid": (("smtp.sendgrid.net", 587, "starttls", "auto", 100, 10), {}, "smtp"),
    "mailgun": (("smtp.mailgun.org", 587, "starttls", "auto", 100, 10), {}, "smtp"),
    "mailjet": (("in-v3.mailjet.com", 587, "starttls", "auto", 50, 10), {}, "smtp"),
    "brevo": (("smtp-relay.brevo.com", 587, "starttls", "auto", 50, 10), {}, "smtp"),
    "postmark": (("smtp.postmarkapp.com", 587, "starttls", "auto", 50, 10), {}, "smtp"),
}


def test_the_table_is_whole() -> None:
    assert EFFECTIVE.keys() == PRESETS.keys()


@pytest.mark.parametrize("name", EFFECTIVE)
def test_what_a_preset_sets(tmp_path: Path, name: str) -> None:
    plain, limits, provider = EFFECTIVE[name]
    upstream, problems = loaded(
        tmp_path,
        f'type = "smtp"\npreset = "{name}"\n' + ('domain = "clinic.test"\n' if name == "connector" else LOGIN),
    )
    assert (upstream is not None, problems) == (True, [])
    assert upstream is not None
    assert tuple(getattr(upstream, key) for key in KEYS) == plain
    unlimited = dict.fromkeys(("messages_per_minute", "messages_per_hour", "recipients_per_day", "max_message_size"))
    assert {key: getattr(upstream, key) for key in unlimited | limits} == unlimited | limits
    assert provider_of(upstream) == provider


@pytest.mark.parametrize(
    ("domain", "host"),
    [
        ("clinic.test", "clinic-test.mail.protection.outlook.com"),
        ("Mail.Clinic.Test", "mail-clinic-test.mail.protection.outlook.com"),
        ("north-clinic.test", None),
    ],
)
def test_the_connectors_host(domain: str, host: str | None) -> None:
    assert host_of("connector", domain) == host
    assert host_of("acs", domain) is None


CONNECTOR = 'type = "smtp"\npreset = "connector"\n'


@pytest.mark.parametrize(
    ("keys", "begins"),
    [
        (CONNECTOR, 'domain: "domain" is missing; add domain = "clinic.test"'),
        (
            CONNECTOR + 'domain = "north-clinic.test"\n',
            'host: "host" is missing; add host = the MX of north-clinic.test',
        ),
        (CONNECTOR + 'domain = "clinic"\n', 'domain: "clinic" is not a domain'),
        (CONNECTOR + 'domain = "clinic.test"\nsecurity = "none"\n', "security: impossible with the connector"),
        ('type = "smtp"\nhost = "h.test"\ndomain = "clinic.test"\n', 'domain: impossible without preset = "connector"'),
    ],
)
def test_what_does_not_go_together(tmp_path: Path, keys: str, begins: str) -> None:
    [problem] = loaded(tmp_path, keys)[1]
    assert problem.startswith(begins)


@pytest.mark.parametrize(
    "host", ["north0e-clinic.mail.protection.outlook.com", "clinic-test.p-v1.mx.microsoft", "10.0.0.1"]
)
def test_a_connector_by_its_host(tmp_path: Path, host: str) -> None:
    upstream, problems = loaded(tmp_path, f'{CONNECTOR}host = "{host}"\n')
    assert problems == []
    assert upstream is not None
    assert (upstream.host, provider_of(upstream)) == (host, "microsoft365")


@pytest.mark.parametrize(
    ("hostname", "more", "doubts"),
    [
        ("relay.local", "", 1),
        ("localhost", "", 1),
        ("relay.clinic.org", "", 0),
        ("relay.local", 'ehlo_name = "relay.clinic.org"\n', 0),
        ("relay.local", LOGIN, 0),
    ],
)
def test_the_relay_service_knows_us_by_the_name_at_ehlo(tmp_path: Path, hostname: str, more: str, doubts: int) -> None:
    path = tmp_path / "relay.toml"
    path.write_text(
        f'state_dir = "{tmp_path}"\nhostname = "{hostname}"\n'
        f'[upstream."x"]\ntype = "smtp"\npreset = "workspace-relay"\n{more}'
    )
    warnings = [warning for warning in load(path, {"P": "p"}).warnings if "tells Google nothing" in warning.text]
    assert len(warnings) == doubts


def test_the_relay_service_with_a_token(tmp_path: Path) -> None:
    keys = 'type = "gmail"\npreset = "workspace-relay"\nmailbox = "a@clinic.test"\nservice_account = { env = "P" }\n'
    upstream, problems = loaded(tmp_path, keys)
    assert problems == []
    assert upstream is not None
    assert (upstream.host, upstream.recipients_per_day, upstream.recipients_per_message) == (
        "smtp-relay.gmail.com",
        10000,
        100,
    )


def test_high_volume_email_with_a_token(tmp_path: Path) -> None:
    keys = 'type = "microsoft365"\npreset = "hve"\nmailbox = "hve@clinic.test"\ntenant = "clinic.test"\n'
    keys += 'client_id = "66666666-7777-8888-9999-000000000000"\nclient_secret = { env = "P" }\n'
    upstream, problems = loaded(tmp_path, keys)
    assert problems == []
    assert upstream is not None
    assert (upstream.host, upstream.port, upstream.security) == ("smtp-hve.office365.com", 587, "starttls")
    limits = (upstream.messages_per_minute, upstream.recipients_per_day, upstream.recipients_per_message)
    assert limits == (None, None, 50)
    assert getattr(upstream, "scope", "") == "https://outlook.office365.com/.default"
