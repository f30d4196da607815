"""Tokens of every kind of credential at Dovecot, which judges them by itself: how many, and what failures cost."""

import json
import smtplib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from relay.simulator.options import Options
from tests.rig.authority import TokenAuthority
from tests.rig.certificate import Leaf
from tests.rig.credential_kinds import KINDS, Cloud, Kind, client_secret
from tests.rig.dovecot import DovecotSubmission
from tests.rig.relay import RelayProcess
from tests.rig.scripted import ScriptedServer
from tests.rig.toml import Value
from tests.rig.waiting import wait_until

pytestmark = pytest.mark.peer

_SENDER = "no-reply@clinic.test"
_CONTENT = b"From: <no-reply@clinic.test>\r\nSubject: x\r\n\r\nHello\r\n"
_DOWN = ("authority_down", "managed_identity_down", "google_down")


@dataclass(slots=True)
class Provider:
    """A token authority, Dovecot which believes it, and where the mail ends."""

    authority: TokenAuthority
    dovecot: DovecotSubmission
    beyond: ScriptedServer
    sent: int = 0

    @property
    def cloud(self) -> Cloud:
        return self.authority.cloud(self.dovecot.port)

    def arrived(self) -> None:
        """Everything that was sent has come, once."""
        self.beyond.wait_for(self.sent, seconds=60)
        assert len(self.beyond.accepted) == self.sent

    def revoke(self) -> None:
        """Refuse the tokens given so far."""
        self.authority.revoke()
        self.dovecot.restart()

    def send(self, relay: RelayProcess, count: int = 1) -> None:
        with smtplib.SMTP("127.0.0.1", relay.port(), timeout=30) as connection:
            for _ in range(count):
                assert connection.sendmail(_SENDER, ["patient@example.test"], _CONTENT) == {}
        self.sent += count


@pytest.fixture
def provider(leaf: Leaf) -> Iterator[Provider]:
    with _provided(leaf) as provider:
        yield provider


@contextmanager
def _provided(leaf: Leaf, mechanisms: str = "xoauth2 oauthbearer") -> Iterator[Provider]:
    with (
        TokenAuthority(leaf, Options(device_code_approval="automatic")) as authority,
        ScriptedServer() as beyond,
        DovecotSubmission(leaf=leaf, authority=authority, relay_port=beyond.port, mechanisms=mechanisms) as dovecot,
    ):
        yield Provider(authority, dovecot, beyond)


def _settings(kind: Kind, **more: Value) -> dict[str, Value]:
    return {
        "listener": {"submission": {"security": "none"}},
        "client": {"careright": {"networks": ["127.0.0.0/8"], "upstream": "provider"}},
        "upstream": {"provider": kind.keys | more},
        "queue": {"retry_first": "200ms", "retry_most": "1s", "jitter": 0.0},
    }


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_of_credential(provider: Provider, tmp_path: Path, name: str) -> None:
    cloud, authority = provider.cloud, provider.authority
    kind = KINDS[name](cloud, tmp_path)
    with RelayProcess(tmp_path / "relay", _settings(kind), kind.environ) as relay:
        if kind.signs_in:
            signed_in = relay.command("login", "provider")
            assert signed_in.returncode == 0, signed_in.stderr
        already = cloud.token_requests
        if not kind.signs_in:
            for fault in _DOWN:
                authority.faults.set(fault, times=1)
        provider.send(relay, 3)
        provider.arrived()
        # The one that failed, and one; a person's sign-in has brought a token already.
        assert cloud.token_requests - already == (0 if kind.signs_in else 2)
        relay.wait_for_event("relayed", count=3)
        deferred = len(relay.log("deferred"))

        provider.revoke()
        provider.send(relay)
        provider.arrived()
        relay.wait_for_event("relayed", count=4)
        assert cloud.token_requests - already == (1 if kind.signs_in else 3), "a revoked token costs one request"
        assert len(relay.log("deferred")) == deferred
        assert relay.log("held") == []
        assert [line["reason"] for line in relay.log("token_renewed")][-1] == "refused"
        assert relay.metric("relay_recipients_settled_total", upstream="provider", outcome="failed") == 0
    assert "method=XOAUTH2" in provider.dovecot.log


