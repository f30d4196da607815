"""Command lines with the parameters that are offered."""

import pytest

from relay.address import Mailbox
from relay.envelope import Body, DsnReturn, Envelope, Notify, Recipient, WholeContent
from relay.reply import parse_reply
from relay.upstream.commands import mail_command, misfit_of, rcpt_command
from relay.upstream.contract import Cause
from relay.upstream.extensions import Extensions

ASCII = WholeContent(b"Subject: x\r\n\r\nx\r\n")
EIGHT_BIT = WholeContent("Subject: x\r\n\r\nä\r\n".encode())
A = Mailbox("a", "clinic.test")
UMLAUT = Mailbox("ä", "clinic.test")


def offered(*lines: str) -> Extensions:
    return Extensions.of(parse_reply(250, "\n".join(["mail.test", *lines]), "mail.test"))


ALL = offered("SIZE 1000", "8BITMIME", "SMTPUTF8", "DSN", "PIPELINING")
NONE = offered()


@pytest.mark.parametrize(
    ("envelope", "content", "extensions", "line"),
    [
        (Envelope(None, ()), ASCII, ALL, "MAIL FROM:<> SIZE=17"),
        (Envelope(A, ()), ASCII, NONE, "MAIL FROM:<a@clinic.test>"),
        (Envelope(A, ()), EIGHT_BIT, ALL, "MAIL FROM:<a@clinic.test> SIZE=18 BODY=8BITMIME"),
        (Envelope(A, (), Body.EIGHT_BIT_MIME), ASCII, ALL, "MAIL FROM:<a@clinic.test> SIZE=17 BODY=8BITMIME"),
        (Envelope(UMLAUT, ()), ASCII, ALL, "MAIL FROM:<ä@clinic.test> SIZE=17 BODY=8BITMIME SMTPUTF8"),
        (Envelope(A, (Recipient(UMLAUT),)), ASCII, ALL, "MAIL FROM:<a@clinic.test> SIZE=17 BODY=8BITMIME SMTPUTF8"),
        (Envelope(A, (), smtputf8=True), EIGHT_BIT, ALL, "MAIL FROM:<a@clinic.test> SIZE=18 BODY=8BITMIME SMTPUTF8"),
        (Envelope(A, (), smtputf8=True), ASCII, ALL, "MAIL FROM:<a@clinic.test> SIZE=17"),
        (Envelope(A, (), smtputf8=True), ASCII, NONE, "MAIL FROM:<a@clinic.test>"),
        (
            Envelope(A, (), envelope_id="Q+2BQ", dsn_return=DsnReturn.FULL),
            ASCII,
            offered("DSN"),
            "MAIL FROM:<a@clinic.test> RET=FULL ENVID=Q+2BQ",
        ),
        (Envelope(A, (), envelope_id="x y"), ASCII, offered("DSN"), "MAIL FROM:<a@clinic.test>"),
        (Envelope(A, (), envelope_id="x", dsn_return=DsnReturn.HDRS), ASCII, NONE, "MAIL FROM:<a@clinic.test>"),
    ],
)
def test_mail(envelope: Envelope, content: WholeContent, extensions: Extensions, line: str) -> None:
    assert mail_command(envelope, content, extensions).decode() == line


@pytest.mark.parametrize(
    ("recipient", "extensions", "line"),
    [
        (Recipient(A), ALL, "RCPT TO:<a@clinic.test>"),
        (Recipient(A, Notify.NEVER, "rfc822;A@x"), ALL, "RCPT TO:<a@clinic.test> NOTIFY=NEVER ORCPT=rfc822;A@x"),
        (Recipient(A, Notify.FAILURE), NONE, "RCPT TO:<a@clinic.test>"),
        (Recipient(A, None, "rfc822;a\r\nDATA"), ALL, "RCPT TO:<a@clinic.test>"),
        (Recipient(A, None, "utf-8;ä@x"), offered("DSN"), r"RCPT TO:<a@clinic.test> ORCPT=utf-8;\x{E4}@x"),
        (Recipient(A, None, "utf-8;渡@x"), ALL, r"RCPT TO:<a@clinic.test> ORCPT=utf-8;\x{6E21}@x"),
        (Recipient(UMLAUT, None, "utf-8;ä@x"), ALL, "RCPT TO:<ä@clinic.test> ORCPT=utf-8;ä@x"),
        (Recipient(A, None, "rfc822;ä@x"), ALL, "RCPT TO:<a@clinic.test>"),
    ],
)
def test_rcpt(recipient: Recipient, extensions: Extensions, line: str) -> None:
    assert rcpt_command(recipient, extensions).decode() == line


@pytest.mark.parametrize(
    ("envelope", "size", "extensions", "cause"),
    [
        (Envelope(A, ()), 1000, ALL, None),
        (Envelope(A, ()), 1001, ALL, Cause.TOO_LARGE),
        (Envelope(A, ()), 1001, offered("SIZE 0"), None),
        (Envelope(A, ()), 1001, offered("SIZE"), None),
        (Envelope(A, ()), 1001, offered("SIZE many"), None),
        (Envelope(UMLAUT, ()), 1, ALL, None),
        (Envelope(UMLAUT, ()), 1, NONE, Cause.SMTPUTF8_MISSING),
        (Envelope(A, (Recipient(A), Recipient(UMLAUT))), 1, NONE, Cause.SMTPUTF8_MISSING),
        (Envelope(A, (), smtputf8=True), 1, NONE, None),
    ],
)
def test_misfit(envelope: Envelope, size: int, extensions: Extensions, cause: Cause | None) -> None:
    assert misfit_of(envelope, WholeContent(b"x" * size), extensions) is cause


def test_extensions() -> None:
    found = offered("size 35882577", "AUTH LOGIN xoauth2", "AUTH=LOGIN PLAIN", "enhancedstatuscodes")
    assert found.size_limit == 35882577
    assert found.mechanisms == ("LOGIN", "XOAUTH2", "PLAIN")
    assert "ENHANCEDSTATUSCODES" in found
    assert "DSN" not in found
