import pytest

from relay.address import Mailbox
from relay.envelope import Body, DsnReturn, Notify, Recipient
from relay.inbound import replies
from relay.inbound.parameters import MailArguments, mail_arguments, rcpt_arguments
from relay.reply import Reply

A = Mailbox("a", "b.test")


@pytest.mark.parametrize(("argument", "found"), [
    ("FROM:<a@b.test>", MailArguments(A)),
    ("from: <a@b.test>", MailArguments(A)),
    ("FROM:a@b.test", MailArguments(A)),
    ("FROM:<>", MailArguments(None)),
    ("FROM:<> BODY=8BITMIME", MailArguments(None, body=Body.EIGHT_BIT_MIME)),
    ("FROM:<@one.test,@two.test:a@b.test>", MailArguments(A)),
    ("FROM:<a@b.test> SIZE=12345 body=8bitmime", MailArguments(A, 12345, Body.EIGHT_BIT_MIME)),
    ("FROM:<a@b.test> AUTH=<> BODY=8BITMIME", MailArguments(A, body=Body.EIGHT_BIT_MIME)),
    ("FROM:<a@b.test> ENVID=+20+7E", MailArguments(A, envelope_id="+20+7E")),
    ("FROM:<a@b.test> RET=full ENVID=Aa+2B", MailArguments(A, envelope_id="Aa+2B", dsn_return=DsnReturn.FULL)),
    ("FROM:<ü@b.test> SMTPUTF8", MailArguments(Mailbox("ü", "b.test"), smtputf8=True)),
    ('FROM:<"a> b"@b.test>', MailArguments(Mailbox('"a> b"', "b.test"))),
    ("FROM:<a@[127.0.0.1]>", MailArguments(Mailbox("a", "[127.0.0.1]"))),
    ("TO:<a@b.test>", replies.MAIL_SYNTAX),
    ("", replies.MAIL_SYNTAX),
    ("FROM:", replies.BAD_REVERSE_PATH),
    ("FROM:<a@b.test", replies.BAD_REVERSE_PATH),
    ("FROM:<a@b.test>SIZE=1", replies.BAD_REVERSE_PATH),
    ("FROM:<a@b..test>", replies.BAD_REVERSE_PATH),
    ("FROM:<a@>", replies.BAD_REVERSE_PATH),
    ("FROM:<postmaster>", replies.BAD_REVERSE_PATH),
    ("FROM:< a@b.test >", replies.BAD_REVERSE_PATH),
    ("FROM:<ü@b.test>", replies.SMTPUTF8_NEEDED),
])  # fmt: skip
def test_mail(argument: str, found: MailArguments | Reply) -> None:
    assert mail_arguments(argument.encode(), extended=True) == found


@pytest.mark.parametrize(("parameters", "code"), [
    ("SIZE=", 501), ("SIZE", 501), ("SIZE=-1", 501), ("SIZE=1e3", 501), ("SIZE=²", 501), ("SIZE=1 SIZE=2", 501),
    ("BODY=BINARYMIME", 501), ("BODY", 501), ("SMTPUTF8=1", 501), ("RET=NONE", 501), ("ENVID=a=b", 501),
    ("ENVID=+zz", 501), (f"ENVID={'x' * 101}", 501), ("ENVID=+C3+A9", 501), ("ENVID=+7F", 501), ("ENVID=+0D", 501),
    ("AUTH", 501), ("=x", 501), ("MT-PRIORITY=3", 555),
    ("NOTIFY=NEVER", 555),
])  # fmt: skip
def test_mail_parameters_that_do_not_hold(parameters: str, code: int) -> None:
    found = mail_arguments(f"FROM:<a@b.test> {parameters}".encode(), extended=True)
    assert isinstance(found, Reply)
    assert (found.code, str(found.status)) == (code, "5.5.4")


def test_parameters_need_ehlo() -> None:
    assert mail_arguments(b"FROM:<a@b.test> SIZE=1", extended=False) == replies.MAIL_SYNTAX
    assert rcpt("TO:<a@b.test> NOTIFY=NEVER", extended=False) == replies.RCPT_SYNTAX


def rcpt(argument: str, *, extended: bool = True, smtputf8: bool = False) -> Recipient | Reply:
    return rcpt_arguments(argument.encode(), extended=extended, smtputf8=smtputf8, hostname="relay.test")


@pytest.mark.parametrize(("argument", "found"), [
    ("TO:<a@b.test>", Recipient(A)),
    ("To: a@b.test", Recipient(A)),
    ("TO:<postmaster>", Recipient(Mailbox("postmaster", "relay.test"))),
    ("TO:<a@b.test> NOTIFY=never", Recipient(A, Notify.NEVER)),
    ("TO:<a@b.test> notify=Success,DELAY", Recipient(A, Notify.SUCCESS | Notify.DELAY)),
    ("TO:<a@b.test> orcpt=rfc822;A+40B", Recipient(A, None, "rfc822;A+40B")),
    ("TO:<>", replies.BAD_FORWARD_PATH),
    ("TO:", replies.BAD_FORWARD_PATH),
    ("TO:<somebody>", replies.BAD_FORWARD_PATH),
    ("TO:<a@b.test> <c@d.test>", replies.bad_parameter("Malformed parameter")),
    ("FROM:<a@b.test>", replies.RCPT_SYNTAX),
    ("TO:<ü@b.test>", replies.SMTPUTF8_NEEDED),
])  # fmt: skip
def test_rcpt(argument: str, found: Recipient | Reply) -> None:
    assert rcpt(argument) == found


@pytest.mark.parametrize(("parameters", "code"), [
    ("NOTIFY=", 501), ("NOTIFY=NEVER,DELAY", 501), ("NOTIFY=SOMETIMES", 501), ("ORCPT=a@b.test", 501),
    ("ORCPT=rfc822;", 501), ("ORCPT=rfc822;a=b", 501), ("ORCPT=rfc822;ü", 501), ("RET=FULL", 555),
])  # fmt: skip
def test_rcpt_parameters_that_do_not_hold(parameters: str, code: int) -> None:
    found = rcpt(f"TO:<a@b.test> {parameters}")
    assert isinstance(found, Reply)
    assert (found.code, str(found.status)) == (code, "5.5.4")


def test_an_internationalized_original_recipient() -> None:
    found = rcpt("TO:<ü@b.test> ORCPT=utf-8;ü@b.test", smtputf8=True)
    assert found == Recipient(Mailbox("ü", "b.test"), None, "utf-8;ü@b.test")


@pytest.mark.parametrize("smtputf8", [False, True])
@pytest.mark.parametrize(("point", "holds"), [
    ("2B", True), ("E4", True), ("6E21", True), ("D7FF", True), ("1F600", True), ("10FFFF", True),
    ("FFFFFFF", False), ("110000", False), ("D800", False), ("0041", False), ("e4", True), ("", False),
])  # fmt: skip
def test_an_original_recipient_names_letters_that_there_are(point: str, holds: bool, smtputf8: bool) -> None:
    found = rcpt(rf"TO:<a@b.test> ORCPT=utf-8;a\x{{{point}}}@b.test", smtputf8=smtputf8)
    assert isinstance(found, Recipient) is holds
