"""Notices, parsed back with the email package."""

from __future__ import annotations

from dataclasses import replace
from email import policy
from email.message import EmailMessage, Message
from email.parser import BytesParser, HeaderParser
from typing import Any

import pytest

from relay.config.microsoft365_settings import Microsoft365Settings
from relay.diagnosis.causes import diagnosis_for
from relay.diagnosis.diagnosis import NOTHING, Diagnosis
from relay.envelope import DsnReturn
from relay.reply import Reply
from relay.spool.records import SpooledMessage
from relay.transfer.bounce import Original, Report, Stamp, bounce_for, curtailed, signed
from relay.transfer.classification import Row, rows
from relay.transfer.dsn import Finding, Notice, NoticeKind
from relay.transfer.explanation import diagnosis_of_failure
from relay.transfer.settlement import NO_FINAL_REPLY, expired
from tests.unit.transfer.made import ACCEPTED_AT, HOUR, mailbox, message, row, said

HEADER = b"From: App <app@clinic.test>\r\nSubject: Results\r\n"
STAMP = Stamp("0002", ACCEPTED_AT + HOUR, "relay.clinic.test", mailbox("MAILER-DAEMON@relay.clinic.test"))
NO = said("550 5.1.1 The email account that you tried to reach does not exist")


def _bounce(
    *findings: Finding,
    kind: NoticeKind = NoticeKind.FAILED,
    about: SpooledMessage | None = None,
    original: Original = Original(HEADER),  # noqa: B008 - frozen
    to: tuple[str, ...] = ("app@clinic.test",),
) -> Report:
    found = findings or (Finding(row(), NO, NO, "no_such_mailbox"),)
    notice = Notice(kind, tuple(map(mailbox, to)), found)
    return bounce_for(notice, about or message(), original, STAMP)


def _parsed(report: Report) -> EmailMessage:
    found = BytesParser(policy=policy.SMTP).parsebytes(report.octets)
    assert isinstance(found, EmailMessage)
    assert found.defects == []
    return found


def _parts(report: Report) -> list[EmailMessage]:
    parts = [part for part in _parsed(report).iter_parts() if isinstance(part, EmailMessage)]
    assert len(parts) == 3
    return parts


def _groups(report: Report) -> list[Message]:
    """The groups of fields of the second part: the message's, then each recipient's."""
    part = _parts(report)[1]
    if part.get_content_type() == "message/delivery-status":
        payload = part.get_payload()
        assert isinstance(payload, list)
        return [group for group in payload if isinstance(group, Message) and group.keys()]
    raw = report.octets.split(b"message/global-delivery-status", 1)[1].split(b"\r\n\r\n", 1)[1].split(b"\r\n--=_", 1)[0]
    return [HeaderParser(policy=policy.default).parsestr(group) for group in raw.decode().split("\r\n\r\n")]


def _text(report: Report) -> str:
    return " ".join(str(_parts(report)[0].get_content()).split())


def test_its_header() -> None:
    report = _bounce(to=("app@clinic.test", "reception@clinic.test"))
    found = _parsed(report)
    assert found.get_content_type() == "multipart/report"
    assert found.get_param("report-type") == "delivery-status"
    assert found["Auto-Submitted"] == "auto-replied"
    assert found["From"].addresses[0].addr_spec == "MAILER-DAEMON@relay.clinic.test"
    assert [one.addr_spec for one in found["To"].addresses] == ["app@clinic.test", "reception@clinic.test"]
    assert found["Message-ID"] == "<0002@relay.clinic.test>"
    assert found["Date"].datetime.timestamp() * 1000 == STAMP.at
    assert (report.eight_bit, report.smtputf8) == (False, False)
    assert b"\n" not in report.octets.replace(b"\r\n", b"")


def test_the_fields_for_programs() -> None:
    about = message(envelope_id="QQ+2B314")
    found = row(original="rfc822;A+2BB@far.test")
    of_message, of_recipient = _groups(_bounce(Finding(found, NO, NO), about=about))
    assert dict(of_message.items()) == {
        "Original-Envelope-Id": "QQ+314",
        "Reporting-MTA": "dns; relay.clinic.test",
        "Arrival-Date": "Tue, 14 Nov 2023 22:13:20 +0000",
    }
    assert dict(of_recipient.items()) == {
        "Original-Recipient": "rfc822;A+B@far.test",
        "Final-Recipient": "rfc822;a@far.test",
        "Action": "failed",
        "Status": "5.1.1",
        "Remote-MTA": "dns; mx.provider.test",
        "Diagnostic-Code": "smtp; 550 5.1.1 The email account that you tried to reach does not exist",
        "Last-Attempt-Date": "Tue, 14 Nov 2023 23:13:20 +0000",
    }


