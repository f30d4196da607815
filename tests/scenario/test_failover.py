"""Two upstreams: the first is killed, held or slow, and returns; every message arrives exactly once."""

from __future__ import annotations

import json
import re
import smtplib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.rig.relay import RelayProcess
from tests.rig.script import Answer
from tests.rig.scripted import ScriptedServer
from tests.rig.toml import Value
from tests.rig.waiting import wait_until
from tests.scenario.conftest import StartRelay

AFTER = "1500ms"
_ID = re.compile(rb"^Message-ID: <(\S+)@clinic\.test>\r$", re.MULTILINE)


@dataclass
class Pair:
    """Two providers, the first with a login."""

    first: ScriptedServer
    second: ScriptedServer

    def arrived(self) -> Counter[str]:
        """How often each message was taken, by its number, wherever."""
        return Counter(found for server in (self.first, self.second) for found in numbers(server))

    def settings(self, **upstream: Value) -> dict[str, Value]:
        smtp: dict[str, Value] = {"type": "smtp", "host": "127.0.0.1", "security": "none", "failover_after": AFTER}
        login: dict[str, Value] = {"username": "clinic", "password": {"env": "PASSWORD"}}
        return {
            "listener": {"submission": {"security": "none"}},
            "client": {"clinic": {"networks": ["127.0.0.0/8"], "upstream": ["first", "second"]}},
            "upstream": {
                "first": {**smtp, **login, "port": self.first.port, "timeout": "1s", "max_connections": 3},
                "second": {**smtp, "port": self.second.port, **upstream},
            },
            "queue": {"retry_first": "200ms", "retry_most": "1s", "jitter": 0.0, "retry_ambiguous": "1s"},
        }


