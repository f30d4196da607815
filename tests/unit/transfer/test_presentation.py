"""A message as an upstream gets it, whole or as a stream."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from relay.address import Mailbox
from relay.envelope import WHOLE, Content, Envelope, Notify, Recipient, WholeContent
from relay.transfer.disclaimer import disclaimer_of
from relay.transfer.disclaiming import Disclaimed
from relay.transfer.presentation import Reheaded, presented
from relay.transfer.rewriting import Face
from tests.rig.corpus import file, html, message, multipart, text

ACCOUNT = Mailbox("no-reply", "clinic.test")
REWRITE = Face("m365", "rewrite", ACCOUNT, frozenset({ACCOUNT.key}))
DISCLAIMER = disclaimer_of("Vertraulich ✓", None)
SMALL = message("small", multipart("mixed", multipart("alternative", text(), html(), boundary="a"), file())).octets
LARGE = message("large", multipart("mixed", text(), file(body=b"QUJD\r\n" * 400_000))).octets


@dataclass(frozen=True, slots=True)
class Streamed:
    """Content in pieces, of which only one is in memory."""

    octets: bytes
    piece: int = 256 * 1024

    @property
    def size(self) -> int:
        return len(self.octets)

    @property
    def eight_bit(self) -> bool:
        return not self.octets.isascii()

    async def chunks(self) -> AsyncIterator[bytes]:
        for at in range(0, len(self.octets), self.piece):
            yield self.octets[at : at + self.piece]


def envelope(notify: Notify | None = None) -> Envelope:
    return Envelope(Mailbox("dr", "north.test"), (Recipient(Mailbox("p", "example.test"), notify),))


async def read(content: Content) -> bytes:
    pieces = [piece async for piece in content.chunks()]
    assert all(len(piece) <= WHOLE for piece in pieces)
    return b"".join(pieces)


def rewritten(octets: bytes) -> bytes:
    fields = b"From: Dr Smith <no-reply@clinic.test>\r\nReply-To: Dr Smith <dr@north.test>\r\n"
    return octets.replace(b"From: Dr Smith <dr@north.test>\r\n", fields, 1)


async def test_a_large_message_is_streamed() -> None:
    found = await presented(envelope(), Streamed(LARGE), REWRITE)
    assert isinstance(found.content, Reheaded)
    assert await read(found.content) == rewritten(LARGE)
    assert await read(found.content) == rewritten(LARGE), "it can be read again"
    assert (found.content.size, found.content.eight_bit) == (len(rewritten(LARGE)), True)


async def test_in_any_pieces_it_is_the_same() -> None:
    for piece in (1, 50, 97, 333, len(SMALL)):
        found = await presented(envelope(), Streamed(SMALL, piece), REWRITE)
        assert await read(found.content) == rewritten(SMALL)
        assert found.content.size == len(rewritten(SMALL))


async def test_a_large_message_with_a_disclaimer() -> None:
    face = Face("x", disclaimer=DISCLAIMER)
    found = await presented(envelope(), Streamed(LARGE), face)
    assert isinstance(found.content, Disclaimed)
    octets = await read(found.content)
    assert octets == LARGE.replace(b"Clinic\r\n", "Clinic\r\n\r\nVertraulich ✓\r\n".encode(), 1)
    assert (found.content.size, found.content.eight_bit) == (len(octets), True)


async def test_a_large_text_is_changed_at_its_end_only() -> None:
    for encoding, line in (("base64", b"QUJD" * 19), ("quoted-printable", b"a=\r\nb=20"), ("8bit", b"x" * 70)):
        head = f"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n".encode()
        body = (line + b"\r\n") * 40_000
        found = await presented(envelope(), Streamed(head + body), Face("x", disclaimer=DISCLAIMER))
        octets = await read(found.content)
        kept = len(head) + len(body) - (1 << 20)
        assert octets[:kept] == (head + body)[:kept]
        assert len(octets) == found.content.size > len(head + body)
        assert b"Vertraulich" in octets[-500:] or encoding == "base64"


async def test_what_needs_no_change_is_the_very_same() -> None:
    content = WholeContent(SMALL.replace(b"dr@north.test", b"no-reply@clinic.test"))
    sender = Envelope(ACCOUNT, envelope().recipients)
    found = await presented(sender, content, REWRITE)
    assert found.content is content
    assert found.envelope is sender
    assert (found.note, found.stands_in) == (None, False)


async def test_success_is_told_by_us_where_the_provider_does_not_know_the_sender() -> None:
    found = await presented(envelope(Notify.SUCCESS | Notify.FAILURE), WholeContent(SMALL), REWRITE)
    assert found.stands_in
    assert found.envelope.recipients[0].notify is Notify.FAILURE
    assert found.note is not None
    assert "From dr@north.test is sent as no-reply@clinic.test" in found.note.text


async def test_a_signed_message_goes_without_the_disclaimer() -> None:
    seal = b"DKIM-Signature: v=1; h=from:subject; b=x\r\n"
    face = Face("x", disclaimer=DISCLAIMER)
    content = WholeContent(seal + SMALL)
    found = await presented(envelope(), content, face)
    assert found.content is content
    assert found.note is not None
    assert found.note.text == "without the disclaimer: it is signed (DKIM)"
    both = Face("m365", "rewrite", ACCOUNT, REWRITE.allowed, disclaimer=DISCLAIMER)
    found = await presented(envelope(), content, both)
    assert b"Vertraulich" in await read(found.content), "From is rewritten: the signature is broken already"
    assert found.note is not None
    assert "the DKIM signature no longer holds" in found.note.text
