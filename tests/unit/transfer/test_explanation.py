"""A reply has the same diagnosis wherever it is met: when it was said, at a gate, in the trace, or pasted."""

from __future__ import annotations

import re

import pytest

from relay.config.microsoft365_settings import Microsoft365Settings
from relay.config.provider_settings import GmailSettings, SmtpSettings
from relay.config.providers import Provider
from relay.config.ses_settings import SesSettings
from relay.config.upstream_settings import UpstreamSettings
from relay.diagnosis.causes import causes, diagnosis_by_words, diagnosis_for
from relay.diagnosis.diagnosis import NOTHING, Actor
from relay.diagnosis.names import names_of
from relay.reply import Reply, parse_reply
from relay.spool.records import HoldReason
from relay.transfer.classification import Named, Occasion, Stage, row_for
from relay.transfer.explanation import (
    diagnosis_of_failure,
    explanation_at,
    explanation_of,
    given_up,
    left_to_application,
    said_before_mail,
)
from relay.transfer.outcome import Failed, Hold
from relay.transfer.pasted import explanation_of_text
from relay.transfer.settlement import NO_FINAL_REPLY, expired
from relay.upstream.contract import Cause, Phase
from relay.upstream.failures import reply_for
from tests.unit.transfer.replies import REPLIES

APPLICATION = "66666666-7777-8888-9999-000000000000"
UPSTREAMS: dict[Provider, UpstreamSettings] = {
    "microsoft365": Microsoft365Settings.model_validate(
        {
            "mailbox": "no-reply@clinic.test",
            "tenant": "clinic.test",
            "client_id": APPLICATION,
            "credential": "client_secret",
            "client_secret": {"sealed": "office365"},
        }
    ),
    "gmail": GmailSettings.model_validate({"username": "clinic@gmail.com", "app_password": {"env": "P"}}),
    "ses": SesSettings.model_validate({"region": "eu-west-1", "username": "AKIA", "password": {"env": "P"}}),
    "smtp": SmtpSettings(host="mail.isp.test"),
}
OTHERWISE = {
    # Where a stage alone tells what a reply means, and the trace does not know the stage.
    ("microsoft365", "auth", "554 5.2.2 Submission quota exceeded"): "own_mailbox_full",
    ("microsoft365", "rcpt", "554 5.2.2 mailbox full"): "own_mailbox_full",
    ("gmail", "opening", "421 4.7.0 Try again later, closing connection."): "gmail_temporary",
    ("ses", "opening", "421 Too many concurrent SMTP connections"): "ses_too_many_connections",
    ("smtp", "opening", "502 5.5.1 Command not implemented"): "permanent",
    ("smtp", "mail", "535 5.7.8 Not logged in"): "login_refused",
    # Where the words tell more than the row, which decides what becomes of the message.
    ("smtp", "mail", "550 5.7.1 Spam"): "content_refused",
    ("smtp", "rcpt", "552 5.2.2 Mailbox full"): "recipient_mailbox_full",
    ("smtp", "rcpt", "452 4.5.3 Too many recipients"): "too_many_recipients",
}


def _reply(text: str) -> Reply:
    return parse_reply(int(text[:3]), text[4:], "mx.provider.test")


@pytest.mark.parametrize(("provider", "stage", "text", "meaning"), REPLIES)
def test_each_reply_is_explained_as_its_row(provider: Provider, stage: str, text: str, meaning: str) -> None:
    said, upstream = _reply(text), UPSTREAMS[provider]
    names = names_of("up", upstream)
    row = row_for(Occasion(provider, Stage(stage), said))
    expected = OTHERWISE.get((provider, stage, text)) or diagnosis_for(row.key, str(said), names).key
    assert explanation_of(said, upstream, names).diagnosis.key == expected
    outcome = row.outcome(said)
    if isinstance(outcome, Hold):
        at_gate = explanation_of(said, upstream, names, reason=outcome.reason)
        assert at_gate.diagnosis.key == expected
        assert at_gate.known
    if isinstance(outcome, Failed):
        assert explanation_of(said, upstream, names, failed=True).diagnosis.actor != "nobody"
    pasted = explanation_of_text(f"Net::SMTPError: {text}", [upstream], names)
    assert pasted is not None
    if row.key not in {"permanent", "transient", "misplaced", "opening"}:
        assert pasted.known, meaning


@pytest.mark.parametrize(("provider", "stage", "text", "meaning"), REPLIES)
def test_where_a_reply_was_said_is_heeded(provider: Provider, stage: str, text: str, meaning: str) -> None:
    said, upstream = _reply(text), UPSTREAMS[provider]
    names = names_of("up", upstream)
    row = row_for(Occasion(provider, Stage(stage), said))
    expected = diagnosis_for(row.key, str(said), names)
    found = explanation_at(Stage(stage), said, None, upstream, names)
    by_provider = diagnosis_by_words(str(said), names)
    if not expected.provider and by_provider is not None and by_provider.provider == provider:
        assert found == by_provider, meaning
    elif (
        expected.key not in {"permanent", "transient", "misplaced", "opening", "aadsts_other"} and "AADSTS" not in text
    ):
        assert found == expected, meaning
    else:
        by_words = explanation_of(said, upstream, names)
        assert found == (by_words.diagnosis if by_words.known else expected)


