"""Real servers accept what relay sends, and it arrives as the application sent it."""

import json
import smtplib
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.simulator.tokens import APP_AUDIENCES
from tests.rig.authority import TokenAuthority
from tests.rig.certificate import Leaf
from tests.rig.dovecot import DovecotSubmission
from tests.rig.message import RECIPIENT, SENDER, clinic_message, trace_above
from tests.rig.postfix import Postfix
from tests.rig.relay import RelayProcess
from tests.rig.scripted import ScriptedServer
from tests.rig.toml import Value
from tests.rig.waiting import wait_until

pytestmark = pytest.mark.peer

_TRACE_FIELDS = {b"return-path", b"x-original-to", b"delivered-to", b"received"}


def _settings(upstream: dict[str, Value]) -> dict[str, Value]:
    return {
        "listener": {"submission": {"security": "none"}},
        "client": {"careright": {"networks": ["127.0.0.0/8"], "upstream": "provider"}},
        "upstream": {"provider": upstream},
        "queue": {"retry_first": "1s"},
    }


def _submit(relay: RelayProcess, content: bytes, sender: str = SENDER) -> None:
    with smtplib.SMTP("127.0.0.1", relay.port(), timeout=30) as connection:
        assert connection.sendmail(sender, [RECIPIENT], content) == {}


def _assert_only_trace_was_added(arrived: bytes, sent: bytes) -> None:
    unfolded = trace_above(arrived, sent).replace(b"\r\n", b"\n").replace(b"\n\t", b" ").replace(b"\n ", b" ")
    fields = {line.partition(b":")[0].lower() for line in unfolded.splitlines()}
    assert fields <= _TRACE_FIELDS


@pytest.fixture(scope="module")
def provider(leaf: Leaf) -> Iterator[Postfix]:
    """Postfix as a provider: STARTTLS and SASL demanded."""
    with Postfix(leaf=leaf, users={"clinic": "s3cret pass"}) as postfix:
        yield postfix


@pytest.mark.parametrize("auth", ["auto", "plain", "login", "cram-md5"])
def test_postfix_with_starttls_and_sasl(provider: Postfix, leaf: Leaf, tmp_path: Path, auth: str) -> None:
    already = len(provider.delivered())
    upstream: dict[str, Value] = {
        "type": "smtp",
        "host": "localhost",
        "port": provider.port,
        "security": "starttls",
        "ca_file": str(leaf.authority),
        "auth": auth,
        "username": "clinic",
        "password": {"env": "PROVIDER_PASSWORD"},
    }
    with RelayProcess(tmp_path, _settings(upstream), {"PROVIDER_PASSWORD": "s3cret pass"}) as relay:
        _submit(relay, clinic_message())
        arrived = provider.wait_for(already + 1)[-1]
        relay.wait_for_event("relayed")

    _assert_only_trace_was_added(arrived, clinic_message())
    assert b"ESMTPSA" in trace_above(arrived, clinic_message())


def test_postfix_that_takes_everything(tmp_path: Path) -> None:
    with Postfix() as postfix:
        upstream: dict[str, Value] = {"type": "smtp", "host": "127.0.0.1", "port": postfix.port, "security": "none"}
        with RelayProcess(tmp_path, _settings(upstream)) as relay:
            for _ in range(5):
                _submit(relay, clinic_message(attachment=2000))
            arrived = postfix.wait_for(5)
            relay.wait_for_event("relayed", count=5)

    for message in arrived:
        _assert_only_trace_was_added(message, clinic_message(attachment=2000))


_SOME_REFUSED = """
message_size_limit = 20000
smtpd_recipient_restrictions =
  check_recipient_access inline:{{gone@far.test=550 5.1.1 No such user}, {busy@far.test=450 4.2.1 Mailbox busy}}
  permit_mynetworks reject
"""