def test_each_recipient_has_its_group() -> None:
    findings = [Finding(row(f"{at}@far.test", at), NO, NO) for at in range(3)]
    groups = _groups(_bounce(*findings))
    assert [group["Final-Recipient"] for group in groups[1:]] == [f"rfc822;{at}@far.test" for at in range(3)]


def test_the_words_for_people_quote_explain_and_advise() -> None:
    text = _text(_bounce())
    assert "<a@far.test>" in text
    assert "mx.provider.test said: 550 5.1.1 The email account that you tried to reach does not exist" in text
    assert diagnosis_for("no_such_mailbox", "", {}).cause in text
    assert diagnosis_for("no_such_mailbox", "", {}).steps[0] in text
    assert "under the ID 0001" in text


def test_recipients_with_the_same_answer_are_explained_alike_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Reply] = []

    def counted(advice: str, reply: Reply, *rest: Any) -> Diagnosis:
        asked.append(reply)
        return diagnosis_of_failure(advice, reply, *rest)

    monkeypatch.setattr("relay.transfer.bounce.diagnosis_of_failure", counted)
    other = said("550 5.7.1 Not you")
    report = _bounce(*(Finding(row(position=at), one, one) for at, one in enumerate([NO, NO, other, NO])))
    assert asked == [NO, other]
    assert _text(report).count("Cause:") == 4


def test_time_that_is_over_quotes_the_last_reply() -> None:
    last = said("451 4.3.0 Try again later")
    report = _bounce(Finding(row(), expired(last), last, "transient"))
    group = _groups(report)[1]
    assert group["Status"] == "4.4.7"
    assert group["Action"] == "failed"
    assert group["Diagnostic-Code"] == "smtp; 451 4.3.0 Try again later"
    assert group["Remote-MTA"] == "dns; mx.provider.test"
    assert "Delivery time expired" in _text(report)
    assert "mx.provider.test said: 451 4.3.0 Try again later" in _text(report)


def test_what_may_have_been_taken_before_is_told_as_such() -> None:
    perhaps = "It may have arrived all the same"
    assert perhaps in _text(_bounce(Finding(replace(row(), uncertain=1), NO, NO)))
    assert perhaps not in _text(_bounce(Finding(row(), NO, NO)))
    late = expired(NO_FINAL_REPLY)
    text = _text(_bounce(Finding(replace(row(), uncertain=1), late, None)))
    assert perhaps not in text
    assert "Ask the recipient whether it came" in text
    assert "queue release" not in text


def test_words_of_ours_are_not_passed_off_as_a_servers() -> None:
    ours = Reply(451, None, "mx refused the connection")
    group = _groups(_bounce(Finding(row(), expired(ours), ours, "connection_refused")))[1]
    assert group["Diagnostic-Code"] == "x-relay; 451 mx refused the connection"
    assert group["Remote-MTA"] is None


def test_a_reply_without_enhanced_status_still_gives_one() -> None:
    refused = said("554 Transaction failed")
    assert _groups(_bounce(Finding(row(), refused, refused)))[1]["Status"] == "5.0.0"


def test_only_the_header_is_returned() -> None:
    part = _parts(_bounce())[2]
    assert part.get_content_type() == "text/rfc822-headers"
    assert str(part.get_content()).replace("\r\n", "\n") == HEADER.decode().replace("\r\n", "\n")


def test_all_is_returned_where_it_was_asked_for() -> None:
    whole = Original(HEADER + b"\r\nThe body\r\n", whole=True)
    report = _bounce(original=whole, about=message(dsn_return=DsnReturn.FULL))
    part = _parts(report)[2]
    assert part.get_content_type() == "message/rfc822"
    assert str(part.get_content()["Subject"]) == "Results"
    assert whole.octets in report.octets
    assert "It follows below." in _text(report)


@pytest.mark.parametrize("kind", [NoticeKind.DELAYED, NoticeKind.RELAYED])
def test_what_did_not_fail_is_never_returned_whole(kind: NoticeKind) -> None:
    """RFC 3461 §4.3: RET=FULL applies to failures."""
    whole = Original(HEADER + b"\r\nThe body\r\n", whole=True)
    report = _bounce(kind=kind, original=whole, about=message(dsn_return=DsnReturn.FULL))
    assert _parts(report)[2].get_content_type() == "text/rfc822-headers"
    assert HEADER in report.octets
    assert b"The body" not in report.octets
    assert "Its header follows below." in _text(report)


