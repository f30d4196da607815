"""The corpus through rewriting, disclaimer and Bcc, read back by Python's own parser."""

import asyncio
import email
import email.policy
import html
import re
from email.message import Message

import pytest

from relay.address import Mailbox
from relay.envelope import Content, Envelope, Recipient, WholeContent
from relay.inbound.header_section import read_header_section
from relay.inbound.line_ends import ContentReader
from relay.inbound.received import completed
from relay.transfer.disclaimer import Disclaimer, disclaimer_of
from relay.transfer.disclaiming import Walk
from relay.transfer.presentation import presented
from relay.transfer.rewriting import Face
from tests.rig.corpus import Specimen, corpus

CORPUS = corpus()
TEXT = "Vertraulich – nur für Sie ✓\nNot for anybody else."
ACCOUNT = Mailbox("no-reply", "clinic.test")
SHORT = re.sub(r"\s+", " ", TEXT)


def disclaimer() -> Disclaimer:
    found = disclaimer_of(TEXT, None)
    assert found is not None
    return found


def walked(octets: bytes, piece: int) -> bytes:
    walk = Walk(disclaimer())
    said = [walk.feed(octets[at : at + piece]) for at in range(0, len(octets), piece)]
    return b"".join([*said, walk.finish()])


def leaves(octets: bytes) -> list[Message]:
    parsed = email.message_from_bytes(octets, policy=email.policy.compat32)
    return [part for part in parsed.walk() if not part.is_multipart()]


def said_in(part: Message) -> str:
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    charset = part.get_content_charset() or "us-ascii"
    try:
        text = payload.decode(charset, "replace")
    except (LookupError, UnicodeError):
        text = payload.decode("ascii", "replace")
    if part.get_content_type() == "text/html":
        text = html.unescape(re.sub(r"<[^>]*>", " ", text))
    return re.sub(r"\s+", " ", text)


def raw(part: Message) -> tuple[list[tuple[str, str]], object]:
    return part.items(), part.get_payload()


def test_there_are_enough() -> None:
    assert len(CORPUS) >= 120
    assert len({specimen.title for specimen in CORPUS}) == len(CORPUS)


@pytest.mark.parametrize("specimen", CORPUS, ids=str)
def test_the_disclaimer_is_where_it_belongs_and_nothing_else_changed(specimen: Specimen) -> None:
    after = walked(specimen.octets, len(specimen.octets))
    before_parts, after_parts = leaves(specimen.octets), leaves(after)
    assert len(before_parts) == len(after_parts)
    changed = {"text/plain": 0, "text/html": 0}
    for old, new in zip(before_parts, after_parts, strict=True):
        if raw(old) == raw(new):
            continue
        kind = "text/html" if old.get_content_type() == "text/html" else "text/plain"
        changed[kind] += 1
        assert new.get_content_type() == old.get_content_type()
        same = {"content-type", "content-transfer-encoding"}
        assert [one for one in old.items() if one[0].lower() not in same] == [
            one for one in new.items() if one[0].lower() not in same
        ]
        if specimen.loses or kind == "text/plain":
            assert specimen.loses or said_in(new).count(SHORT) == 1
            assert "Not for anybody else." in said_in(new)
        else:
            assert said_in(new).count(SHORT) == 1
        if "\ufffd" not in said_in(old) and not specimen.loses:
            assert said_in(new).replace(SHORT, "").split() == said_in(old).split()
    assert changed == {"text/plain": specimen.plain, "text/html": specimen.html}


@pytest.mark.parametrize("specimen", CORPUS, ids=str)
def test_what_comes_in_pieces_comes_out_the_same(specimen: Specimen) -> None:
    whole = walked(specimen.octets, len(specimen.octets))
    sizes = (4096, 61) if len(specimen.octets) > 10_000 else (61, 7, 1)
    for piece in sizes:
        assert walked(specimen.octets, piece) == whole


@pytest.mark.parametrize("specimen", CORPUS, ids=str)
def test_once_only(specimen: Specimen) -> None:
    once = walked(specimen.octets, len(specimen.octets))
    if not specimen.loses:
        assert walked(once, len(once)) == once


@pytest.mark.parametrize("specimen", CORPUS, ids=str)
def test_another_author_and_no_bcc(specimen: Specimen) -> None:
    reader = ContentReader()
    octets = b"Bcc: secret@x.test,\r\n other@x.test\r\n" + specimen.octets
    body = bytes(reader.feed(octets)) + reader.finish()
    assert reader.header is not None
    section = read_header_section(reader.header)
    header = completed(reader.header, section, b"Received: x\r\n", "relay.test", "ID", 0)
    came = header + (b"\r\n" + body if body or reader.separated else b"")
    assert b"secret@x.test" not in came
    envelope = Envelope(Mailbox("dr", "north.test"), (Recipient(Mailbox("p", "example.test")),))
    face = Face("m365", "rewrite", ACCOUNT, frozenset({ACCOUNT.key}))
    found = asyncio.run(presented(envelope, WholeContent(came), face))
    gone = b"".join(asyncio.run(chunks_of(found.content)))
    expected = came.replace(
        b"From: Dr Smith <dr@north.test>\r\n",
        b"From: Dr Smith <no-reply@clinic.test>\r\nReply-To: Dr Smith <dr@north.test>\r\n",
        1,
    )
    assert gone == expected
    assert found.envelope.reverse_path == ACCOUNT
    assert found.content.size == len(expected)


async def chunks_of(content: Content) -> list[bytes]:
    return [chunk async for chunk in content.chunks()]
