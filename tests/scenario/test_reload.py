"""What changes while a relay runs, and what must not."""

import smtplib
import socket

import pytest

from tests.rig.relay import RelayProcess
from tests.rig.script import Answer
from tests.rig.scripted import ScriptedServer
from tests.rig.toml import Value
from tests.rig.waiting import wait_until
from tests.scenario.conftest import StartRelay, plain_settings
from tests.scenario.test_relays import MESSAGE, SENDER, send


def _open(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _listeners(settings: dict[str, Value], *names: str) -> dict[str, Value]:
    return settings | {"listener": {name: {"security": "none"} for name in names}}


def _reload(relay: RelayProcess, settings: dict[str, Value]) -> None:
    count = len(relay.log("reloaded"))
    relay.write_config(settings)
    relay.reload()
    relay.wait_for_event("reloaded", count + 1)


def test_sighup_changes_listeners(provider: ScriptedServer, start_relay: StartRelay) -> None:
    settings = plain_settings(provider.port)
    relay = start_relay(_listeners(settings, "submission", "old"))
    with smtplib.SMTP("127.0.0.1", relay.port("old"), timeout=30) as connection:
        connection.ehlo()
        _reload(relay, _listeners(settings, "submission", "new"))
        wait_until(lambda: _open(relay.port("new")), "the new listener to open")
        wait_until(lambda: not _open(relay.port("old")), "the old listener to close")
        # A connection that was open lives on.
        connection.sendmail(SENDER, ["patient@example.test"], MESSAGE)
    send(relay)
    assert len(provider.wait_for(2)) == 2
    assert relay.readiness()[0] == 200


def test_a_wrong_configuration_leaves_the_old_in_force(provider: ScriptedServer, start_relay: StartRelay) -> None:
    settings = plain_settings(provider.port)
    relay = start_relay(settings)
    relay.write_config(settings | {"nonsense": {"key": 1}})
    relay.reload()
    refused = relay.wait_for_event("reload_refused")
    assert "nonsense" in refused[0]["text"]
    # An editor on a full disk leaves this.
    relay.config.write_text("")
    relay.reload()
    assert "neither clients nor upstreams" in relay.wait_for_event("reload_refused", 2)[1]["text"]
    assert relay.log("reloaded") == []
    send(relay)
    provider.wait_for(1)


def test_a_port_that_is_taken_leaves_the_old_in_force(provider: ScriptedServer, start_relay: StartRelay) -> None:
    settings = plain_settings(provider.port)
    relay = start_relay(settings)
    taken = {"security": "none", "address": f"127.0.0.1:{provider.port}"}
    relay.write_config(settings | {"listener": {"submission": {"security": "none"}, "more": taken}})
    relay.reload()
    assert "more" in relay.wait_for_event("reload_refused")[0]["text"]
    send(relay)
    provider.wait_for(1)


def test_sighup_changes_upstreams_and_clients(provider: ScriptedServer, start_relay: StartRelay) -> None:
    relay = start_relay(plain_settings(9))
    send(relay)
    with ScriptedServer() as other:
        # Mail that waited for the upstream goes to where it is now.
        _reload(relay, plain_settings(other.port))
        other.wait_for(1)
        send(relay)
        other.wait_for(2)
    settings = plain_settings(provider.port)
    settings["client"] = {"clinic": {"networks": ["192.0.2.0/24"], "upstream": "provider"}}
    _reload(relay, settings)
    with smtplib.SMTP("127.0.0.1", relay.port(), timeout=30) as connection:
        connection.ehlo()
        assert connection.mail(SENDER)[0] in {530, 550}


def test_what_needs_a_restart_is_told(provider: ScriptedServer, start_relay: StartRelay) -> None:
    settings = plain_settings(provider.port)
    relay = start_relay(settings)
    _reload(relay, settings | {"hostname": "other.clinic.test"})
    assert [line["key"] for line in relay.log("needs_restart")] == ["hostname"]
    with smtplib.SMTP("127.0.0.1", relay.port(), timeout=30) as connection:
        assert b"relay.clinic.test" in connection.ehlo()[1]


def test_another_reserve_counts_at_once(provider: ScriptedServer, start_relay: StartRelay) -> None:
    relay = start_relay(plain_settings(provider.port))
    _reload(relay, plain_settings(provider.port, reserve="1048576GiB"))
    with smtplib.SMTP("127.0.0.1", relay.port(), timeout=30) as connection:
        connection.ehlo()
        assert connection.mail(SENDER)[0] == 452
        _reload(relay, plain_settings(provider.port, reserve="1KiB"))
        assert connection.mail(SENDER)[0] == 250


def test_mail_of_an_upstream_that_is_gone_can_be_rerouted(provider: ScriptedServer, start_relay: StartRelay) -> None:
    relay = start_relay(plain_settings(9))
    send(relay)
    settings = plain_settings(9)
    settings["client"] = {"clinic": {"networks": ["127.0.0.0/8"], "upstream": "other"}}
    settings["upstream"] = {"other": {"type": "smtp", "host": "127.0.0.1", "port": provider.port, "security": "none"}}
    _reload(relay, settings)
    assert '"orphaned": [\n    "provider"\n  ]' in relay.command("status", "--json").stdout
    moved = relay.command("queue", "reroute", "--upstream", "provider", "other")
    assert (moved.returncode, moved.stdout) == (0, "1 message\n"), moved.stderr
    provider.wait_for(1)


def test_a_message_on_its_way_survives_a_change_of_its_upstream(
    provider: ScriptedServer, start_relay: StartRelay
) -> None:
    relay = start_relay(plain_settings(provider.port, retry_ambiguous="200ms"))
    # Longer than an upstream that is closed waits by itself for what it is sending.
    provider.script.then("BODY", Answer("250 2.0.0 taken at last", delay=14))
    send(relay)
    wait_until(lambda: relay.metric("relay_queue_recipients", state="in_flight") == 1, "the message to be on its way")
    with ScriptedServer() as other:
        _reload(relay, plain_settings(other.port, retry_ambiguous="200ms"))
        assert "taken at last" in relay.wait_for_event("relayed")[0]["reply"]
        send(relay)
        other.wait_for(1)
    assert len(provider.wait_for(1)) == 1
    assert relay.log("uncertain") == []


@pytest.mark.parametrize("how", ["changed", "removed and back"])
def test_an_upstream_never_has_more_connections_than_allowed(
    provider: ScriptedServer, start_relay: StartRelay, how: str
) -> None:
    settings = plain_settings(provider.port)
    upstream = settings["upstream"]["provider"]
    upstream["max_connections"] = 2
    relay = start_relay(settings)
    # While one of the two is in use the other one is kept; the answer comes long after the reload.
    provider.script.then("BODY", Answer("250 2.0.0 Ok", delay=2))
    send(relay)
    wait_until(lambda: provider.transactions, "the first message to be on its way")
    send(relay)
    provider.wait_for(1)
    if how == "changed":
        _reload(relay, settings | {"upstream": {"provider": upstream | {"session_limit": "1m"}}})
    else:
        _reload(relay, settings | {"upstream": {"other": upstream}, "client": {}})
        _reload(relay, settings)
    send(relay)
    send(relay)
    provider.wait_for(4)
    assert provider.most_connections == 2


@pytest.mark.parametrize("how", ["data", "bdat"])
def test_sighup_in_the_middle_of_a_message(provider: ScriptedServer, start_relay: StartRelay, how: str) -> None:
    relay = start_relay(_listeners(plain_settings(9), "submission", "old"))
    body = MESSAGE + b"x" * 70 + b"\r\n" * 1_500_000
    half = len(body) // 2
    with smtplib.SMTP("127.0.0.1", relay.port("old"), timeout=30) as connection:
        connection.ehlo()
        connection.mail(SENDER)
        connection.rcpt("patient@example.test")
        if how == "data":
            assert connection.docmd("DATA")[0] == 354
            connection.send(body[:half])
        else:
            connection.send(b"BDAT %d\r\n%b" % (half, body[:half]))
            assert connection.getreply()[0] == 250
        # Its listener is gone, its client has another name, its upstream another address.
        settings = _listeners(plain_settings(provider.port), "submission")
        settings["client"] = {"other": settings["client"]["clinic"]}
        _reload(relay, settings)
        last = b".\r\n" if how == "data" else b""
        connection.send((b"" if how == "data" else b"BDAT %d LAST\r\n" % (len(body) - half)) + body[half:] + last)
        code, text = connection.getreply()
        assert code == 250, text
    [arrived] = provider.wait_for(1)
    assert arrived.content.endswith(body)
    assert relay.log("error") == []
