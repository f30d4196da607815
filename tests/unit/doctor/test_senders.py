"""As whom a rehearsal is made."""

from __future__ import annotations

from typing import Any

import pytest

from relay.address import Mailbox
from relay.config.settings import Settings
from relay.doctor.senders import MOST, open_clients, senders_for

USED = (Mailbox("Lab", "clinic.test"), None, Mailbox("desk", "clinic.test"))


def _settings(clients: dict[str, Any], upstream: dict[str, Any] | None = None) -> Settings:
    given = {"type": "gmail", "username": "a@gmail.com", "app_password": {"sealed": "gmail"}}
    other = {"type": "smtp", "host": "mail.isp.test"}
    tables = {name: {"networks": ["10.0.0.0/8"], "upstream": "up"} | client for name, client in clients.items()}
    return Settings.model_validate(
        {"hostname": "relay.clinic.test", "client": tables, "upstream": {"up": upstream or given, "other": other}}
    )


@pytest.mark.parametrize(
    ("clients", "senders"),
    [
        ({}, "a@gmail.com"),
        ({"one": {"senders": ["lab@clinic.test"]}}, "a@gmail.com lab@clinic.test"),
        ({"one": {"senders": ["A@gmail.com", "@clinic.test"]}}, "a@gmail.com"),
        ({"one": {"senders": ["lab@clinic.test"], "upstream": "other"}}, "a@gmail.com"),
        ({"one": {"senders": ["lab@clinic.test"], "upstream": ["other", "up"]}}, "a@gmail.com lab@clinic.test"),
    ],
)
def test_the_account_and_what_its_clients_may_send_as(clients: dict[str, Any], senders: str) -> None:
    assert " ".join(map(str, senders_for("up", _settings(clients), ()))) == senders


def test_what_clients_have_used_comes_last_and_once() -> None:
    found = senders_for("up", _settings({"one": {"senders": ["lab@clinic.test"]}}), USED)
    assert " ".join(map(str, found)) == "a@gmail.com lab@clinic.test desk@clinic.test"


def test_where_nothing_is_known_it_is_this_machine() -> None:
    settings = _settings({}, {"type": "smtp", "host": "mail.isp.test"})
    assert [str(sender) for sender in senders_for("up", settings, (None,))] == ["relay@relay.clinic.test"]


def test_not_more_than_the_provider_puts_up_with() -> None:
    many = [Mailbox(f"s{number}", "clinic.test") for number in range(50)]
    assert len(senders_for("up", _settings({}), many)) == MOST


def test_clients_of_whom_the_settings_do_not_tell_every_sender() -> None:
    clients: dict[str, Any] = {
        "told": {"senders": ["lab@clinic.test"], "networks": ["10.0.0.0/16"]},
        "any": {},
        "domain": {"senders": ["@clinic.test"], "networks": ["10.1.0.0/16"]},
        "elsewhere": {"upstream": "other", "networks": ["10.2.0.0/16"]},
    }
    assert open_clients("up", _settings(clients)) == ("any", "domain")
