"""Whatever a message is: giving it another face never fails, and never lets anybody write a field of his own."""

import email
import email.policy
import re

from hypothesis import given
from hypothesis import strategies as st

from relay.address import Mailbox
from relay.message.address_list import authors_in
from relay.message.display_name import name_in, words_for, words_of
from relay.transfer.disclaimer import disclaimer_of
from relay.transfer.disclaiming import Walk
from relay.transfer.rewriting import Face, Identity, rewritten

ACCOUNT = Mailbox("no-reply", "clinic.test")
REWRITE = Face("m365", "rewrite", ACCOUNT, frozenset({ACCOUNT.key}), display_name="{name} via Clinic")
MASKED = Face("m365", "rewrite", ACCOUNT, frozenset(), identity=Identity("n", ACCOUNT, None, ACCOUNT))
FACES = (REWRITE, MASKED, Face("x", reply_to=ACCOUNT), Face("m365", "rewrite", ACCOUNT))
DISCLAIMER = disclaimer_of("Confidential – ✓", None)

WORDS = st.sampled_from([
    "a@b.test", "<", ">", '"', "\\", ",", ";", ":", "(", ")", "=?utf-8?q?=0D=0AX-Evil:_1?=",
    "=?utf-8?b?DQpYLUV2aWw6IDE=?=",
    "=?utf-16?b?AA0ACg==?=", "=?", "?=", "@", ".", " ", "\t", "\r\n ", "Dr", "ä", "\udcff", "\x85",
    "\u2028", "\0", "\x0b",
])  # fmt: skip
VALUES = st.lists(WORDS | st.text(max_size=5), max_size=14).map("".join)
NAMES = st.sampled_from(["From", "from", "FROM ", "Sender", "Reply-To", "Resent-From", "Resent-Sender", "X-Other"])


def octets_of(value: str) -> bytes:
    """A value as it comes out of reception: no line ends but folds."""
    octets = value.encode("utf-8", "surrogateescape") if _plain(value) else b"x"
    return re.sub(rb"(?:\r\n)+(?![ \t\r])", b" ", re.sub(rb"\r?\n|\r", b"\r\n", octets).replace(b"\r\n\r\n", b"\r\n"))


def _plain(value: str) -> bool:
    try:
        value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def names_of(header: bytes) -> list[bytes]:
    return [
        line.partition(b":")[0].rstrip().lower() for line in header.split(b"\r\n") if line[:1] not in (b" ", b"\t", b"")
    ]


@given(fields=st.lists(st.tuples(NAMES, VALUES), max_size=5), face=st.sampled_from(FACES), null=st.booleans())
def test_no_field_is_let_in(fields: list[tuple[str, str]], face: Face, null: bool) -> None:
    header = b"".join(f"{name}:".encode() + octets_of(value).rstrip(b"\r\n") + b"\r\n" for name, value in fields)
    found = rewritten(header, None if null else Mailbox("dr", "north.test"), face)
    known = {b"from", b"sender", b"reply-to", b"resent-from", b"resent-sender", b"x-other"}
    assert set(names_of(found.header)) <= known
    assert b"\r" not in found.header.replace(b"\r\n", b"")
    assert names_of(found.header).count(b"x-other") == names_of(header).count(b"x-other")
    if face.policy == "rewrite":
        parsed = email.message_from_bytes(found.header + b"\r\n", policy=email.policy.compat32)
        assert len(parsed.get_all("From", [])) == 1
        for author in authors_in(str(parsed["From"]).encode("utf-8", "surrogateescape")):
            assert author.mailbox is not None
            assert face.allows(author.mailbox) or author.mailbox == face.account
        assert found.reverse_path == ACCOUNT


@given(VALUES)
def test_a_name_says_the_same_and_nothing_more(phrase: str) -> None:
    if not _plain(phrase):
        return
    phrase = phrase.replace("\r\n", "")
    for words in (words_of(phrase), words_for(phrase)):
        octets = b" ".join(words)
        assert octets.isascii()
        assert not set(octets) & {0, 10, 13}
        assert all(len(word) <= 75 for word in words if word.startswith(b"=?"))
    name = name_in(phrase)
    assert name_in(b" ".join(words_for(name)).decode()) == name
    assert name.isprintable() or not name.isascii()


PIECES = st.sampled_from([
    b"--b", b"--b--", b"--c", b"\r\n", b"\r\n\r\n", b"Content-Type: ", b"text/plain", b"text/html", b"; charset=utf-8",
    b"multipart/mixed; boundary=b", b"multipart/alternative; boundary=c", b"multipart/related; boundary=b",
    b"; boundary=",
    b"Content-Transfer-Encoding: base64", b"Content-Transfer-Encoding: quoted-printable", b"SGVsbG8=", b"=C3=A4", b"=",
    b"</body>", b"<p>", b"; charset=utf-16", b"; charset=iso-2022-jp", b"\x1b$B", b"\xff\xfe", b"\xc3",
    b"; charset*=x''y",
])  # fmt: skip


@given(st.lists(PIECES | st.binary(max_size=6), max_size=40).map(b"".join), st.integers(1, 50))
def test_any_content_has_its_disclaimer_or_stays(octets: bytes, piece: int) -> None:
    assert DISCLAIMER is not None
    whole, pieces = Walk(DISCLAIMER), Walk(DISCLAIMER)
    said = whole.feed(octets) + whole.finish()
    cut = [pieces.feed(octets[at : at + piece]) for at in range(0, len(octets), piece)]
    assert b"".join([*cut, pieces.finish()]) == said
    assert whole.changed or said == octets