@pytest.mark.parametrize(
    ("stage", "cause", "text", "key"),
    [
        (
            Stage.OPENING,
            Cause.CONNECTION_REFUSED,
            "451 4.4.1 mail.isp.test refused the connection",
            "connection_refused",
        ),
        (
            Stage.TOKEN,
            Cause.TOKEN_REFUSED,
            "454 4.7.0 AADSTS7000222: expired. (invalid_client)",
            "client_secret_expired",
        ),
        (Stage.TOKEN, Cause.TOKEN_REFUSED, "454 4.7.0 No reason given (invalid_client)", "token_client_refused"),
        (Stage.TOKEN, Cause.TOKEN_UNAVAILABLE, "454 4.7.0 login.test cannot be reached", "token_unavailable"),
        (Stage.RCPT, None, "554 5.2.2 mailbox full", "recipient_mailbox_full"),
        (Stage.AUTH, None, "554 5.2.2 Submission quota exceeded", "own_mailbox_full"),
    ],
)
def test_causes_and_stages(stage: Stage, cause: Cause | None, text: str, key: str) -> None:
    upstream = UPSTREAMS["microsoft365"]
    assert explanation_at(stage, _reply(text), cause, upstream, names_of("up", upstream)).key == key


AT_A_PHASE = {
    (Cause.TIMEOUT, Phase.GREETING): "greeting_missing",
    (Cause.DISCONNECTED, Phase.GREETING): "closed_at_greeting",
    (Cause.DISCONNECTED, Phase.CONNECT): "tls_cut_off",
    (Cause.DISCONNECTED, Phase.STARTTLS): "tls_cut_off",
}


@pytest.mark.parametrize("cause", [cause for cause in Cause if cause is not Cause.TOKEN_REFUSED])
@pytest.mark.parametrize("provider", UPSTREAMS)
def test_each_reply_of_ours_is_explained_as_its_cause(cause: Cause, provider: Provider) -> None:
    names = names_of("up", UPSTREAMS[provider])
    for phase in Phase:
        said = reply_for(cause, phase, "smtp.office365.com", "some detail")
        for found in (explanation_of(said, UPSTREAMS[provider], names), explanation_of_text(str(said), (), names)):
            assert found is not None
            expected = AT_A_PHASE.get((cause, phase), cause.value)
            assert found.diagnosis.key.removeprefix("google_") == expected
            assert found.known


@pytest.mark.parametrize("reason", HoldReason)
def test_a_hold_without_a_reply_is_explained_by_its_reason(reason: HoldReason) -> None:
    assert explanation_of(None, None, {}, reason=reason).diagnosis.key == f"hold_{reason}"


def test_a_hold_whose_reply_says_nothing_is_explained_by_its_reason() -> None:
    said = _reply("554 Transaction failed")
    assert explanation_of(said, UPSTREAMS["smtp"], {}, reason=HoldReason.QUOTA).diagnosis.key == "hold_quota"
    said = _reply("550 5.1.1 User unknown")
    assert explanation_of(said, UPSTREAMS["smtp"], {}, reason=HoldReason.OPERATOR).diagnosis.key == "hold_operator"


def test_an_expired_delivery_is_explained_by_its_last_answer() -> None:
    last = _reply("432 4.3.2 Concurrent connections limit exceeded.")
    found = explanation_of(expired(last), UPSTREAMS["microsoft365"], {}, failed=True)
    assert found.diagnosis.key == "concurrent_connections"
    assert explanation_of(expired(NO_FINAL_REPLY), None, {}).diagnosis.key == "uncertain"
    assert diagnosis_of_failure("", expired(NO_FINAL_REPLY), None, {}).key == "gave_up_uncertain"


def test_what_an_operator_holds_goes_on_by_the_line_that_is_told() -> None:
    gate = explanation_of(None, None, names_of("up", None), reason=HoldReason.OPERATOR)
    assert gate.diagnosis.steps == ("relay queue release --upstream up  lets it go on.",)
    message = explanation_of(None, None, names_of("up", None, message="06H0"), reason=HoldReason.OPERATOR)
    assert message.diagnosis.steps == ("relay queue release 06H0  sends it; relay queue remove 06H0  forgets it.",)


def test_a_password_that_exchange_refuses_is_no_token() -> None:
    given = {"host": "smtp.office365.com", "username": "no-reply@clinic.test", "password": {"env": "P"}}
    upstream = SmtpSettings.model_validate(given)
    refused = _reply("535 5.7.3 Authentication unsuccessful")
    found = explanation_of(refused, upstream, names_of("up", upstream), reason=HoldReason.AUTH)
    assert found.diagnosis.key == "password_not_accepted"


