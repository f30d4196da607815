"""Parsers of what strangers say: they never raise, and what they accept is harmless to pass on."""

import ipaddress
import re

from hypothesis import example, given
from hypothesis import strategies as st

from relay.envelope import Origin
from relay.inbound.authentication import Attempt, decoded, exchange
from relay.inbound.header_section import read_header_section
from relay.inbound.line_ends import ContentReader
from relay.inbound.parameters import mail_arguments, rcpt_arguments
from relay.inbound.proxy_header import proxy_header
from relay.inbound.received import completed, received_field
from relay.message.address_list import mailboxes_in
from relay.reply import Reply

_WORDS = [
    b"FROM:",
    b"TO:",
    b"<",
    b">",
    b"a@b.test",
    b"@",
    b'"',
    b"\\",
    b" ",
    b"SIZE=",
    b"BODY=",
    b"8BITMIME",
    b"AUTH=<>",
]
_WORDS += [
    b"RET=FULL",
    b"ENVID=",
    b"NOTIFY=",
    b"NEVER",
    b"ORCPT=rfc822;",
    b"SMTPUTF8",
    b"=",
    b",",
    b"+41",
    b"9",
    b"\xc3\xbc",
]
_COMMAND = st.one_of(st.binary(max_size=200), st.lists(st.sampled_from(_WORDS), max_size=15).map(b"".join))
_CONTROL = re.compile(r"[\x00-\x1f\x7f\s]")


@given(_COMMAND, st.booleans())
@example(b"FROM:<" + b'"' * 4000, True)
@example(b"FROM:<" + b"a@" * 2000 + b">", True)
def test_mail(argument: bytes, extended: bool) -> None:
    found = mail_arguments(argument, extended=extended)
    if isinstance(found, Reply):
        assert found.permanent
    elif found.reverse_path is not None:
        assert found.reverse_path.domain
        assert found.smtputf8 or found.reverse_path.ascii
        assert not _CONTROL.search(found.reverse_path.domain)


@given(_COMMAND, st.booleans(), st.booleans())
def test_rcpt(argument: bytes, extended: bool, smtputf8: bool) -> None:
    found = rcpt_arguments(argument, extended=extended, smtputf8=smtputf8, hostname="relay.test")
    if isinstance(found, Reply):
        assert found.permanent
    else:
        assert found.forward_path.domain
        assert found.original is None or not _CONTROL.search(found.original)


@given(
    st.binary(max_size=300),
    st.sampled_from(["PLAIN", "LOGIN", "CRAM-MD5"]),
    st.lists(st.binary(max_size=100), max_size=4),
)
def test_authentication(initial: bytes, mechanism: str, responses: list[bytes]) -> None:
    decoded(initial)
    dialogue = exchange(mechanism, initial, b"<challenge>")
    assert dialogue is not None
    try:
        next(dialogue)
        for response in responses:
            dialogue.send(response)
    except StopIteration as end:
        attempt: Attempt | None = end.value
        assert attempt is None or not attempt.proven_by("the right one")


_FROM = st.lists(
    st.sampled_from(
        ["a@b.test", "c@d.test", "<", ">", '"', "(", ")", ",", ";", ":", "\\", " ", "Anna", "@", ".", "\r\n "]
    ),
    max_size=12,
).map("".join)


@given(_FROM)
def test_every_address_a_reader_may_see_is_judged(value: str) -> None:
    """If From names the good address only, no other address stands outside quotes and comments."""
    found = mailboxes_in(value.encode())
    good = [mailbox for mailbox in found if mailbox is not None and mailbox.key == "a@b.test"]
    if good and len(good) == len(found):
        bare = re.sub(r'"(?:[^"\\]|\\.)*"', "", value.replace("\r\n", ""))
        assert re.findall(r"<[^<>]*c@d\.test[^<>]*>", re.sub(r"\([^()]*\)", "", bare)) == []


@given(st.binary(max_size=400))
def test_header_section(octets: bytes) -> None:
    reader = ContentReader()
    reader.feed(octets + b"\r\n\r\n")
    header = reader.header
    assert header is not None
    section = read_header_section(header)
    edited = completed(header, section, b"Received: x\r\n", "relay.test", "ID", 1_700_000_000_000)
    again = ContentReader()
    assert again.feed(edited + b"\r\nbody") == b"body"
    assert again.header == edited
    fresh = read_header_section(edited)
    assert (fresh.has_date, fresh.has_message_id, fresh.has_mime_version, fresh.blind) == (True, True, True, ())
    assert fresh.received == section.received + 1


@given(st.text(max_size=300), st.text(max_size=80))
def test_received_field_is_one_field(helo: str, client: str) -> None:
    field = received_field(
        Origin("l", client, "::1", helo, "TLSv1.3", "PLAIN"), "relay.test", "ID", extended=True, smtputf8=False, at=0
    )
    reader = ContentReader()
    reader.feed(field + b"\r\n")
    assert reader.header == field
    assert field.isascii()
    assert len(re.findall(rb"\r\n(?![ \t])", field)) == 1


@given(
    st.one_of(
        st.binary(max_size=300),
        st.binary(max_size=80).map(lambda tail: b"PROXY TCP4 " + tail + b"\r\n"),
        st.binary(max_size=60).map(lambda tail: b"\r\n\r\n\x00\r\nQUIT\n" + tail),
    )
)
def test_proxy_header(octets: bytes) -> None:
    header = proxy_header()
    wanted = next(header)
    position = 0
    found: object = None
    try:
        while position + wanted <= len(octets):
            piece = octets[position : position + wanted]
            position += wanted
            wanted = header.send(piece)
            assert 0 < wanted <= 4096
    except ValueError:
        return
    except StopIteration as end:
        found = end.value
    assert found is None or isinstance(found, ipaddress.IPv4Address | ipaddress.IPv6Address)
