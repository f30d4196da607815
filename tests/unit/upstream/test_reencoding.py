"""Bodies re-encoded part by part, streaming, and read back the same."""

import email
import email.policy
from email.message import EmailMessage, Message

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.envelope import Content, WholeContent
from relay.message.transfer_encodings import Base64, QuotedPrintable, Rewrapped
from relay.upstream.reencoding import Reencoded, reencoded

SIMPLE = "From: a@x\r\nSubject: x\r\nContent-Type: text/plain; charset=utf-8\r\n{more}\r\n{body}\r\n"


class Pieces(WholeContent):
    """Content that comes a few octets at a time."""

    async def chunks(self):  # type: ignore[no-untyped-def]
        for start in range(0, len(self.octets), 7):
            yield self.octets[start : start + 7]


async def octets_of(content: Content) -> bytes:
    return b"".join([chunk async for chunk in content.chunks()])


async def converted(octets: bytes, *, eight_bit: bool = True, long_lines: bool = False) -> bytes:
    whole = await reencoded(WholeContent(octets), eight_bit=eight_bit, long_lines=long_lines)
    pieces = await reencoded(Pieces(octets), eight_bit=eight_bit, long_lines=long_lines)
    said = await octets_of(whole)
    assert await octets_of(pieces) == said
    assert whole.size == pieces.size == len(said)
    assert whole.eight_bit is (not said.isascii())
    return said


