from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from relay.config.provider_settings import GmailSettings, SmtpSettings
from relay.config.providers import Provider, provider_of
from relay.reply import Reply, parse_reply
from relay.spool.records import HoldReason
from relay.transfer.classification import Named, Occasion, Stage, outcome_for, row_for, rows, stage_of
from relay.transfer.outcome import Deferred, Failed, Hold, Outcome, Scope
from relay.upstream.contract import Cause, Phase
from tests.unit.transfer.replies import REPLIES

_SAID = re.compile(r"\d{3} (?:(\d\.\d+\.\d+) )?(.*)")


def _reply(text: str) -> Reply:
    return parse_reply(int(text[:3]), text[4:], "mx.provider.test")


def _meaning(outcome: Outcome) -> str:
    if isinstance(outcome, Hold):
        return outcome.reason + (", this From" if outcome.scope is Scope.SENDER else "")
    if isinstance(outcome, Deferred):
        if outcome.hold_after is not None:
            return f"transient; {outcome.reason} after {outcome.hold_after:g} s"
        return "slower" if outcome.slower else "transient"
    return "permanent" if isinstance(outcome, Failed) else "?"


@pytest.mark.parametrize(("provider", "stage", "text", "meaning"), REPLIES)
def test_each_reply_has_its_class(provider: Provider, stage: str, text: str, meaning: str) -> None:
    said = _reply(text)
    outcome = outcome_for(Occasion(provider, Stage(stage), said))
    assert _meaning(outcome) == meaning
    assert getattr(outcome, "reply", None) is said


def _as_others_write_it(text: str) -> Iterator[str]:
    """The same reply in several lines, in other letters, with what servers put behind it, without its status."""
    said = _SAID.fullmatch(text)
    assert said is not None
    status, words = said[1], said[2]
    pieces, prefix = words.split(), f"{status} " if status else ""
    yield "\n".join(prefix + piece for piece in pieces)
    yield prefix + "\n".join(pieces)
    yield "\n".join(f"{prefix}  {piece}" for piece in pieces)
    yield prefix + "\t ".join(pieces)
    yield f"{prefix}[SY4P282CA0012.AUSP282.PROD.OUTLOOK.COM] {words}"
    yield f"{prefix}SMTP; {words}"
    yield f"{prefix}{words} [SYBPR01CA0061.ausprd01.prod.outlook.com 2026-11-22T01:02:03.004Z 08DCF4A0B1C2D3E4]"
    yield f"{prefix}{words} d9443c01a7336-1a2b3c4d5e6sm123456plb.7 - gsmtp"
    yield prefix + words.upper()
    yield prefix + words.lower()
    yield words


@pytest.mark.parametrize(("provider", "stage", "text", "meaning"), REPLIES)
def test_a_reply_means_the_same_however_it_is_written(provider: Provider, stage: str, text: str, meaning: str) -> None:
    for words in _as_others_write_it(text):
        said = parse_reply(int(text[:3]), words, "mx.provider.test")
        assert _meaning(outcome_for(Occasion(provider, Stage(stage), said))) == meaning, words


def test_each_row_has_a_reply_that_reaches_it() -> None:
    reached = {row_for(Occasion(provider, Stage(stage), _reply(text))).key for provider, stage, text, _ in REPLIES}
    by_name = {"ses_sender_not_verified", "ses_recipient_not_verified", "ses_other_not_verified"}
    assert {row.key for row in rows()} - reached - by_name == set()


@pytest.mark.parametrize(
    ("named", "meaning"),
    [
        ("sender", "send_as, this From"),
        ("recipient", "permanent"),
        ("other", "transient"),
        ("nobody", "send_as, this From"),
    ],
)
def test_ses_means_whom_it_names(named: Named, meaning: str) -> None:
    said = _reply(
        "554 Message rejected: Email address is not verified. The following identities failed the check: x@y.z"
    )
    assert _meaning(outcome_for(Occasion("ses", Stage.DATA, said, named))) == meaning


