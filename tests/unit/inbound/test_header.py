import time

import pytest

from relay.address import Mailbox
from relay.envelope import Origin
from relay.inbound.header_section import read_header_section
from relay.inbound.received import completed, date_text, message_id_for, received_field
from relay.message.address_list import mailboxes_in

AT = 1_700_000_000_000
A, C = Mailbox("a", "b.test"), Mailbox("c", "d.test")


@pytest.mark.parametrize(("value", "found"), [
    (" a@b.test", [A]),
    (" Anna <a@b.test>", [A]),
    (" <a@b.test>\r\n", [A]),
    ("\r\n\tAnna\r\n <a@b.test>", [A]),
    (' "c@d.test" <a@b.test>', [A]),
    (' "c@d.test, <c@d.test>" <a@b.test>', [A]),
    (" c@d.test <a@b.test>", [A]),
    (" (c@d.test) a@b.test (again (nested) <c@d.test>)", [A]),
    (" =?utf-8?Q?c=40d.test?= <a@b.test>", [A]),
    (" Anna <a@b.test>, Carl <c@d.test>", [A, C]),
    (" a@b.test,c@d.test,", [A, C]),
    (" Staff: a@b.test, c@d.test;", [A, C]),
    (' "Anna \\" <c@d.test>" <a@b.test>', [A]),
    (" Grüße <a@b.test>", [A]),
    (" <a@b.test> <c@d.test>", [None]),
    (" <a@b.test> c@d.test", [None]),
    (" a@b.test c@d.test", [None]),
    (" Anna", [None]),
    (" <>", [None]),
    (" (a@b.test", [None]),
    (' "a@b.test', [None]),
    (" a@b.test)", [None]),
    (' (" ) <c@d.test> (") <a@b.test>', [None]),
    (' "c@d.test <a@b.test>', [None]),
    (" a@b.test (\\)) c@d.test", [None]),
    ("", []),
    (" Nobody:;", []),
])  # fmt: skip
def test_authors(value: str, found: list[Mailbox | None]) -> None:
    assert mailboxes_in(value.encode()) == found


@pytest.mark.parametrize(
    "value", [b" " * 250_000, b"a " * 120_000, b'"' * 250_000, b"(" * 250_000, b"a@b.test," * 25_000]
)
def test_long_values_take_no_long_time(value: bytes) -> None:
    began = time.process_time()
    mailboxes_in(value + b"!")
    assert time.process_time() - began < 2.0


def test_octets_that_are_no_utf8() -> None:
    assert mailboxes_in(b" Gr\xfc\xdfe <a@b.test>") == [A]
    assert mailboxes_in(b" gr\xfc\xdfe@b.test") == [None]


HEADER = (
    b"Received: from x\r\n by y\r\nreceived: from z\r\nX-From: c@d.test\r\nFROM : Anna\r\n <a@b.test>\r\n"
    b"Subject: From: c@d.test\r\n Bcc: folded\r\nBCC: c@d.test,\r\n  e@f.test\r\n"
    b"Message-Id: <1@x>\r\nResent-Bcc: g@h.test\r\n"
)


def test_what_we_have_to_know() -> None:
    section = read_header_section(HEADER)
    assert section.received == 2
    assert section.authors == (A,)
    assert section.header_from == "a@b.test"
    assert section.message_id == "<1@x>"
    assert (section.has_message_id, section.has_date, section.has_mime_version) == (True, False, False)
    assert [HEADER[start:end] for start, end in section.blind] == [
        b"BCC: c@d.test,\r\n  e@f.test\r\n",
        b"Resent-Bcc: g@h.test\r\n",
    ]


def test_two_from_fields_are_both_judged() -> None:
    assert read_header_section(b"From: a@b.test\r\nfrom: c@d.test\r\n").authors == (A, C)


def test_what_is_added_and_taken_out() -> None:
    section = read_header_section(HEADER)
    edited = completed(HEADER, section, b"Received: ours\r\n", "relay.test", "ID1", AT)
    assert edited.startswith(b"Received: ours\r\nReceived: from x\r\n by y\r\n")
    assert b"BCC" not in edited
    assert b"Resent-Bcc" not in edited
    assert b"Subject: From: c@d.test\r\n Bcc: folded\r\n" in edited
    assert edited.endswith(b"Message-Id: <1@x>\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\nMIME-Version: 1.0\r\n")


def test_an_empty_section() -> None:
    edited = completed(b"", read_header_section(b""), b"Received: ours\r\n", "relay.test", "ID1", AT)
    assert edited == (
        b"Received: ours\r\nMessage-ID: <ID1@relay.test>\r\n"
        b"Date: Tue, 14 Nov 2023 22:13:20 +0000\r\nMIME-Version: 1.0\r\n"
    )
    assert message_id_for("relay.test", "ID1") == "<ID1@relay.test>"


@pytest.mark.parametrize(("tls", "mechanism", "extended", "smtputf8", "protocol"), [
    (None, None, False, False, "SMTP"),
    (None, None, True, False, "ESMTP"),
    ("TLSv1.3", None, True, False, "ESMTPS"),
    (None, "PLAIN", True, False, "ESMTPA"),
    ("TLSv1.3", "PLAIN", True, False, "ESMTPSA"),
    ("TLSv1.3", "PLAIN", True, True, "UTF8SMTPSA"),
])  # fmt: skip
def test_received(tls: str | None, mechanism: str | None, extended: bool, smtputf8: bool, protocol: str) -> None:
    origin = Origin("door", "careright", "2001:db8::1", "pc\r\nX: y", tls, mechanism)
    field = received_field(origin, "relay.test", "ID1", extended=extended, smtputf8=smtputf8, at=AT).decode()
    assert field.startswith(
        "Received: from pc??X:?y ([IPv6:2001:db8::1])\r\n\tby relay.test with " + protocol + " id ID1\r\n"
    )
    assert field.endswith(f"; {date_text(AT)}\r\n")
    assert "(client careright" in field
    assert " for " not in field