def test_eight_bit_content_is_returned_as_it_was() -> None:
    whole = Original(HEADER + b"\r\nK\xe4se\r\n", whole=True)
    report = _bounce(original=whole)
    assert report.eight_bit
    assert whole.octets in report.octets


def test_raw_eight_bit_headers_are_encoded() -> None:
    header = Original("Subject: Käse\r\n".encode())
    report = _bounce(original=header)
    assert not report.eight_bit
    assert "Käse" in str(_parts(report)[2].get_content())


@pytest.mark.parametrize(
    "odd",
    ["Käse".encode("latin-1"), b"a\0b", b"x" * 5000, b"<id@far.test> " * 400],
    ids=["latin1", "nul", "long_word", "long"],
)
def test_a_header_that_no_server_has_to_take_is_encoded(odd: bytes) -> None:
    report = _bounce(original=Original(HEADER + b"X-Odd: " + odd + b"\r\n"))
    assert report.octets.isascii()
    assert b"\0" not in report.octets
    assert max(map(len, report.octets.split(b"\r\n"))) <= 998
    part = _parts(report)[2]
    assert part.get_content_type() == "text/rfc822-headers"
    assert "X-Odd: " + odd.decode("latin-1") in str(part.get_content())


def test_a_header_in_nobodys_utf8_is_not_called_global() -> None:
    found = Finding(row("jürgen@käse.test"), NO, NO)
    odd = b"X-Odd: K\xe4se\r\n"
    kinds = [_parts(_bounce(found, original=Original(odd)))[2].get_content_type()]
    kinds += [_parts(_bounce(found, original=Original(odd + b"\r\nBody\r\n", whole=True)))[2].get_content_type()]
    assert kinds == ["text/rfc822-headers", "message/rfc822"]


def test_where_ascii_says_it_all_programs_get_the_fields_they_know() -> None:
    report = _bounce(about=message(smtputf8=True), original=Original("Subject: Käse\r\n".encode()))
    assert [part.get_content_type() for part in _parts(report)[1:]] == [
        "message/delivery-status",
        "text/rfc822-headers",
    ]
    assert report.octets.isascii()


@pytest.mark.parametrize("to", ["a@far.test", "jürgen@käse.test"])
@pytest.mark.parametrize("subject", ["Results", "Käse"])
def test_without_the_body_of_what_it_returns(to: str, subject: str) -> None:
    header = HEADER.replace(b"Results", subject.encode())
    whole = Original(header + b"\r\nThe body\r\n--x\r\n", whole=True)
    report = _bounce(Finding(row(to), NO, NO), original=whole)
    found = curtailed(report.octets)
    assert found == _bounce(Finding(row(to), NO, NO), original=whole.header).octets
    assert curtailed(found) is None


def test_signed_by_another() -> None:
    report = _bounce(original=Original(HEADER))
    found = signed(report.octets, mailbox(r'"a\1b"@isp.test')).split(b"\r\n")
    assert found[0] == rb'From: Mail Delivery System <"a\1b"@isp.test>'
    assert found[1:] == report.octets.split(b"\r\n")[1:]


@pytest.mark.parametrize(
    "octets", [b"", b"Subject: x\r\n\r\nAn alert\r\n", b'Content-Type: x; boundary="b"\r\n\r\n--b--']
)
def test_what_returns_nothing_stays(octets: bytes) -> None:
    assert curtailed(octets) is None


def test_a_delay() -> None:
    later = said("451 4.3.0 Later")
    report = _bounce(Finding(row(give_up_at=ACCEPTED_AT + 120 * HOUR), later, later), kind=NoticeKind.DELAYED)
    group = _groups(report)[1]
    assert (group["Action"], group["Status"]) == ("delayed", "4.3.0")
    assert group["Will-Retry-Until"] == "Sun, 19 Nov 2023 22:13:20 +0000"
    assert diagnosis_for("delayed", "", {}).cause in _text(report)


def test_a_success() -> None:
    taken = said("250 2.0.0 Ok: queued")
    report = _bounce(Finding(row(), taken, taken), kind=NoticeKind.RELAYED)
    group = _groups(report)[1]
    assert (group["Action"], group["Status"]) == ("relayed", "2.0.0")
    assert diagnosis_for("relayed", "", {}).cause in _text(report)
    assert "tried again" not in _text(report)