@pytest.mark.parametrize(
    ("cause", "phase", "meaning"),
    [
        (Cause.SECRET_UNAVAILABLE, Phase.SECRET, "secret"),
        (Cause.TOKEN_REFUSED, Phase.TOKEN, "auth"),
        (Cause.TOKEN_UNAVAILABLE, Phase.TOKEN, "transient"),
        (Cause.PROXY_SECRET_UNAVAILABLE, Phase.SECRET, "secret"),
        (Cause.PROXY_LOGIN_REFUSED, Phase.CONNECT, "secret"),
        (Cause.PROXY_NOT_FOUND, Phase.CONNECT, "transient"),
        (Cause.PROXY_UNREACHABLE, Phase.TOKEN, "transient"),
        (Cause.PROXY_TIMEOUT, Phase.CONNECT, "transient"),
        (Cause.PROXY_GARBLED, Phase.CONNECT, "transient"),
        (Cause.PROXY_FORBIDS, Phase.CONNECT, "transient"),
        (Cause.PROXY_REACHES_NOTHING, Phase.CONNECT, "transient"),
        (Cause.NAME_NOT_FOUND, Phase.CONNECT, "transient"),
        (Cause.CONNECTION_REFUSED, Phase.CONNECT, "transient"),
        (Cause.UNREACHABLE, Phase.CONNECT, "transient"),
        (Cause.TIMEOUT, Phase.DATA, "transient"),
        (Cause.DISCONNECTED, Phase.RCPT, "transient"),
        (Cause.GARBLED, Phase.DONE, "transient"),
        (Cause.TLS_UNTRUSTED, Phase.STARTTLS, "transient"),
        (Cause.TLS_FAILED, Phase.STARTTLS, "transient"),
        (Cause.STARTTLS_MISSING, Phase.STARTTLS, "transient"),
        (Cause.AUTH_MISSING, Phase.AUTH, "auth"),
        (Cause.SMTPUTF8_MISSING, Phase.MAIL, "permanent"),
        (Cause.TOO_LARGE, Phase.MAIL, "permanent"),
        (Cause.NOT_CARRIED, Phase.MAIL, "permanent"),
        (Cause.CONTENT_UNREADABLE, Phase.CONTENT, "transient"),
        (Cause.LEASE_LOST, Phase.CONTENT, "transient"),
        (Cause.SENDER_NOT_ALLOWED, Phase.MAIL, "send_as, this From"),
    ],
)
def test_causes_without_a_word_of_the_server(cause: Cause, phase: Phase, meaning: str) -> None:
    # Our own words are permanent in form here, to show that the cause decides and not they.
    said = Reply(554, None, "something of ours")
    assert _meaning(outcome_for(Occasion("smtp", stage_of(phase), said), cause)) == meaning


def test_every_cause_is_tested() -> None:
    marks = test_causes_without_a_word_of_the_server.pytestmark  # type: ignore[attr-defined]
    assert {case[0] for case in marks[0].args[1]} == set(Cause)


def test_stages() -> None:
    assert {phase: stage_of(phase) for phase in Phase} == {
        Phase.SECRET: Stage.TOKEN,
        Phase.TOKEN: Stage.TOKEN,
        Phase.CONNECT: Stage.OPENING,
        Phase.GREETING: Stage.OPENING,
        Phase.EHLO: Stage.OPENING,
        Phase.STARTTLS: Stage.OPENING,
        Phase.AUTH: Stage.AUTH,
        Phase.MAIL: Stage.MAIL,
        Phase.RCPT: Stage.RCPT,
        Phase.DATA: Stage.DATA,
        Phase.CONTENT: Stage.DATA,
        Phase.FINAL_DOT: Stage.DATA,
        Phase.DONE: Stage.DATA,
    }


@pytest.mark.parametrize(
    ("host", "provider"),
    [
        ("smtp.office365.com", "microsoft365"),
        ("clinic-test.mail.protection.outlook.com", "microsoft365"),
        ("smtp-relay.gmail.com", "gmail"),
        ("email-smtp.eu-west-1.amazonaws.com.", "ses"),
        ("mail.isp.test", "smtp"),
        ("notgmail.com", "smtp"),
    ],
)
def test_provider_by_host(host: str, provider: str) -> None:
    assert provider_of(SmtpSettings(host=host)) == provider


def test_provider_by_type() -> None:
    assert provider_of(GmailSettings(host="127.0.0.1", username="a@gmail.com")) == "gmail"


def test_holds_have_reasons_and_only_holds_scopes() -> None:
    for row in rows():
        assert (row.result == "hold") <= (row.reason is not None), row.key
        assert row.scope is Scope.UPSTREAM or row.reason is HoldReason.SEND_AS, row.key
        assert row.hold_after is None or row.result == "transient", row.key


@pytest.mark.parametrize(("text", "status", "rest"), [
    ("5.7.1 One\n5.7.1 Two", "5.7.1", "One\nTwo"),
    ("Not taken\n5.7.57 Client not authenticated", "5.7.57", "Not taken\nClient not authenticated"),
    ("4.7.1 One\n5.7.60 Two", "5.7.60", "4.7.1 One\nTwo"),
    ("Not taken\nsince 5.7.1 of the policy", "None", "Not taken\nsince 5.7.1 of the policy"),
])  # fmt: skip
def test_an_enhanced_status_that_stands_in_a_later_line(text: str, status: str, rest: str) -> None:
    said = parse_reply(550, text, "mx.provider.test")
    assert (str(said.status), said.text) == (status, rest)