def numbers(server: ScriptedServer) -> list[str]:
    """The messages that a server took."""
    return [found[1].decode() for one in server.accepted if (found := _ID.search(one.content))]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Both at work."""
    with ScriptedServer(users={"clinic": "right"}) as first, ScriptedServer() as second:
        yield Pair(first, second)


def send(relay: RelayProcess, *names: str, sender: str = "no-reply@clinic.test") -> list[str]:
    """Send messages that can be told from each other; return their IDs."""
    ids = []
    with smtplib.SMTP("127.0.0.1", relay.port(), timeout=30) as connection:
        for name in names:
            connection.ehlo_or_helo_if_needed()
            connection.mail(sender)
            connection.rcpt(f"{name}@far.test")
            content = f"From: <{sender}>\r\nMessage-ID: <{name}@clinic.test>\r\n\r\nYour result.\r\n"
            code, text = connection.data(content)
            assert code == 250, text
            ids.append(text.decode().rpartition(" ")[2])
    return ids


def some(word: str, count: int) -> list[str]:
    return [f"{word}{number}" for number in range(count)]


def detours(relay: RelayProcess) -> list[tuple[str, str, str | None]]:
    """What `relay status` says of whose mail goes another way."""
    found = json.loads(relay.command("status", "--json").stdout)["detours"]
    return [(one["client"], one["upstream"], one["by"]) for one in found]


def moves(relay: RelayProcess, id_: str) -> list[tuple[str, str]]:
    """Where a message went instead, and why."""
    [entry] = json.loads(relay.command("trace", id_, "--json").stdout)
    return [(event["upstream"], event["reply"]) for event in entry["events"] if event["event"] == "moved"]


def _killed(pair: Pair) -> None:
    pair.first.close()


def _held(pair: Pair) -> None:
    pair.first.script.always("AUTH", "535 5.7.8 Username and Password not accepted")
    pair.first.close()
    pair.first.open()


def _silent_at_the_greeting(pair: Pair) -> None:
    pair.first.script.always("CONNECT", None)
    pair.first.close()
    pair.first.open()


WHY = {
    _killed: "451 4.4.1 From first, which cannot be reached",
    _held: "451 4.3.2 From first, which is held (auth)",
    _silent_at_the_greeting: "451 4.4.1 From first, which cannot be reached",
}


@pytest.mark.parametrize("out", WHY, ids=lambda out: out.__name__.strip("_"))
def test_the_first_is_out_and_returns(out: object, pair: Pair, start_relay: StartRelay) -> None:
    assert callable(out)
    relay = start_relay(pair.settings(), {"PASSWORD": "right"})
    send(relay, *some("before", 3))
    pair.first.wait_for(3)

    out(pair)
    waiting = send(relay, *some("waiting", 25))
    [failover] = relay.wait_for_event("failover")
    assert (failover["upstream"], failover["by"]) == ("first", {"clinic": "second"})
    if out is _killed:
        assert "Mail of clinic goes by second instead of first" in relay.command("status").stdout
    else:
        assert detours(relay) == [("clinic", "first", "second")]
    send(relay, *some("meanwhile", 5))
    pair.second.wait_for(30)
    assert moves(relay, waiting[0]) == [("second", WHY[out])]
    moved = relay.log("moved")
    assert {line["id"] for line in moved} >= set(waiting)
    assert {(line["client"], line["from"], line["upstream"]) for line in moved} == {("clinic", "first", "second")}
    reason = "held" if out is _held else "unreachable"
    assert relay.metric("relay_recipients_moved_total", upstream="first", reason=reason) == 30
    assert relay.metric("relay_upstream_failover", upstream="first") == 1

    pair.first.script.well_again()
    pair.first.close()
    pair.first.open()
    relay.wait_for_event("failover_over")
    assert relay.metric("relay_upstream_failover", upstream="first") == 0
    send(relay, *some("after", 5))
    pair.first.wait_for(8)
    wait_until(lambda: sum(pair.arrived().values()) >= 38, "all of them")
    assert set(pair.arrived().values()) == {1}
    assert len(pair.arrived()) == 38
    assert {name.rstrip("0123456789") for name in numbers(pair.first)} == {"before", "after"}


def test_one_that_hangs_for_longer_than_its_mail_can_wait(pair: Pair, start_relay: StartRelay) -> None:
    """It accepts connections and says nothing, and time-outs are as they are by default: a minute."""
    _silent_at_the_greeting(pair)
    settings = pair.settings()
    settings["upstream"]["first"] |= {"timeout": "60s"}
    relay = start_relay(settings, {"PASSWORD": "right"})
    send(relay, *some("waiting", 20))
    pair.second.wait_for(17, seconds=20)
    send(relay, *some("meanwhile", 5))
    pair.second.wait_for(22, seconds=20)
    assert relay.log("relayed")[-1]["upstream"] == "second"
    assert pair.first.accepted == []
    # Those whose attempts hung: they end as the connections do.
    pair.first.close()
    pair.second.wait_for(25)
    pair.first.script.well_again()
    pair.first.open()
    relay.wait_for_event("failover_over")
    send(relay, "after")
    pair.first.wait_for(1)
    assert set(pair.arrived().values()) == {1}


def test_one_that_is_slow_and_delivers_keeps_its_mail(pair: Pair, start_relay: StartRelay) -> None:
    pair.first.script.always("BODY", Answer("250 2.0.0 Ok", delay=0.9))
    relay = start_relay(pair.settings(), {"PASSWORD": "right"})
    send(relay, *some("waiting", 9))
    pair.first.wait_for(9)
    assert relay.log("failover") == []
    assert pair.second.accepted == []


def test_people_hear_that_mail_goes_another_way(pair: Pair, start_relay: StartRelay) -> None:
    pair.first.script.always("AUTH", "535 5.7.8 No")
    relay = start_relay(pair.settings() | {"alerts": {"to": ["it@clinic.test"]}}, {"PASSWORD": "right"})
    send(relay, "any")
    wait_until(lambda: len(pair.second.accepted) == 3, "two alerts and the message")
    told = b"".join(one.content for one in pair.second.accepted)
    assert b"Subject: Relay: first is held (auth)" in told
    assert b"Subject: Relay: mail goes by second instead of first" in told
    assert b"Mail of clinic goes by second meanwhile, since first does not take it: " in told
    pair.first.script.well_again()
    wait_until(lambda: len(pair.first.accepted) + len(pair.second.accepted) == 4, "the end of it")
    [over] = [one.content for one in (*pair.first.accepted, *pair.second.accepted) if b"works again" in one.content]
    assert b"first works again (it was: auth, failover)" in over


def test_what_still_waits_goes_back(pair: Pair, start_relay: StartRelay) -> None:
    """The second is limited; so most of it is sent by the first after all, what is urgent included."""
    pair.first.close()
    relay = start_relay(pair.settings(messages_per_minute=5), {"PASSWORD": "right"})
    send(relay, *some("waiting", 30))
    pair.second.wait_for(5)
    pair.first.open()
    wait_until(lambda: len(pair.arrived()) == 30, "all of them")
    assert set(pair.arrived().values()) == {1}
    assert len(numbers(pair.second)) <= 6
    back = [line for line in relay.log("moved") if line["upstream"] == "first"]
    assert back
    assert moves(relay, back[0]["id"])[1] == ("first", "250 2.0.0 From second, since first works again")
    assert relay.metric("relay_recipients_moved_total", upstream="second", reason="well") == len(back)


@pytest.mark.parametrize("how", ["terminate", "kill"])
def test_a_restart_in_the_middle(how: str, pair: Pair, start_relay: StartRelay) -> None:
    _held(pair)
    settings = pair.settings(messages_per_minute=4)
    relay = start_relay(settings, {"PASSWORD": "right"})
    send(relay, *some("waiting", 20))
    pair.second.wait_for(4)
    relay.wait_for_event("relayed", 4)
    relay.terminate() if how == "terminate" else relay.kill()
    relay.start()
    # Held for so long already: the gate is in the spool.
    relay.wait_for_event("failover", 2)
    send(relay, *some("meanwhile", 3))
    pair.first.script.well_again()
    wait_until(lambda: len(pair.arrived()) == 23, "all of them")
    relay.wait_for_event("failover_over")
    wait_until(lambda: relay.metric("relay_queue_recipients") == 0, "the end")
    assert detours(relay) == []
    assert set(pair.arrived().values()) == {1}


def test_what_is_uncertain_and_what_may_not_be_sent_there_waits(pair: Pair, start_relay: StartRelay) -> None:
    settings = pair.settings()
    settings["upstream"]["second"] |= {
        "type": "gmail",
        "username": "no-reply@clinic.test",
        "app_password": {"env": "PASSWORD"},
        "may_send_as": ["lab@clinic.test"],
    }
    settings["client"]["clinic"]["sender_policy"] = "keep"
    pair.second.users = {"no-reply@clinic.test": "right"}
    pair.first.script.then("BODY", Answer(None, close=True))
    relay = start_relay(settings, {"PASSWORD": "right"})
    [unsure] = send(relay, "unsure")
    relay.wait_for_event("uncertain")
    pair.first.close()
    [foreign] = send(relay, "foreign", sender="other@clinic.test")
    send(relay, "own")
    send(relay, "lab", sender="lab@clinic.test")
    pair.second.wait_for(2)
    assert sorted(numbers(pair.second)) == ["lab", "own"]
    send(relay, *some("more", 3))
    pair.second.wait_for(5)
    assert moves(relay, unsure) == moves(relay, foreign) == []
    pair.first.open()
    pair.first.wait_for(2)
    assert sorted(numbers(pair.first)) == ["foreign", "unsure"]
    assert set(pair.arrived().values()) == {1}


def test_an_operator_who_holds_the_first_means_it(pair: Pair, start_relay: StartRelay) -> None:
    relay = start_relay(pair.settings(), {"PASSWORD": "right"})
    assert relay.command("queue", "hold", "--upstream", "first").returncode == 0
    ids = send(relay, *some("waiting", 3))
    pair.second.script.always("BODY", "554 5.0.0 Not by me")
    assert detours(relay) == []
    assert relay.command("queue", "reroute", ids[0], "second").returncode == 0
    relay.wait_for_event("failed")
    assert relay.command("queue", "release", "--upstream", "first").returncode == 0
    pair.first.wait_for(2)
    assert sorted(numbers(pair.first)) == ["waiting1", "waiting2"]


def test_two_share_the_load_and_stand_in_for_each_other(start_relay: StartRelay) -> None:
    with ScriptedServer() as a, ScriptedServer() as b, ScriptedServer() as spare:
        smtp: dict[str, Value] = {"type": "smtp", "host": "127.0.0.1", "security": "none", "failover_after": AFTER}
        settings: dict[str, Value] = {
            "listener": {"submission": {"security": "none"}},
            "client": {"clinic": {"networks": ["127.0.0.0/8"], "upstream": [["a", "b"], "spare"]}},
            "upstream": {
                name: {**smtp, "port": server.port} for name, server in (("a", a), ("b", b), ("spare", spare))
            },
            "queue": {"retry_first": "200ms", "retry_most": "1s", "jitter": 0.0},
        }
        relay = start_relay(settings)
        send(relay, *some("both", 20))
        a.wait_for(8)
        b.wait_for(8)
        wait_until(lambda: len(a.accepted) + len(b.accepted) == 20, "all of them")
        assert min(len(a.accepted), len(b.accepted)) >= 8
        a.close()
        before = len(b.accepted)
        send(relay, *some("one", 10))
        b.wait_for(before + 10)
        b.close()
        send(relay, *some("none", 5))
        spare.wait_for(5)
        everything = [name for server in (a, b, spare) for name in numbers(server)]
        assert sorted(everything) == sorted([*some("both", 20), *some("one", 10), *some("none", 5)])
