import email
import email.policy

import pytest

from relay.address import Mailbox, parse_mailbox
from relay.upstream.graph_header import header_for, placement_of


def _mailbox(text: str) -> Mailbox:
    found = parse_mailbox(text)
    assert found is not None
    return found


def _rewritten(header: str, *recipients: str) -> str:
    octets = "".join(f"{line}\r\n" for line in header.split("\n")).encode()
    meant = [_mailbox(address) for address in recipients]
    return header_for(octets, placement_of(octets, meant)).decode().replace("\r\n", "\n").rstrip("\n")


CASES = [
    ("To: a@x.test", ("a@x.test",), "To: <a@x.test>"),
    ("to : Bo <a@x.test>", ("A@X.test",), "To: Bo <A@X.test>"),
    ('To: "Bo, C." <a@x.test>', ("a@x.test",), 'To: "Bo, C." <a@x.test>'),
    ("To: C. Bo <a@x.test>", ("a@x.test",), 'To: "C. Bo" <a@x.test>'),
    ("To: bo@home <a@x.test>", ("a@x.test",), 'To: "bo@home" <a@x.test>'),
    ("To: Åsa Ö <a@x.test>", ("a@x.test",), "To: =?utf-8?b?w4VzYSDDlg==?= <a@x.test>"),
    ("To: =?utf-8?q?=C3=85?= <a@x.test>", ("a@x.test",), "To: =?utf-8?q?=C3=85?= <a@x.test>"),
    ("To: a@x.test,\n b@x.test", ("b@x.test", "a@x.test"), "To: <a@x.test>,\n <b@x.test>"),
    ("To: a@x.test\nTo: b@x.test", ("a@x.test", "b@x.test"), "To: <a@x.test>,\n <b@x.test>"),
    ("To: a@x.test\nCc: a@x.test", ("a@x.test",), "To: <a@x.test>"),
    ("To: a@x.test", ("b@x.test",), "Bcc: <b@x.test>"),
    ("To: a@x.test\nBcc: b@x.test\nresent-bcc: c@x.test", ("a@x.test",), "To: <a@x.test>"),
    # What is not one address for certain is none.
    ("To: <a@x.test> <b@x.test>", ("a@x.test", "b@x.test"), "Bcc: <a@x.test>,\n <b@x.test>"),
    ("To: a b@x.test", ("b@x.test",), "Bcc: <b@x.test>"),
    ("To: <a@x.test", ("a@x.test",), "Bcc: <a@x.test>"),
    ("To: a@x.test (b@x.test (c))", ("a@x.test", "b@x.test"), "Bcc: <a@x.test>,\n <b@x.test>"),
    ('To: "a@x.test', ("a@x.test",), "Bcc: <a@x.test>"),
    ("To: Team:a@x.test;, b@x.test", ("a@x.test", "b@x.test"), "To: <a@x.test>,\n <b@x.test>"),
    ("To: <@route.test:a@x.test>", ("a@x.test",), "To: <a@x.test>"),
    # From as Graph reads it
    ("From: n@x.test", ("a@x.test",), "From: <n@x.test>\nBcc: <a@x.test>"),
    ("From: n@x.test, o@x.test", ("a@x.test",), "From: n@x.test, o@x.test\nBcc: <a@x.test>"),
    ("From: The n@x <n@x.test>\nX: y", ("a@x.test",), 'From: "The n@x" <n@x.test>\nX: y\nBcc: <a@x.test>'),
]


@pytest.mark.parametrize(("header", "recipients", "rewritten"), CASES)
def test_the_header_names_the_envelope(header: str, recipients: tuple[str, ...], rewritten: str) -> None:
    assert _rewritten(header, *recipients) == rewritten


@pytest.mark.parametrize(("header", "recipients", "rewritten"), CASES)
def test_another_parser_finds_the_same_recipients(header: str, recipients: tuple[str, ...], rewritten: str) -> None:
    parsed = email.message_from_string(_rewritten(header, *recipients), policy=email.policy.default)
    named = [
        one.addr_spec for key in ("To", "Cc", "Bcc") for field in parsed.get_all(key, []) for one in field.addresses
    ]
    assert sorted(named) == sorted(recipients)


def test_many_recipients_are_folded() -> None:
    recipients = [f"patient-{number}@x.test" for number in range(500)]
    assert max(map(len, _rewritten("Subject: x", *recipients).split("\n"))) < 80
