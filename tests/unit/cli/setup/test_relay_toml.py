"""relay.toml from answers, of every provider: it is read without a problem, and again without a change."""

import datetime
import tomllib
from pathlib import Path
from typing import Any

import pytest

from relay.cli.settings import applications
from relay.cli.setup.answers import Answers, answers_from, unused_flags
from relay.cli.setup.from_flags import FromFlags
from relay.cli.setup.present import Present
from relay.cli.setup.relay_toml import Draft, draft_of
from relay.config.document import Document, document_from
from relay.config.load import loaded_from
from relay.config.secrets import Secret
from relay.config.settings import Settings

DAY = datetime.date(2026, 11, 22)
TENANT = "11111111-2222-3333-4444-555555555555"
CLIENT = "66666666-7777-8888-9999-000000000000"
MICROSOFT = {"provider": "microsoft365", "mailbox": "no-reply@clinic.test", "tenant": TENANT, "client_id": CLIENT}
APPLICATION = {"application": "careright"}
SECRETS = {"secret": Secret("a secret"), "client_password": Secret("another")}


def answered(flags: dict[str, str], secrets: dict[str, Secret], text: str | None = None) -> tuple[Answers, Present]:
    asking = FromFlags()
    present = Present(tomllib.loads(text) if text is not None else {}, applications())
    answers = answers_from(flags, secrets, present, asking, applications())
    assert asking.problems == []
    assert unused_flags(flags, secrets, answers) == []
    return answers, present


def drafted(flags: dict[str, str], secrets: dict[str, Secret], text: str | None = None, **more: Any) -> Draft:
    answers, present = answered(flags, secrets, text)
    return draft_of(text, present, answers, more, DAY)


def settings_of(text: str) -> Settings:
    document = document_from(text.encode(), "/etc/relay/relay.toml")
    assert isinstance(document, Document)
    loaded = loaded_from(document, {})
    assert loaded.problems == ()
    assert loaded.settings is not None
    return loaded.settings


