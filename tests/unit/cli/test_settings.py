"""What `relay settings` tells each application."""

import re

import pytest

from relay.cli.output import CommandError
from relay.cli.settings import Advice, advice_for, applications, facts_of, listener_for
from relay.config.settings import Settings

CAREFUL = {
    "hostname": "relay.clinic.test",
    "listener": {
        "old": {"address": "*:2525", "security": "none"},
        "smtps": {"address": "*:465", "security": "implicit"},
        "submission": {"address": "127.0.0.1:587"},
    },
    "client": {
        "app": {"username": "app-user", "password": {"env": "P"}, "upstream": "isp"},
        "device": {"networks": ["10.0.0.0/8"], "upstream": "isp"},
    },
    "upstream": {"isp": {"type": "smtp", "host": "mail.isp.test"}},
}


def settings(**changes: object) -> Settings:
    return Settings.model_validate(CAREFUL | changes)


def advice(application: str, client: str = "app") -> Advice:
    configured = settings()
    texts = applications()[application]
    return advice_for(configured, client, listener_for(configured, configured.client[client], texts), texts)


def test_careright_s_screen_has_its_own_labels() -> None:
    fields = dict(advice("careright").fields)
    assert fields["SMTP Host"] == "127.0.0.1"
    assert fields["SMTP Port"] == "587"
    assert fields["SMTP Authentication Method"] == "cram_md5"
    assert fields["SMTP Username"] == "app-user"
    assert fields["SMTP Domain"] == "relay.clinic.test"
    assert "SMTP_HOST=127.0.0.1\n" in advice("careright").block
    assert "SMTP_OPENSSL_VERIFY_MODE=none\n" in advice("careright").block


@pytest.mark.parametrize("application", list(applications()))
@pytest.mark.parametrize("client", ["app", "device"])
def test_every_application_s_texts_can_be_filled_in(application: str, client: str) -> None:
    found = advice(application, client)
    text = " ".join(value for _, value in found.fields) + found.block
    assert "587" in text
    assert not re.search(r"\{[a-z_]+\}", text)


def test_no_password_is_ever_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("P", "very-secret")
    assert "very-secret" not in str([advice(application) for application in applications()])


def test_an_application_that_cannot_speak_implicit_tls_is_not_sent_there() -> None:
    configured = settings(listener={"smtps": {"address": "*:465", "security": "implicit"}})
    with pytest.raises(CommandError, match='"starttls" or "none"'):
        listener_for(configured, configured.client["app"], applications()["careright"])


def test_a_listener_without_auth_is_only_for_those_known_by_their_network() -> None:
    configured = settings(listener={"open": {"address": "*:25", "security": "none", "auth": []}})
    texts = applications()["other"]
    assert listener_for(configured, configured.client["device"], texts) == "open"
    with pytest.raises(CommandError):
        listener_for(configured, configured.client["app"], texts)


def test_a_listener_on_all_addresses_is_reached_by_the_host_s_name() -> None:
    assert facts_of(settings(), "app", "smtps")["host"] == "relay.clinic.test"
    assert facts_of(settings(), "app", "submission")["host"] == "127.0.0.1"


def test_a_client_without_login_has_no_mechanism() -> None:
    facts = facts_of(settings(), "device", "submission")
    assert (facts["mechanism"], facts["user"]) == (None, None)
    assert dict(advice("incisive", "device").fields)["Authentication Method"] == "SMTP Authentication required: off"


def test_python_s_lines_are_python() -> None:
    compile(advice("python").block, "block", "exec")
    compile(advice("python", "device").block, "block", "exec")


@pytest.mark.parametrize("application", ["careright", "rails", "dotnet", "java", "php", "python"])
def test_what_is_to_be_pasted_asks_for_a_login_only_where_there_is_one(application: str) -> None:
    def asks(client: str) -> bool:
        words = r"SMTP_AUTH=|user_name|NetworkCredential|smtp\.user|mechanisms|AuthType|Username|PASSWORD|login"
        return re.search(words, advice(application, client).block) is not None

    assert asks("app")
    assert not asks("device")
    assert "?" not in advice(application).block