def test_postfix_refuses_some_recipients_and_what_is_too_large(tmp_path: Path) -> None:
    with Postfix(more=_SOME_REFUSED) as postfix:
        upstream: dict[str, Value] = {"type": "smtp", "host": "127.0.0.1", "port": postfix.port, "security": "none"}
        upstream["max_connections"] = 1
        with RelayProcess(tmp_path, _settings(upstream)) as relay:
            sent = [
                ["fine@far.test", "gone@far.test", "busy@far.test"],
                ["gone@far.test"],
                ["busy@far.test"],
                ["b@far.test"],
            ]
            with smtplib.SMTP("127.0.0.1", relay.port(), timeout=30) as connection:
                for recipients in sent:
                    connection.sendmail(SENDER, recipients, clinic_message(attachment=2000))
                relay.wait_for_event("relayed")
                with pytest.raises(smtplib.SMTPSenderRefused) as refusal:
                    connection.sendmail(SENDER, ["c@far.test"], clinic_message(attachment=40_000))
            assert refusal.value.smtp_code == 552
            assert b"provider takes at most 20000 octets" in bytes(refusal.value.smtp_error), "as its EHLO said"
            # The message twice, and two bounces: each ended by its own reply, and the connection went on.
            postfix.wait_for(4)
            relay.wait_for_event("deferred", count=2)
            ends = {(line["event"], line["reply"]) for event in ("deferred", "failed") for line in relay.log(event)}
        assert {(event, str(reply).partition("@")[0].partition(": <")[0]) for event, reply in ends} == {
            ("failed", "550 5.1.1 <g***"),
            ("deferred", "450 4.2.1 <b***"),
        }
        bounces = [one for one in postfix.delivered() if b"multipart/report" in one]
        assert len(bounces) == 2
        assert sum(b"Diagnostic-Code: smtp; 550 5.1.1 <gone@far.test>" in one for one in bounces) == 2
        assert not any(b"Final-Recipient: rfc822;busy@far.test" in one for one in bounces)


def test_postfix_refuses_the_wrong_password_and_nothing_bounces(provider: Postfix, leaf: Leaf, tmp_path: Path) -> None:
    already = len(provider.delivered())
    upstream: dict[str, Value] = {
        "type": "smtp",
        "host": "localhost",
        "port": provider.port,
        "security": "starttls",
        "ca_file": str(leaf.authority),
        "username": "clinic",
        "password": {"env": "PROVIDER_PASSWORD"},
    }
    with RelayProcess(tmp_path, _settings(upstream), {"PROVIDER_PASSWORD": "old"}) as relay:
        _submit(relay, clinic_message(attachment=100))
        wait_until(
            lambda: relay.metric("relay_upstream_held", upstream="provider", reason="auth") == 1, "a held upstream"
        )
        assert relay.metric("relay_queue_recipients", upstream="provider") == 1
        assert relay.metric("relay_recipients_settled_total", upstream="provider", outcome="failed") == 0

    assert len(provider.delivered()) == already


@pytest.fixture
def microsoft(leaf: Leaf) -> Iterator[tuple[TokenAuthority, DovecotSubmission, ScriptedServer]]:
    """A token authority, Dovecot's submission service which checks its tokens, and where that sends the mail on."""
    with (
        TokenAuthority(leaf) as authority,
        ScriptedServer() as beyond,
        DovecotSubmission(leaf=leaf, authority=authority, relay_port=beyond.port) as dovecot,
    ):
        yield authority, dovecot, beyond


def _office365(authority: TokenAuthority, dovecot: DovecotSubmission, leaf: Leaf) -> dict[str, Value]:
    return {
        "type": "microsoft365",
        "mailbox": authority.options.mailbox,
        "tenant": authority.options.tenant,
        "client_id": authority.options.client_id,
        "credential": "client_secret",
        "client_secret": {"env": "CLIENT_SECRET"},
        "authority": authority.url,
        "host": "localhost",
        "port": dovecot.port,
        "ca_file": str(leaf.authority),
    }


