import pytest

from relay.simulator.command import Path, Refusal, chunk_size, helo_name, mail_path, rcpt_path, split

ALL = frozenset({"SIZE", "8BITMIME", "BINARYMIME", "SMTPUTF8", "DSN", "AUTH", "CHUNKING"})


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"NOOP\r\n", ("NOOP", "")),
        (b"mail FROM:<a@b.test>\r\n", ("MAIL", "FROM:<a@b.test>")),
        (b"EHLO  two.blanks\r\n", ("EHLO", " two.blanks")),
        ("RCPT TO:<é@b.test>\r\n".encode(), ("RCPT", "TO:<é@b.test>")),
    ],
)
def test_a_line_is_parted(line: bytes, expected: tuple[str, str]) -> None:
    assert split(line) == expected


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"NOOP\n", "syntax"),
        (b"NOOP\r\r\n", "syntax"),
        (b"NO\rOP\r\n", "syntax"),
        (b"NOOP \0\r\n", "syntax"),
        (b"RCPT TO:<\xff@b.test>\r\n", "syntax"),
        (b"NOOP " + b"x" * 506 + b"\r\n", "line_too_long"),
        (b"RCPT " + b"x" * 1200 + b"\r\n", "line_too_long"),
        (b"AUTH " + b"x" * 12_300 + b"\r\n", "line_too_long"),
    ],
)
def test_a_wrong_line_is_refused(line: bytes, text: str) -> None:
    refusal = split(line)
    assert isinstance(refusal, Refusal)
    assert refusal.text == text


@pytest.mark.parametrize("octets", [505, 504])
def test_a_line_of_just_512_octets_passes(octets: int) -> None:
    assert split(b"NOOP " + b"x" * octets + b"\r\n") == ("NOOP", "x" * octets)


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("FROM:<a@b.test>", Path("a@b.test")),
        ("from:<a@b.test>", Path("a@b.test")),
        ("FROM:<>", Path("")),
        ('FROM:<"a b"@b.test>', Path('"a b"@b.test')),
        ('FROM:<"a>b"@b.test>', Path('"a>b"@b.test')),
        ("FROM:<a@[127.0.0.1]>", Path("a@[127.0.0.1]")),
        ("FROM:<a@[IPv6:::1]>", Path("a@[IPv6:::1]")),
        ("FROM:<é@b.test> SMTPUTF8", Path("é@b.test", {"SMTPUTF8": None})),
        ("FROM:<a@b.test> size=12 BODY=8BITMIME", Path("a@b.test", {"SIZE": "12", "BODY": "8BITMIME"})),
        ("FROM:<a@b.test> RET=HDRS ENVID=QQ+2B1", Path("a@b.test", {"RET": "HDRS", "ENVID": "QQ+2B1"})),
        ("FROM:<a@b.test> AUTH=<>", Path("a@b.test", {"AUTH": "<>"})),
    ],
)
def test_mail_is_read(argument: str, expected: Path) -> None:
    assert mail_path(argument, ALL) == expected


@pytest.mark.parametrize(
    ("argument", "text"),
    [
        ("", "syntax_argument"),
        ("TO:<a@b.test>", "syntax_argument"),
        ("FROM: <a@b.test>", "syntax_argument"),
        ("FROM:a@b.test", "syntax_argument"),
        ("FROM:<a@b.test", "syntax_argument"),
        ("FROM:<a@b.test>SIZE=1", "syntax_argument"),
        ("FROM:<a b@b.test>", "syntax_argument"),
        ("FROM:<a..b@b.test>", "sender_syntax"),
        ("FROM:<.a@b.test>", "sender_syntax"),
        ("FROM:<ab.test>", "sender_syntax"),
        ("FROM:<a@b_.test>", "sender_syntax"),
        ("FROM:<a@b.test.>", "sender_syntax"),
        ("FROM:<a@-b.test>", "sender_syntax"),
        ("FROM:<@x,@y:a@b.test>", "sender_syntax"),
        ("FROM:<" + "a" * 65 + "@b.test>", "sender_syntax"),
        ("FROM:<a@b.test> ", "parameter"),
        ("FROM:<a@b.test>  SIZE=1", "parameter"),
        ("FROM:<a@b.test> SIZE=1 SIZE=2", "parameter"),
        ("FROM:<a@b.test> SIZE=", "parameter"),
        ("FROM:<a@b.test> SIZE=x", "parameter"),
        ("FROM:<a@b.test> SIZE", "parameter"),
        ("FROM:<a@b.test> BODY=9BIT", "parameter"),
        ("FROM:<a@b.test> RET=SOME", "parameter"),
        ("FROM:<a@b.test> ENVID=a+zz", "parameter"),
        ("FROM:<a@b.test> SMTPUTF8=1", "parameter"),
        ("FROM:<a@b.test> NOTIFY=NEVER", "parameter"),
        ("FROM:<a@b.test> MT-PRIORITY=3", "parameter"),
    ],
)
def test_a_wrong_mail_is_refused(argument: str, text: str) -> None:
    refusal = mail_path(argument, ALL)
    assert isinstance(refusal, Refusal), refusal
    assert refusal.text == text