@pytest.mark.parametrize(
    ("text", "before"),
    [
        ("451 4.4.3 The name mail.isp.test was not found", True),
        ("451 4.4.2 mail.isp.test did not answer in time while connecting", True),
        ("451 4.4.2 mail.isp.test did not answer in time at DATA", False),
        ("451 4.4.2 mail.isp.test closed the connection waiting for the greeting", True),
        ("451 4.4.2 mail.isp.test closed the connection after the final dot", False),
        ("454 4.7.0 AADSTS7000222: expired (invalid_client)", True),
        ("454 4.7.0 No access token from login.test now: it cannot be reached", True),
        ("535 5.7.3 Authentication unsuccessful", True),
        ("554 5.3.2 No SMTP service here", True),
        ("552 5.3.4 The message is larger than mail.isp.test takes", False),
        ("432 4.3.2 Concurrent connections limit exceeded", False),
        ("550 5.1.8 Access denied, bad outbound sender", False),
    ],
)
def test_what_a_login_that_works_shows_to_be_over(text: str, before: bool) -> None:
    assert said_before_mail(_reply(text), "microsoft365") is before


@pytest.mark.parametrize(
    ("provider", "text", "key"),
    [
        ("smtp", "554 5.3.2 No service for you", "opening"),
        ("smtp", "535 5.7.8 Wrong", "login_refused"),
        ("smtp", "450 4.2.0 Greylisted", "greylisted"),
        ("microsoft365", "535 5.7.3 Authentication unsuccessful", "token_not_accepted"),
    ],
)
def test_what_is_tried_again_was_not_refused_for_good(provider: Provider, text: str, key: str) -> None:
    upstream = UPSTREAMS[provider]
    found = explanation_of(_reply(text), upstream, names_of("up", upstream), deferred=True)
    assert found.diagnosis.key == key


@pytest.mark.parametrize(
    ("named", "key"),
    [
        ("sender", "ses_sender_not_verified"),
        ("recipient", "ses_recipient_not_verified"),
        ("other", "ses_other_not_verified"),
        ("nobody", "ses_sender_not_verified"),
    ],
)
def test_who_is_named_is_heeded(named: Named, key: str) -> None:
    said = _reply("554 Message rejected: Email address is not verified. The following identities failed: a@b.test")
    assert explanation_of(said, UPSTREAMS["ses"], {}, named=named).diagnosis.key == key


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # The words of RFC 4954 §6 are ours as well, to applications: here the provider said them to us.
        ("535 5.7.8 Authentication credentials invalid", "login_refused"),
        ("535 5.7.8 Error: authentication failed", "login_refused"),
        ("530 5.7.0 Authentication required", "login_required"),
        ("550 5.1.1 No such user", "no_such_mailbox"),
    ],
)
def test_given_up_while_the_upstream_was_held_tells_why_it_was(text: str, expected: str) -> None:
    said, upstream = _reply(text), UPSTREAMS["smtp"]
    names = names_of("up", upstream)
    assert diagnosis_of_failure("", said, upstream, names).key == expected
    in_trace = explanation_of(expired(said), upstream, names, failed=True)
    assert (in_trace.diagnosis.key, in_trace.known) == (expected, True)


def test_what_was_given_up_is_not_said_to_be_tried_again() -> None:
    own = re.compile(r"\b(tried|tries|sent|asks|asked|offered) again\b(?! and again)|goes on|[Mm]ail waits|is kept")
    for cause in causes():
        told = given_up(cause.diagnosis({}))
        assert told.actor is not Actor.NOBODY, cause.key
        assert NOTHING not in told.steps, cause.key
        if cause.key != "delayed":
            assert not own.search(told.cause), cause.key


def test_what_the_application_was_told_to_repeat_is_left_to_it() -> None:
    own = diagnosis_for("left_to_application", "", {})
    greylisted = left_to_application(diagnosis_for("transient", "450 4.2.0 Greylisted", {}))
    assert (greylisted.title, greylisted.actor, greylisted.steps) == ("Greylisted", Actor.SENDER, own.steps)
    assert "tries again" not in greylisted.cause
    assert left_to_application(diagnosis_for("transient", "451 4.3.0 Later", {})) == own
    cut = diagnosis_for(Cause.DISCONNECTED.value, "", {})
    assert left_to_application(cut).actor is cut.actor
    assert left_to_application(cut).steps == (*cut.steps, *own.steps)
    unknown = left_to_application(diagnosis_for("uncertain", "", {}))
    assert not any("relay queue" in step for step in unknown.steps)


def test_what_is_still_tried_is_said_to_be() -> None:
    found = diagnosis_for("transient", "450 4.2.0 Greylisted", {})
    assert found.cause.endswith("The relay tries again in some minutes.")
    assert found.lasting.cause.endswith("does not know yet.")
    assert found.lasting.lasting == found.lasting