def parsed(octets: bytes) -> EmailMessage:
    message = email.message_from_bytes(octets, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def parts_of(message: Message) -> list[Message]:
    return [part for part in message.get_payload() if isinstance(part, Message)]


@pytest.mark.parametrize("more", ["Content-Transfer-Encoding: 8bit\r\n", "", "content-transfer-encoding:\r\n 8BIT\r\n"])
async def test_text_becomes_quoted_printable(more: str) -> None:
    body = "Größe 1,5 µm = viel\r\n.\r\ntrailing blank \r\n" + "ä" * 500
    said = await converted(SIMPLE.format(more=more, body=body).encode())
    assert said.isascii()
    assert max(len(line) for line in said.split(b"\r\n")) <= 76
    assert said.lower().count(b"content-transfer-encoding") == 1
    message = parsed(said)
    assert message["Content-Transfer-Encoding"] == "quoted-printable"
    assert message.get_payload(decode=True) == (body + "\r\n").encode()


async def test_other_parts_become_base64_and_the_rest_stays() -> None:
    head = b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b 1"\r\n\r\npreamble\r\n'
    plain = b"--b 1\r\nContent-Type: text/plain\r\n\r\nascii\r\n\r\n"
    pdf = (
        b"--b 1\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: binary\r\n\r\n\xff\xfe\x00x\r\ny\xe4\r\n"
    )
    nested = (
        b"--b 1\r\nContent-Type: multipart/alternative; boundary=b2\r\n\r\n"
        b"--b2\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: 8bit\r\n\r\n<p>\xc3\xa4</p>\r\n--b2--\r\n"
    )
    forwarded = (
        b"--b 1\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\nContent-Type: text/plain\r\n\r\n\xe4\r\n"
    )
    tail = b"--b 1--  \r\nepilogue\r\n"
    said = await converted(head + plain + pdf + nested + forwarded + tail)
    assert said.isascii()
    assert said.startswith(head + plain)
    assert said.endswith(tail)
    one, two, three, four = parts_of(parsed(said))
    assert "Content-Transfer-Encoding" not in one
    assert (two["Content-Transfer-Encoding"], two.get_payload(decode=True)) == ("base64", b"\xff\xfe\x00x\r\ny\xe4")
    assert parts_of(three)[0].get_payload(decode=True) == b"<p>\xc3\xa4</p>"
    assert parts_of(four)[0].get_payload(decode=True) == b"\xe4\r\n"[:1]


async def test_a_signature_is_never_broken() -> None:
    octets = (
        b"Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\nContent-Type: text/plain\r\n"
        b"Content-Transfer-Encoding: 8bit\r\n\r\n\xc3\xa4\r\n--s\r\nContent-Type: application/pkcs7-signature\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--s--\r\n"
    )
    content = WholeContent(octets)
    assert await reencoded(content, eight_bit=True, long_lines=True) is content


@pytest.mark.parametrize(
    "octets",
    [
        b"Subject: plain\r\n\r\nascii\r\n",
        "Subject: ä\r\n\r\nascii\r\n".encode(),
        "Subject: no body ä\r\n".encode(),
        b"",
        b"\r\n",
        b"X: " + b"\xe4" * 300_000 + b"\r\n\r\n\xe4\r\n",
        b"Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=E4\xe4\r\n",
    ],
    ids=["ascii", "8-bit header", "no body", "nothing", "no header", "endless header", "already encoded"],
)
async def test_left_alone(octets: bytes) -> None:
    content = WholeContent(octets)
    assert await reencoded(content, eight_bit=True, long_lines=False) is content


@pytest.mark.parametrize(("length", "changed"), [(998, False), (999, True), (40_000, True)])
async def test_long_lines(length: int, changed: bool) -> None:
    octets = b"Content-Type: text/plain\r\n\r\n" + b"x" * length + b"\r\nshort\r\n"
    said = await converted(octets, eight_bit=False, long_lines=True)
    assert (said != octets) is changed
    assert parsed(said).get_payload(decode=True) == b"x" * length + b"\r\nshort\r\n"
    if changed:
        assert max(len(line) for line in said.split(b"\r\n")) <= 76


async def test_long_base64_is_wrapped_anew() -> None:
    octets = b"Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n" + b"QUJD" * 1000 + b"\r\n"
    said = await converted(octets, eight_bit=False, long_lines=True)
    assert parsed(said).get_payload(decode=True) == b"ABC" * 1000
    assert max(len(line) for line in said.split(b"\r\n")) == 76


async def test_eight_bit_lines_stay_where_only_length_matters() -> None:
    octets = SIMPLE.format(more="Content-Transfer-Encoding: 8bit\r\n", body="ä").encode()
    content = WholeContent(octets)
    assert await reencoded(content, eight_bit=False, long_lines=True) is content


async def test_can_be_read_twice() -> None:
    content = await reencoded(WholeContent(SIMPLE.format(more="", body="ä").encode()), eight_bit=True, long_lines=False)
    assert isinstance(content, Reencoded)
    assert await octets_of(content) == await octets_of(content)


BODY = st.binary(max_size=400).map(lambda octets: octets.replace(b"\r", b"").replace(b"\n", b"\r\n") + b"\r\n")


@settings(max_examples=200)
@given(BODY, st.integers(1, 90))
def test_encoders_lose_nothing(body: bytes, cut: int) -> None:
    for encoder, name in ((QuotedPrintable(), "quoted-printable"), (Base64(), "base64")):
        said = b""
        for line in body.split(b"\r\n")[:-1]:
            pieces = [line[start : start + cut] for start in range(0, len(line), cut)] or [b""]
            said += b"".join(encoder.encoded(piece, ends=False) for piece in pieces[:-1])
            said += encoder.encoded(pieces[-1], ends=True)
        said += encoder.finished(delimited=False)
        assert max(len(line) for line in said.split(b"\r\n")) <= 76
        message = email.message_from_bytes(f"Content-Transfer-Encoding: {name}\r\n\r\n".encode() + said)
        assert message.get_payload(decode=True) == body


def test_rewrapped_rest() -> None:
    encoder = Rewrapped()
    assert encoder.encoded(b"QUJD", ends=True) == b""
    assert encoder.finished(delimited=True) == b"QUJD\r\n"
    assert encoder.finished(delimited=True) == b""


LINE = st.sampled_from(
    [
        b"Content-Type: multipart/mixed; boundary=b",
        b'Content-Type: multipart/signed; boundary="c"',
        b"Content-Type: text/plain; charset=utf-8",
        b"Content-Type: message/rfc822",
        b"Content-Type: multipart/mixed; boundary*0=b; boundary*1=\xff",
        b"Content-Type: multipart/mixed; boundary*=utf-8'en'%ff%zz",
        b"Content-Type: \xe4/\xe4; boundary=\xe4",
        b"Content-Type:",
        b"Content-Transfer-Encoding: 8bit",
        b"Content-Transfer-Encoding: base64",
        b"Content-Transfer-Encoding: \xe4",
        b" folded",
        b"not a field",
        b"--b",
        b"--b--",
        b"--c",
        b"--c--",
        b"--\xe4",
        b"",
        b"",
        b"text \xc3\xa4",
        b"text",
        b"x" * 1200,
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(LINE, max_size=25), st.integers(1, 50), st.booleans(), st.booleans())
async def test_any_structure_is_followed(lines: list[bytes], step: int, eight_bit: bool, long_lines: bool) -> None:
    class Cut(WholeContent):
        async def chunks(self):  # type: ignore[no-untyped-def]
            for start in range(0, len(self.octets), step):
                yield self.octets[start : start + step]

    octets = b"".join(line + b"\r\n" for line in lines)
    whole = await octets_of(await reencoded(WholeContent(octets), eight_bit=eight_bit, long_lines=long_lines))
    assert await octets_of(await reencoded(Cut(octets), eight_bit=eight_bit, long_lines=long_lines)) == whole
    if octets.isascii() and not long_lines:
        assert whole == octets
    again = WholeContent(whole)
    assert await reencoded(again, eight_bit=eight_bit, long_lines=long_lines) is again