def test_dovecot_takes_tokens_that_msal_fetched(
    microsoft: tuple[TokenAuthority, DovecotSubmission, ScriptedServer], leaf: Leaf, tmp_path: Path
) -> None:
    authority, dovecot, beyond = microsoft
    settings = _settings(_office365(authority, dovecot, leaf))
    with RelayProcess(tmp_path, settings, {"CLIENT_SECRET": authority.options.client_secret}) as relay:
        for _ in range(3):
            _submit(relay, clinic_message())
        transactions = beyond.wait_for(3, seconds=60)
        relay.wait_for_event("relayed", count=3)

    assert "method=XOAUTH2" in dovecot.log
    assert authority.requests == 1, "one token serves them all"
    for transaction in transactions:
        assert transaction.sender.startswith(f"<{SENDER}>")
        _assert_only_trace_was_added(transaction.content, clinic_message())


def test_dovecot_takes_a_token_by_oauthbearer(
    microsoft: tuple[TokenAuthority, DovecotSubmission, ScriptedServer], leaf: Leaf, tmp_path: Path
) -> None:
    authority, dovecot, beyond = microsoft
    upstream: dict[str, Value] = {
        "type": "smtp",
        "host": "localhost",
        "port": dovecot.port,
        "ca_file": str(leaf.authority),
        "auth": "oauthbearer",
        "username": authority.options.mailbox,
        "password": {"env": "TOKEN"},
    }
    token = authority.tokens.for_app(APP_AUDIENCES[0])
    with RelayProcess(tmp_path, _settings(upstream), {"TOKEN": token}) as relay:
        _submit(relay, clinic_message())
        beyond.wait_for(1, seconds=60)
    assert "method=OAUTHBEARER" in dovecot.log
    with RelayProcess(tmp_path / "other", _settings(upstream), {"TOKEN": f"{token}x"}) as relay:
        _submit(relay, clinic_message(attachment=100))
        assert relay.wait_for_event("held")[0]["reply"].startswith("535")


def test_doctor_goes_all_the_way_through_dovecot(
    microsoft: tuple[TokenAuthority, DovecotSubmission, ScriptedServer], leaf: Leaf, tmp_path: Path
) -> None:
    authority, dovecot, beyond = microsoft
    settings, secret = _settings(_office365(authority, dovecot, leaf)), authority.options.client_secret
    told = RelayProcess(tmp_path, settings, {"CLIENT_SECRET": secret}).command("doctor", "provider", "--json")
    found = json.loads(told.stdout)
    assert [step["result"] for step in found["steps"]] == ["ok"] * 11, told.stdout
    assert (told.returncode, found["ok"]) == (0, True)
    assert "method=XOAUTH2" in dovecot.log
    assert not beyond.accepted, "nothing is sent"
    assert secret not in told.stdout
    assert "eyJ" not in told.stdout


def test_dovecot_refuses_a_token_for_another_mailbox_and_nothing_bounces(
    microsoft: tuple[TokenAuthority, DovecotSubmission, ScriptedServer], leaf: Leaf, tmp_path: Path
) -> None:
    authority, dovecot, beyond = microsoft
    upstream = {**_office365(authority, dovecot, leaf), "mailbox": "reception@clinic.test"}
    settings = _settings(upstream)
    with RelayProcess(tmp_path, settings, {"CLIENT_SECRET": authority.options.client_secret}) as relay:
        _submit(relay, clinic_message(attachment=100), sender="reception@clinic.test")
        wait_until(
            lambda: relay.metric("relay_upstream_held", upstream="provider", reason="auth") == 1, "a held upstream"
        )
        assert relay.metric("relay_recipients_settled_total", upstream="provider", outcome="failed") == 0
        assert not beyond.accepted
        assert not [line for line in relay.log() if "eyJ" in str(line)], "a token in the log"