def test_a_thousand_messages_by_one_token(provider: Provider, tmp_path: Path) -> None:
    kind = client_secret(provider.cloud, tmp_path)
    settings = _settings(kind, max_connections=8, messages_per_minute=10000, session_limit="1s")
    with RelayProcess(tmp_path / "relay", settings, kind.environ) as relay, ThreadPoolExecutor(8) as applications:
        # All begin at once, with no token in hand.
        for each in [applications.submit(provider.send, relay, 125) for _ in range(8)]:
            each.result()
        provider.sent = 1000
        provider.arrived()
        relay.wait_for_event("relayed", count=1000, seconds=15)
        assert provider.authority.requests == 1
        assert provider.dovecot.log.count("method=XOAUTH2") > 8, "several connections, one after the other"


def test_an_authority_that_is_down_costs_no_mail(provider: Provider, tmp_path: Path) -> None:
    authority, kind = provider.authority, client_secret(provider.cloud, tmp_path)
    with RelayProcess(tmp_path / "relay", _settings(kind), kind.environ) as relay:
        provider.send(relay)
        _settled(provider, relay)
        authority.close()
        for end in (relay.kill, relay.terminate):
            end()
            relay.start()
            provider.send(relay)
            _settled(provider, relay)
        assert authority.requests == 1, "the token was found in the sealed store"

        provider.revoke()
        provider.send(relay, 2)
        _waits(relay, 2)
        relay.restart()
        _waits(relay, 2)
        assert relay.command("queue", "list", "--json").stdout.count('"id"') == 2
        authority.reopen()
        provider.arrived()
        assert authority.requests == 2
        assert relay.log("failed") == []
        assert len(provider.beyond.accepted) == 5


def _settled(provider: Provider, relay: RelayProcess) -> None:
    provider.arrived()
    relay.wait_for_event("relayed", count=provider.sent)


def _waits(relay: RelayProcess, count: int) -> None:
    """The mail is queued, and that no token can be had is known."""
    wait_until(lambda: relay.metric("relay_upstream_up", upstream="provider") == 0, "an upstream that is not reached")
    assert relay.metric("relay_queue_recipients", upstream="provider") == count


def test_a_corrected_secret_is_seen_at_once(provider: Provider, tmp_path: Path) -> None:
    kind = client_secret(provider.cloud, tmp_path)
    secret = tmp_path / "secret"
    secret.write_text("pasted~wrongly")
    settings = _settings(kind, client_secret={"file": str(secret)}) | {"queue": {"retry_first": "1h"}}
    with RelayProcess(tmp_path / "relay", settings) as relay:
        provider.send(relay)
        assert "AADSTS7000215" in relay.wait_for_event("held")[0]["reply"]
        secret.write_text(kind.secrets[0])
        provider.arrived()
        relay.wait_for_event("released")
        assert provider.authority.requests == 2


@pytest.mark.parametrize("name", ["client_secret", "refresh_token"])
def test_oauthbearer_where_it_alone_is_offered(leaf: Leaf, tmp_path: Path, name: str) -> None:
    with _provided(leaf, "oauthbearer") as provider:
        kind = KINDS[name](provider.cloud, tmp_path)
        with RelayProcess(tmp_path / "relay", _settings(kind), kind.environ) as relay:
            provider.send(relay)
            provider.arrived()
            provider.revoke()
            provider.send(relay)
            provider.arrived()
            assert provider.cloud.token_requests == 2
            [refused] = relay.log("login_refused")
            assert refused["reply"].startswith("535 5.7.8")
            # RFC 7628 section 3.2.2: why, in JSON, before the reply.
            assert json.loads(refused["challenge"])["status"] == "invalid_token"
        assert "method=OAUTHBEARER" in provider.dovecot.log


def test_doctor_tells_what_the_server_said_of_a_token(provider: Provider, tmp_path: Path) -> None:
    kind = client_secret(provider.cloud, tmp_path)
    relay = RelayProcess(tmp_path / "relay", _settings(kind, mailbox="reception@clinic.test"), kind.environ)
    told = relay.command("doctor", "provider", "--json")
    [failed] = [step for step in json.loads(told.stdout)["steps"] if step["result"] == "failed"]
    assert failed["name"] == "auth"
    assert "the server's own reasons: {" in failed["detail"]
    assert '"status":"401"' in failed["detail"]