def test_international_addresses() -> None:
    about = message(smtputf8=True)
    found = row("jürgen@käse.test", original=r"utf-8;j\x{FC}rgen@k\x{E4}se.test")
    report = _bounce(Finding(found, NO, NO), about=about, original=Original("Subject: Käse\r\n".encode()))
    kinds = [part.get_content_type() for part in _parts(report)]
    assert kinds == ["text/plain", "message/global-delivery-status", "message/global-headers"]
    group = _groups(report)[1]
    assert group["Final-Recipient"] == "utf-8;jürgen@käse.test"
    assert group["Original-Recipient"] == "utf-8;jürgen@käse.test"
    assert "<jürgen@käse.test>" in _text(report)
    assert (report.eight_bit, report.smtputf8) == (True, False)
    assert _bounce(to=("jürgen@käse.test",)).smtputf8


@pytest.mark.parametrize("original", [r"utf-8;j\x{FC}rgen@k\x{E4}se.test", "rfc822;j+C3+BCrgen@far.test"])
def test_an_original_recipient_that_ascii_has_no_letters_for_is_returned_as_it_was_said(original: str) -> None:
    report = _bounce(Finding(row(original=original), NO, NO))
    assert not report.eight_bit
    assert _groups(report)[1]["Original-Recipient"] == original


@pytest.mark.parametrize("evil", ["x\r\nBcc: b@evil.test", "x\nBcc: b@evil.test", "x+0D+0ABcc: b@evil.test"])
def test_nothing_that_others_said_begins_a_field(evil: str) -> None:
    refused = Reply(550, None, evil, said_by="mx\r\nBcc: b@evil.test")
    found = row(original=f"rfc822;{evil}")
    report = _bounce(Finding(found, refused, refused), about=message(envelope_id=evil))
    assert b"\nBcc:" not in report.octets
    assert len(_groups(report)) == 2


def test_a_long_reply_is_folded() -> None:
    refused = said("550 5.7.1 " + "word " * 500 + "x" * 2000)
    report = _bounce(Finding(row(), refused, refused))
    assert max(len(line) for line in report.octets.split(b"\r\n")) <= 100
    assert str(_groups(report)[1]["Diagnostic-Code"]).count("word") == 500


def test_the_boundary_never_occurs_in_what_is_returned() -> None:
    tricky = Original(HEADER + b"\r\n--=_report-0002\r\n--=_report-0002--\r\n", whole=True)
    parts = _parts(_bounce(original=tricky))
    assert parts[2].get_content_type() == "message/rfc822"


def test_an_administrator_gets_the_lines_to_type() -> None:
    settings = Microsoft365Settings.model_validate(
        {"mailbox": "no-reply@clinic.test", "tenant": "clinic.test", "credential": "device_code"}
    )
    stamp = replace(STAMP, upstream="office365", settings=settings)
    late = said("430 4.2.0 STOREDRV; mailbox logon failure")
    notice = Notice(NoticeKind.FAILED, (mailbox("app@clinic.test"),), (Finding(row(), expired(late), late, ""),))
    report = bounce_for(notice, message(), Original(HEADER), stamp)
    text = str(_parts(report)[0].get_content())
    assert "Who must act: Microsoft administrator" in text
    command = "Exchange Online PowerShell: Get-MailboxPermission -Identity no-reply@clinic.test  must list"
    assert any(command in line for line in text.splitlines())
    assert "See: https://learn.microsoft.com/" in text
    assert "can be sent again" in _text(report)


def test_a_sender_is_shown_no_manual() -> None:
    assert "See:" not in _text(_bounce())
    assert "Give this notice" not in _text(_bounce())


def test_nobody_is_told_that_what_failed_passes_by_itself() -> None:
    busy = said("450 4.2.0 Greylisted")
    for refused in (busy, said("451 Later")):
        text = _text(_bounce(Finding(row(), expired(refused), refused, "transient")))
        assert "Who must act: sender" in text
        assert NOTHING not in text
        assert "tries again" not in text
        assert "Send it again later" in text
    assert "does not know yet" in _text(_bounce(Finding(row(), expired(busy), busy, "transient")))


@pytest.mark.parametrize("found", [found for found in rows() if found.result == "permanent"], ids=lambda one: one.key)
def test_permanent_rows_are_explained_as_themselves(found: Row) -> None:
    refused = Reply(550, None, "No", "mx.provider.test")
    text = _text(_bounce(Finding(row(), refused, refused, found.key)))
    assert diagnosis_for(found.key, str(refused), {}).cause in text