ONLY_PASSWORD = {"client_password": Secret("another")}
APP_PASSWORD = {"secret": Secret("abcd efgh ijkl mnop"), **ONLY_PASSWORD}
CERTIFICATE = {"certificate": "/var/lib/relay/office365.cer", "private_key": {"sealed": "office365-key"}}
CASES: dict[str, tuple[dict[str, str], dict[str, Secret], dict[str, Any]]] = {
    "client secret": (MICROSOFT | {"secret_expires": "2027-05-31"}, SECRETS, {}),
    "certificate": (MICROSOFT | {"credential": "certificate"}, ONLY_PASSWORD, CERTIFICATE),
    "device code": (MICROSOFT | {"credential": "device_code", "may_send_as": "a@x.test, b@x.test"}, ONLY_PASSWORD, {}),
    "app password": ({"provider": "gmail", "mailbox": "clinic@gmail.com"}, APP_PASSWORD, {}),
    "service account": (
        {"provider": "gmail", "credential": "service_account", "mailbox": "a@clinic.test"},
        SECRETS,
        {},
    ),
    "sign-in": (
        {"provider": "gmail", "credential": "sign_in", "mailbox": "a@clinic.test", "client_id": "1.apps.test"},
        SECRETS,
        {},
    ),
    "ses": (
        {"provider": "ses", "region": "ap-southeast-2", "username": "AKIA1", "senders": "@clinic.test"},
        SECRETS,
        {},
    ),
    "smtp with a login": ({"provider": "smtp", "host": "mail.isp.test", "username": "u"}, SECRETS, {}),
    "smtp without one": (
        {"provider": "smtp", "host": "mail.isp.test", "upstream_security": "none"},
        ONLY_PASSWORD,
        {},
    ),
    "capture": ({"provider": "capture"}, ONLY_PASSWORD, {}),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_right_and_stays_as_it_is(case: str) -> None:
    flags, secrets, more = CASES[case]
    draft = drafted(APPLICATION | flags, secrets, **more)
    settings = settings_of(draft.text)
    [upstream] = settings.upstream.values()
    assert upstream.type == flags["provider"]
    if "mailbox" in flags:
        assert upstream.account == flags["mailbox"]
    assert settings.client["careright"].username == "careright"
    assert sorted(draft.sealed.values()) == sorted([next(iter(settings.upstream)), "careright"][2 - len(secrets) :])
    assert all(secret not in draft.text for secret in secrets.values())
    assert drafted({}, {}, draft.text).text == draft.text


def test_a_port_is_the_usual_one_of_the_encryption() -> None:
    for security, port in (("starttls", 587), ("implicit", 465), ("none", 25)):
        flags = {"provider": "smtp", "host": "mail.isp.test", "upstream_security": security, **APPLICATION}
        assert settings_of(drafted(flags, ONLY_PASSWORD).text).upstream["isp"].port == port


def test_a_client_is_known_by_its_network() -> None:
    flags = {"provider": "capture", "application": "other", "access": "network", "networks": "10.0.0.0/8, 10.0.0.0/24"}
    client = settings_of(drafted(flags, {}).text).client["other"]
    assert (client.username, len(client.networks)) == (None, 2)


def test_the_other_way_of_being_known_is_taken_away() -> None:
    by_login = drafted({"provider": "capture", **APPLICATION}, ONLY_PASSWORD).text
    by_network = drafted({"access": "network"}, {}, by_login).text
    client = settings_of(by_network).client["careright"]
    assert (client.username, client.password, len(client.networks)) == (None, None, 1)
    again = settings_of(drafted({"access": "login"}, ONLY_PASSWORD, by_network).text).client["careright"]
    assert (again.username, again.networks) == ("careright", ())


def test_another_credential_leaves_nothing_of_the_one_before() -> None:
    text = drafted(APPLICATION | MICROSOFT | {"secret_expires": "2027-05-31"}, SECRETS).text
    settings_of(drafted({"credential": "certificate"}, {}, text, **CERTIFICATE).text)
    settings_of(drafted({"credential": "device_code"}, {}, text).text)


def test_another_provider_gets_a_table_of_its_own() -> None:
    text = drafted(APPLICATION | MICROSOFT, SECRETS).text
    both = settings_of(drafted(CASES["ses"][0], {"secret": Secret("x")}, text).text)
    assert set(both.upstream) == {"office365", "ses"}
    assert both.client["careright"].upstream == ("ses",)


def test_a_list_of_upstreams_stays_where_the_provider_is_in_it() -> None:
    text = drafted(APPLICATION | MICROSOFT, SECRETS).text
    text = drafted(CASES["ses"][0], {"secret": Secret("x")}, text).text
    text = text.replace('upstream = "ses"', 'upstream = ["office365", "ses"]')
    assert settings_of(drafted({"provider": "ses"}, {}, text).text).client["careright"].upstream == ("office365", "ses")


@pytest.mark.parametrize(
    ("application", "listen", "security"),
    [
        ("careright", "127.0.0.1:2525", "starttls"),
        ("incisive", "*:465", "implicit"),
        ("careright", "*:465", "starttls"),
        ("incisive", "*:587", "starttls"),
    ],
)
def test_the_listener_suits_what_the_application_can_do(application: str, listen: str, security: str) -> None:
    flags = {"provider": "capture", "application": application, "listen": listen}
    [listener] = settings_of(drafted(flags, ONLY_PASSWORD).text).listener.values()
    assert (str(listener.address), listener.security) == (listen, security)


def test_what_an_application_cannot_do_is_refused() -> None:
    asking = FromFlags()
    flags = {"provider": "capture", "application": "dotnet", "security": "implicit"}
    answers_from(flags, ONLY_PASSWORD, Present({}, applications()), asking, applications())
    assert asking.problems == ['--security: "implicit" is no choice; type one of: starttls, none']


def test_several_addresses_are_several_listeners_and_those_there_stay() -> None:
    flags = {"provider": "capture", "application": "other", "listen": "*:587, *:465, 127.0.0.1:25"}
    text = drafted(flags, ONLY_PASSWORD).text.replace('address = "*:465"', 'max_connections = 7\naddress = "*:465"')
    listeners = settings_of(text).listener
    assert {str(one.address): one.security for one in listeners.values()} == {
        "*:587": "starttls",
        "*:465": "implicit",
        "127.0.0.1:25": "starttls",
    }
    assert drafted({"listen": "*:587, *:465"}, {}, text).text == text


def test_all_that_is_missing_is_said_at_once() -> None:
    asking = FromFlags()
    answers_from({"provider": "microsoft365", "tenant": "x"}, {}, Present({}, applications()), asking, applications())
    options = [problem.split(":")[0] for problem in asking.problems]
    assert options == ["--mailbox", "--tenant", "--client-id", "--secret-file", "--client-password-file"]


def test_a_flag_without_a_question_is_not_passed_over() -> None:
    asking, flags = FromFlags(), {"provider": "capture", "region": "eu-west-1", "tenant": TENANT}
    answers = answers_from(flags, ONLY_PASSWORD, Present({}, applications()), asking, applications())
    assert unused_flags(flags, ONLY_PASSWORD, answers) == ["--region", "--tenant"]


def test_a_secret_s_place_is_kept_and_two_secrets_of_one_name_are_told_apart() -> None:
    flags = {"provider": "smtp", "host": "mail.isp.test", "username": "u", "upstream": "same", "client": "same"}
    draft = drafted(flags | {"application": "other"}, SECRETS)
    assert sorted(draft.sealed.values()) == ["same", "same-password"]
    text = draft.text.replace('sealed = "same-password"', 'sealed = "of-old"')
    assert drafted({}, ONLY_PASSWORD, text).sealed == {"client_password": "of-old"}


def test_the_example_of_every_key_is_kept_but_for_what_was_asked(tmp_path: Path) -> None:
    example = (Path(__file__).parents[4] / "docs" / "relay.example.toml").read_text("utf-8")
    draft = drafted({"alerts_to": "new@clinic.test"}, {}, example)
    changed = [line for line in draft.text.splitlines() if line not in example.splitlines()]
    assert len(changed) == 1, changed
    assert changed[0].startswith('to = ["new@clinic.test"]')


def test_a_file_of_another_form_is_refused_with_words() -> None:
    with pytest.raises(ValueError, match="table"):
        drafted({"provider": "capture", **APPLICATION}, ONLY_PASSWORD, "[[listener]]\n")
