"""The table of diagnoses agrees with what it explains: every row, cause, reason and number, and nothing else."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from relay.diagnosis.causes import causes, diagnosis_by_number, diagnosis_by_words, diagnosis_for, explains
from relay.diagnosis.diagnosis import NOTHING, RELEASE_SENDER, Actor
from relay.diagnosis.names import UNKNOWN
from relay.doctor.token_fault import ROWS
from relay.spool.records import HoldReason
from relay.transfer.classification import rows
from relay.transfer.dsn import NoticeKind
from relay.transfer.outcome import Scope
from relay.upstream.contract import Cause

FOLDER = Path(__file__).parents[3] / "relay" / "diagnosis"
KINDS = {str(kind) for kind in NoticeKind if kind is not NoticeKind.FAILED}
ENDS = {
    f"expires_{what}" for what in ("client_secret", "certificate", "client_certificate", "tls", "authority", "sign_in")
}
EXPLAINED = (
    {row.key for row in rows()}
    | {cause.value for cause in Cause if cause is not Cause.TOKEN_REFUSED}
    | {f"hold_{reason}" for reason in HoldReason}
    | KINDS
    | {"gave_up", "uncertain", "gave_up_uncertain", "left_to_application", "left_unknown", "daily_limit_near"}
    | {"message_put_aside"}
    | {*ROWS, *ENDS}
)


def test_everything_that_happens_is_explained_and_nothing_else() -> None:
    named = {row for cause in causes() for row in cause.rows}
    assert named == EXPLAINED
    assert all(explains(row) for row in EXPLAINED)


def test_every_row_ends_with_a_diagnosis_without_conditions() -> None:
    for row in EXPLAINED:
        last = [cause for cause in causes() if row in cause.rows and not cause.conditional]
        assert len(last) == 1, row


def test_what_holds_one_sender_alone_says_how_his_mail_goes_on() -> None:
    of_sender = {row.key for row in rows() if row.scope is Scope.SENDER} | {"sender_not_allowed", "hold_send_as"}
    for cause in causes():
        assert (RELEASE_SENDER in cause.steps) == bool(of_sender.intersection(cause.rows)), cause.key
        assert not any("queue release --all" in step for step in cause.steps), cause.key


def test_every_diagnosis_can_be_reached() -> None:
    for cause in causes():
        assert cause.rows or cause.words, cause.key
        # What has words is found by them alone; all else by the row, with or without conditions.
        if cause.conditional:
            assert cause.words or cause.aadsts or cause.text or cause.host or cause.of, cause.key


def test_every_number_of_the_classification_is_explained() -> None:
    text = (Path(__file__).parents[3] / "relay" / "transfer" / "replies.toml").read_text("utf-8")
    numbers = set(re.findall(r"\b\d{5,7}\b", text)) | {"53000", "53001", "53002"}
    numbers -= {"5300"}
    passing = {"90033", "50033", "90006", "90012", "90024", "90055"}
    explained = {number for cause in causes() for number in cause.aadsts}
    assert numbers - passing <= explained
    counted = Counter(number for cause in causes() for number in cause.aadsts)
    assert [number for number, count in counted.items() if count > 1] == []


def test_no_text_stands_in_two_places() -> None:
    for what in ("title", "cause"):
        counted = Counter(getattr(cause, what) for cause in causes())
        assert [text for text, count in counted.items() if count > 1] == []
    steps = Counter(step for cause in causes() for step in cause.steps if step not in {NOTHING, RELEASE_SENDER})
    assert [text for text, count in steps.items() if count > 1] == []


def test_form() -> None:
    for cause in causes():
        assert cause.cause.endswith("."), cause.key
        assert not cause.title.endswith("."), cause.key
        assert len(cause.title) <= 60, cause.key
        assert cause.link.startswith("https://"), cause.key
        assert cause.steps[0].startswith("Nothing needs to be done") == (cause.actor is Actor.NOBODY), cause.key
        placeholders = set(re.findall(r"\{([^{}]*)\}", " ".join((cause.cause, cause.link, *cause.steps))))
        assert placeholders <= UNKNOWN.keys(), cause.key


def test_files_are_short() -> None:
    assert all(len(path.read_text("utf-8").splitlines()) < 400 for path in FOLDER.glob("*.toml"))


def test_numbers_that_the_classification_does_not_know_are_explained_too() -> None:
    found = diagnosis_by_number("AADSTS700024: Client assertion is not within its valid time range.", {})
    assert found is not None
    assert found.key == "clock_wrong_for_token"
    assert diagnosis_by_number("AADSTS99999999", {}) is None
    assert diagnosis_by_number("", {}) is None


@pytest.mark.parametrize(
    ("row", "said", "names", "key"),
    [
        (
            "timeout",
            "451 4.4.2 mail.isp.test did not answer in time while connecting",
            {"port": "25"},
            "port_25_blocked",
        ),
        ("timeout", "451 4.4.2 mail.isp.test did not answer in time while connecting", {"port": "587"}, "timeout"),
        (
            "tls_untrusted",
            "454 4.7.5 The certificate of x is not trusted: certificate is not yet valid",
            {},
            "clock_wrong_for_tls",
        ),
        ("tls_untrusted", "454 4.7.5 The certificate of x is not trusted: certificate has expired", {}, "tls_expired"),
        (
            "tls_untrusted",
            "454 4.7.5 The certificate of x is not trusted: Hostname mismatch, certificate is not valid for 'x'",
            {},
            "tls_other_name",
        ),
        (
            "tls_untrusted",
            "454 4.7.5 The certificate of x is not trusted: self-signed certificate",
            {},
            "tls_untrusted",
        ),
        ("tls_failed", "454 4.7.5 TLS with x failed: wrong version number", {}, "tls_on_the_wrong_port"),
        ("tls_failed", "454 4.7.5 TLS with x failed: unsupported protocol", {}, "tls_failed"),
        ("credentials_incorrect", "535 5.7.139", {"host": "smtp.azurecomm.net"}, "acs_login_refused"),
        ("credentials_incorrect", "535 5.7.139", {"host": "smtp.office365.com"}, "credentials_incorrect"),
        ("smtp_auth_disabled", "is disabled for the Tenant", {}, "smtp_auth_disabled_for_tenant"),
        ("smtp_auth_disabled", "is disabled for the Mailbox", {}, "smtp_auth_disabled_for_mailbox"),
        ("tenant_recipients", "550 5.7.232 trial", {}, "trial_tenant_recipients"),
        ("tenant_recipients", "550 5.7.233 tenant", {}, "tenant_recipients"),
        ("tenant_threshold", "550 5.7.708 Access denied, traffic not accepted", {}, "traffic_not_accepted"),
        ("token", "454 4.7.0 Token has been expired or revoked. (invalid_grant)", {}, "google_grant_expired"),
        (
            "opening",
            "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org",
            {},
            "address_on_blocklist",
        ),
        (
            "permanent",
            "550 5.7.25 The IP address sending this message does not have a PTR record",
            {},
            "reverse_name_missing",
        ),
        ("permanent", "550 5.2.121 recipient is over the limit", {}, "receiving_limit"),
    ],
)
def test_what_a_row_does_not_tell_apart(row: str, said: str, names: dict[str, str], key: str) -> None:
    assert diagnosis_for(row, said, names).key == key


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("getaddrinfo: Name or service not known", "name_not_found"),
        ("Errno::ECONNREFUSED: Connection refused - connect(2)", "connection_refused"),
        ("Net::OpenTimeout: execution expired, connection timed out", "timeout"),
        ("SSL_connect: certificate verify failed (self-signed certificate in certificate chain)", "tls_untrusted"),
        ("certificate verify failed: certificate has expired", "tls_expired"),
        ("SSL routines:ssl3_get_record:wrong version number", "tls_on_the_wrong_port"),
        ("Tunnel connection failed: 407 Proxy Authentication Required", "proxy_login_refused"),
        ("Tunnel connection failed: 403 Filtered", "proxy_forbids"),
        ("ProxyError('Cannot connect to proxy.', OSError('Tunnel connection failed: 502'))", "proxy_reaches_nothing"),
        ("SOCKS5 authentication failed", "proxy_login_refused"),
        ("curl: (56) CONNECT tunnel failed, response 407", "proxy_login_refused"),
        ("curl: (56) Received HTTP code 407 from proxy after CONNECT", "proxy_login_refused"),
        ("The remote server returned an error: (407) Proxy Authentication Required", "proxy_login_refused"),
        ('Unable to tunnel through proxy. Proxy returns "HTTP/1.1 403 Forbidden"', "proxy_forbids"),
        ("curl: (97) Can't complete SOCKS5 connection to smtp.office365.com. (2)", "proxy_forbids"),
        ("curl: (97) Can't complete SOCKS5 connection to smtp.office365.com. (4)", "proxy_reaches_nothing"),
        ("curl: (56) Received HTTP code 503 from proxy after CONNECT", "proxy_reaches_nothing"),
        ("General SOCKS server failure", "proxy_reaches_nothing"),
        ("Connection not allowed by ruleset", "proxy_forbids"),
        ("curl: (5) Could not resolve proxy: proxy.clinic.test", "proxy_not_found"),
        ("Failed to connect to proxy 10.0.0.5:3128: connection refused", "proxy_unreachable"),
        ("ErrorMimeContentInvalidBase64String", "graph_mime"),
        ("RequestTimeTooSkewed: the difference is too large", "aws_clock_wrong"),
        ("535 5.7.8 Authentication credentials invalid", "own_credentials_invalid"),
        ("535 Authentication Credentials Invalid", "ses_credentials_invalid"),
        ("550 5.7.1 Sender address not allowed for this client", "own_sender_not_allowed"),
    ],
)
def test_words(text: str, key: str) -> None:
    found = diagnosis_by_words(text, {})
    assert found is not None
    assert found.key == key


def test_words_that_say_nothing() -> None:
    assert diagnosis_by_words("the quick brown fox", {}) is None