@pytest.mark.parametrize(
    ("argument", "offered"),
    [
        ("FROM:<a@b.test> SIZE=1", {"8BITMIME"}),
        ("FROM:<a@b.test> BODY=8BITMIME", {"SIZE"}),
        ("FROM:<a@b.test> BODY=BINARYMIME", {"8BITMIME"}),
        ("FROM:<a@b.test> RET=FULL", {"SIZE"}),
        ("FROM:<a@b.test> SMTPUTF8", {"SIZE"}),
    ],
)
def test_what_is_not_offered_may_not_be_used(argument: str, offered: set[str]) -> None:
    refusal = mail_path(argument, frozenset(offered))
    assert isinstance(refusal, Refusal)
    assert refusal.text == "parameter"
    assert isinstance(mail_path(argument, ALL), Path)


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("TO:<a@b.test>", Path("a@b.test")),
        ("TO:<Postmaster>", Path("Postmaster")),
        ("TO:<a@b.test> NOTIFY=SUCCESS,DELAY", Path("a@b.test", {"NOTIFY": "SUCCESS,DELAY"})),
        ("TO:<a@b.test> ORCPT=rfc822;a+2Bb@c.test", Path("a@b.test", {"ORCPT": "rfc822;a+2Bb@c.test"})),
    ],
)
def test_rcpt_is_read(argument: str, expected: Path) -> None:
    assert rcpt_path(argument, ALL) == expected


@pytest.mark.parametrize(
    ("argument", "text"),
    [
        ("TO:<>", "recipient_syntax"),
        ("TO:<ab>", "recipient_syntax"),
        ("TO:<a@b.test> NOTIFY=NEVER,DELAY", "parameter"),
        ("TO:<a@b.test> NOTIFY=DELAY,DELAY", "parameter"),
        ("TO:<a@b.test> NOTIFY=", "parameter"),
        ("TO:<a@b.test> ORCPT=a@c.test", "parameter"),
        ("TO:<a@b.test> SIZE=1", "parameter"),
    ],
)
def test_a_wrong_rcpt_is_refused(argument: str, text: str) -> None:
    refusal = rcpt_path(argument, ALL)
    assert isinstance(refusal, Refusal), refusal
    assert refusal.text == text


@pytest.mark.parametrize(
    ("argument", "extended", "allowed"),
    [
        ("relay.clinic.test", True, True),
        ("relay", True, True),
        ("[127.0.0.1]", True, True),
        ("[127.0.0.1]", False, False),
        ("", True, False),
        ("two words", True, False),
        ("under_score", True, False),
    ],
)
def test_the_name_in_ehlo(argument: str, extended: bool, allowed: bool) -> None:
    assert isinstance(helo_name(argument, extended=extended), str) is (allowed)


def test_bdat() -> None:
    assert chunk_size("12") == (12, False)
    assert chunk_size("0 last") == (0, True)
    for wrong in ("", "x", "-1", "12 FIRST", "12  LAST"):
        assert isinstance(chunk_size(wrong), Refusal), wrong
