"""A message that the provider would not take is refused when it is announced, with the provider's limit named."""

import smtplib

import pytest

from tests.rig.relay import RelayProcess
from tests.rig.scripted import ScriptedServer
from tests.rig.toml import Value
from tests.scenario.conftest import StartRelay, plain_settings
from tests.scenario.test_relays import send

_SENDER = "no-reply@clinic.test"


def _announced(relay: RelayProcess, size: int) -> tuple[int, str]:
    with smtplib.SMTP("127.0.0.1", relay.port(), timeout=30) as connection:
        connection.ehlo()
        code, text = connection.mail(_SENDER, [f"SIZE={size}"])
        return code, text.decode()


def _sent(relay: RelayProcess, octets: int) -> tuple[int, str]:
    """A message whose size nobody announced."""
    with smtplib.SMTP("127.0.0.1", relay.port(), timeout=30) as connection:
        connection.helo()
        connection.mail(_SENDER)
        connection.rcpt("patient@example.test")
        lines = "x" * 78 + "\r\n"
        code, text = connection.data(f"From: <{_SENDER}>\r\n\r\n{lines * (octets // 80)}".encode())
        return code, text.decode()


def test_the_limit_is_learned_from_the_provider(start_relay: StartRelay) -> None:
    with ScriptedServer(extensions=("SIZE 50000", "8BITMIME")) as provider:
        relay = start_relay(plain_settings(provider.port))
        assert _announced(relay, 60_000)[0] == 250, "nobody knows yet"
        send(relay)
        provider.wait_for(1)
        code, text = _announced(relay, 60_000)
        assert (code, text[:6]) == (552, "5.3.4 ")
        assert "provider takes at most 50000 octets;" in text
        assert _announced(relay, 40_000)[0] == 250
        assert _sent(relay, 60_000)[0] == 552
        assert _sent(relay, 40_000)[0] == 250
        provider.wait_for(2)
        assert relay.metric("relay_messages_refused_total", listener="submission", reason="size") == 2
        assert relay.log("failed") == []


@pytest.mark.parametrize("first", ["small", "large"])
def test_a_message_goes_by_the_upstream_that_takes_it(start_relay: StartRelay, first: str) -> None:
    with ScriptedServer() as small, ScriptedServer() as large:
        settings = plain_settings(9)
        plain: dict[str, Value] = {"type": "smtp", "host": "127.0.0.1", "security": "none"}
        settings["upstream"] = {
            "small": plain | {"port": small.port, "max_message_size": "50KB"},
            "large": plain | {"port": large.port, "max_message_size": "100KB"},
        }
        order = ["small", "large"] if first == "small" else ["large", "small"]
        settings["client"] = {"clinic": {"networks": ["127.0.0.0/8"], "upstream": order}}
        relay = start_relay(settings)
        assert _sent(relay, 60_000)[0] == 250
        large.wait_for(1)
        assert not small.transactions
        code, text = _announced(relay, 200_000)
        assert (code, "large takes at most 100000 octets" in text) == (552, True)
